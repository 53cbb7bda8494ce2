"""Several plugins of a kind in one field, where another field holds one of that kind: the sources of a mix."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import konomi
from konomi.faults import Faults
from konomi.recipe import nodes

MIXED = """# A mix.
defaults:
  - konomi
  - stage@curate: curate
  - override /source@curate.source: mix
  - override /sources@curate.source.sources: [japanese_sample, python_docs]
  - override /filter@curate.filter: []
  - override /dedup@curate.dedup: none
  - _self_
curate: {source: {weights: {japanese_sample: 1, python_docs: 3}}}
"""


@pytest.fixture
def mixed(kitchen: Path) -> str:
    (kitchen / "mixed.yaml").write_text(MIXED, encoding="utf-8")
    return "mixed"


def plugins(config: object) -> list[str]:
    held = OmegaConf.select(config, "curate.source.sources")
    return [held[name].plugin for name in held]


def test_a_recipe_chooses_several_in_order(mixed: str) -> None:
    assert plugins(konomi.compose(mixed)) == ["source/japanese_sample", "source/python_docs"]


def test_the_command_line_chooses_them_in_place_of_one(mixed: str) -> None:
    words = ["source=mix", "source.sources=[python_docs,artifact]", "source.weights.artifact=0.5"]
    config = konomi.compose(mixed, words)
    assert plugins(config) == ["source/python_docs", "source/artifact"]
    assert config.curate.source.weights.artifact == 0.5


def test_an_option_of_one_of_them_is_reached_by_its_name(mixed: str) -> None:
    config = konomi.compose(mixed, ["source.sources.japanese_sample.min_characters=9"])
    assert config.curate.source.sources.japanese_sample.min_characters == 9


def test_the_key_follows_those_that_are_chosen_and_their_order(mixed: str) -> None:
    def key(*words: str) -> str:
        return konomi.plan(mixed, words).steps[0].key

    assert key() == key("source.sources=[japanese_sample,python_docs]")
    assert len({key(), key("source.sources=[python_docs,japanese_sample]"), key("source.weights.python_docs=4")}) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["source.sources=[japanese_sampel]"], "there is no source called japanese_sampel"),
        (["source.sources=[minhash]"], "minhash is a dedup"),
        (["source.weights.python_doc=1"], "did you mean python_docs?"),
        (["source.sources.python_docs.package=[x]"], "python_docs has no option package"),
        (["source.sources.japanese_sample.min_characters=-1"], "curate.source.sources.japanese_sample.min_characters"),
    ],
)
def test_a_mistake_in_one_of_them_is_told(mixed: str, words: list[str], said: str) -> None:
    with pytest.raises(Faults) as caught:
        konomi.plan(mixed, words)
    assert said in str(caught.value)


def test_groups_and_kinds_lead_to_one_another() -> None:
    assert nodes.kind_of("sources") == nodes.kind_of("source") == "source"
    assert (nodes.kind_of("filter"), nodes.kind_of("nothings")) == ("filter", "nothings")
    assert nodes.group({"kind": "source", "many": True}) == "sources"
    assert nodes.group({"kind": "source", "many": False}) == "source"
    assert nodes.group({"kind": "filter", "many": True}) == "filter"
