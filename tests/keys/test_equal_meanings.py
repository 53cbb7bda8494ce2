"""Two ways of saying one thing are one key, and two things are two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import konomi
from konomi import search_path

RECIPE = """# Two texts, a model, preferences, an alignment.
defaults:
  - konomi
  - stage@english: curate
  - stage@japanese: curate
  - stage@base: base
  - stage@tokens: tokenize
  - stage@preferences: generate
  - stage@pair_tokens: tokenize
  - stage@reference: reference
  - stage@align: align
  - override /source@english.source: japanese_sample
  - override /source@japanese.source: japanese_sample
  - override /source@preferences.source: japanese_sample
  - override /generator@preferences.generator: templates
  - _self_
base: {data: "${artifact:english}"}
tokens:
  model: {name_or_path: "${artifact:base}"}
  data: {english: "${artifact:english}", japanese: "${artifact:japanese}"}
preferences:
  generator: {makes: preference, prompts: ["{title}"], answers: {a: "{text}", b: "{chapter}"}, preferred: a}
pair_tokens:
  model: {name_or_path: "${artifact:base}"}
  data: {preferences: "${artifact:preferences}"}
  chat_template: plain
reference: {model: {name_or_path: "${artifact:base}"}, data: "${artifact:pair_tokens}"}
align: {model: {name_or_path: "${artifact:base}"}, data: "${artifact:pair_tokens}", reference: "${artifact:reference}"}
"""


def keys(recipe: str, *overrides: str) -> list[str]:
    """Return the keys of a recipe's stages, as far as `tokens` where that is what is changed."""
    goal = ["until=tokens"] if any("tokens." in text for text in overrides) else []
    return [step.key for step in konomi.plan(recipe, [*overrides, *goal]).steps]


SAME = {
    "the order of overrides": (["loss.beta=0.3", "align.seed=1"], ["align.seed=1", "loss.beta=0.3"]),
    "1e-3 and 0.001": (["align.trainer.learning_rate=1e-3"], ["align.trainer.learning_rate=0.001"]),
    "1 and 1.0": (["loss.beta=1"], ["loss.beta=1.0"]),
    "1 and 1.0 among a library's arguments": (
        ["align.trainer.weight_decay=1"], ["align.trainer.weight_decay=1.0"],
    ),
    "konomi's default": ([], ["loss.beta=0.1", "align.seed=0", "english.dedup.num_bands=32"]),
    "the library's default": ([], ["align.trainer.weight_decay=0.0", "align.trainer.adam_beta1=0.9"]),
    "konomi's default of a library's argument": (
        ["align.peft=lora"], ["align.peft=lora", "align.peft.target_modules=all-linear"],
    ),
    "the default plugin": ([], ["loss=dpo", "english.dedup=minhash"]),
    "short and long": (["loss=ipo"], ["align.loss=ipo"]),
    "a preset and its values": (
        ["english.dedup=swallow"],
        [f"english.dedup.{value}" for value in ("threshold=0.9", "num_bands=40", "rows_per_band=20", "unit=character")],
    ),
    "the order of a mapping": (
        ["tokens.repeat={japanese: 4, english: 0.5}"], ["tokens.repeat={english: 0.5, japanese: 4}"],
    ),
    "threads": ([], ["english.dedup.threads=3", "english.filter.repetition.threads=2"]),
    "what only logs": ([], ["align.trainer.logging_steps=7", "align.trainer.save_steps=9"]),
    "the split of a batch": (
        ["align.trainer.per_device_train_batch_size=8"],
        ["align.trainer.per_device_train_batch_size=4", "align.trainer.gradient_accumulation_steps=2"],
    ),
    "names, folders, deadlines": ([], ["name=other", "store=elsewhere", "hydra.run.dir=there", "deadline=3h"]),
}  # fmt: skip
OTHER = {
    "the order of filters": (["english.filter=[normalize,length]"], ["english.filter=[length,normalize]"]),
    "the order of artifacts": (
        ["+tokens.data={first: '${artifact:english}', second: '${artifact:japanese}'}"],
        ["+tokens.data={second: '${artifact:japanese}', first: '${artifact:english}'}"],
    ),
    "the order of a list": (
        ["preferences.generator.prompts=['{title}','{text}']"], ["preferences.generator.prompts=['{text}','{title}']"],
    ),
    "true and 1": (["loss=ipo", "loss.per_token=true"], ["loss=ipo", "loss.per_token=false"]),
    "an argument that is the library's default and not konomi's": (
        ["align.peft=lora"], ["align.peft=lora", "align.peft.target_modules=null"],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recipes of ours"
    folder.mkdir()
    (folder / "own.yaml").write_text(RECIPE, encoding="utf-8")
    search_path.add_config_dir(folder)
    yield
    search_path._config_dirs.remove(folder)


@pytest.mark.parametrize("meaning", SAME)
def test_equal_meanings_hit(meaning: str) -> None:
    one, other = SAME[meaning]
    assert keys("own", *one) == keys("own", *other)


@pytest.mark.parametrize("meaning", OTHER)
def test_other_meanings_miss(meaning: str) -> None:
    one, other = OTHER[meaning]
    assert keys("own", *one) != keys("own", *other)


def test_a_path_may_be_said_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "文書"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    said = [
        "文書", "文書/", "./文書", "./文書/", "文書/../文書", str(folder), f"{folder}/", "文書/*.jsonl", "文書/a.jsonl",
    ]  # fmt: skip
    found = {tuple(keys("curate", "source=files", f"source.path={path}", "until=curate")) for path in said}
    assert len(found) == 1
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert tuple(keys("curate", "source=files", "source.path=../文書", "until=curate")) in found
    os.utime(folder / "a.jsonl", (0, 0))
    assert tuple(keys("curate", "source=files", "source.path=../文書", "until=curate")) in found


@pytest.mark.slow
def test_processes_agree_whatever_their_hash_seed_threads_and_folders(tmp_path: Path) -> None:
    script = "import konomi; print([s.key for s in konomi.plan('quickstart', ['size=smoke']).steps])"

    def said(seed: int, folder: str, **env: str) -> str:
        (tmp_path / folder).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path / folder, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed), **env},
        )  # fmt: skip
        return done.stdout

    first = said(1, "one", KONOMI_STORE=str(tmp_path / "store"), OMP_NUM_THREADS="1")
    assert "align-" in first
    assert said(2, "二", KONOMI_STORE="elsewhere", OMP_NUM_THREADS="2", LANG="C") == first
