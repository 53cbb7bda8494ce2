"""Every field of every plugin is changed: the key follows, or the field says that it cannot change the result."""

from __future__ import annotations

import dataclasses
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from konomi import register, registry
from konomi.fields import NOT_IN_KEY, artifact, artifacts, choice, choices

from .mutations import example, made, mutants, ours
from .survey import Outcome, counts, key, of_stage, survey, with_field


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return survey(tmp_path_factory.mktemp("survey"))


def wrong(outcomes: list[Outcome]) -> list[str]:
    return [f"{one.verdict}: {one.where} = {one.value}" for one in outcomes if one.misses != one.missed]


def test_no_field_is_left_out(outcomes: list[Outcome]) -> None:
    seen = {one.where.partition(" > ")[2] for one in outcomes}
    fields = {f"{entry.id}.{field.name}" for entry in ours() for field in dataclasses.fields(entry.cls)}
    opened = {field for field in fields if any(one.startswith(f"{field}.") for one in seen)}
    assert fields - seen - opened == set()


def test_every_change_misses_or_cannot_change_the_result(outcomes: list[Outcome]) -> None:
    found = counts(outcomes)
    print(", ".join(f"{name}: {count}" for name, count in sorted(found.items())), "stale hits:", found["STALE HIT"])
    assert wrong(outcomes) == []
    assert found["STALE HIT"] == 0
    assert found["fields"] > 400 and found["hit, right"] > 100


def test_a_reference_counts_where_it_is_read_and_only_there(outcomes: list[Outcome]) -> None:
    verdicts = {one.verdict for one in outcomes if one.where == "stage/pretrain > stage/pretrain.reference"}
    assert verdicts == {"miss, right", "hit, right"}


def test_the_survey_finds_a_field_that_lacks_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from konomi.recipe import keys

    monkeypatch.setattr(keys, "in_key", lambda field: field.name != "keep_by")
    stage = example(registry.get_entry("stage", "curate"), tmp_path)
    assert {one.verdict for one in of_stage(stage, tmp_path) if one.where.endswith("minhash.keep_by")} == {"STALE HIT"}


class Shade(Enum):
    light = "light"
    dark = "dark"


@register("keys_colour", "red")
@dataclasses.dataclass(frozen=True)
class Red:
    """A plugin as a stranger writes it."""

    shade: Shade = Shade.light
    where: Path = Path("here")
    pair: tuple[str, ...] = ("a", "b")
    nested: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    maybe: float | None = None
    either: int | str = 3
    shades: list[Shade] = dataclasses.field(default_factory=list)
    threads: int = dataclasses.field(default=1, metadata=NOT_IN_KEY)


@register("keys_colour", "crimson")
@dataclasses.dataclass(frozen=True)
class Crimson(Red):
    """A plugin built upon another one."""

    depth: int = 1


@register("stage", "keys_paint")
@dataclasses.dataclass(frozen=True)
class Paint:
    """A stage with every sort of field."""

    colour: Any = choice("keys_colour", "red")
    layers: Any = choices("keys_colour", "red", "crimson")
    data: Any = artifact("text", optional=True)
    more: Any = artifacts("text")
    loud: bool = False


def test_a_strangers_plugins_are_told_apart_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [one for one in registry.entries() if one.cls in (Red, Crimson, Paint)]
    monkeypatch.setattr(sys.modules[mutants.__module__], "ours", lambda: entries)
    monkeypatch.setitem(sys.modules[mutants.__module__].BY_HAND, "keys_colour/red.where", lambda _: [Path("there")])
    monkeypatch.setitem(sys.modules[mutants.__module__].BY_HAND, "keys_colour/crimson.where", lambda _: [Path("x")])
    found = list(of_stage(example(registry.get_entry("stage", "keys_paint"), tmp_path), tmp_path))
    assert wrong(found) == []
    assert {one.where.rpartition(".")[2] for one in found} >= {"shade", "pair", "nested", "threads", "depth", "more"}
    assert {one.verdict for one in found if one.where.endswith(".threads")} == {"hit, right"}


def test_another_version_of_a_plugin_misses_and_of_one_that_it_is_built_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Paint(colour=Crimson(), more={"a": made("text")})
    before = key(stage)
    for name in ("crimson", "red"):
        entry = registry.get_entry("keys_colour", name)
        with monkeypatch.context() as patch:
            patch.setitem(registry._entries, ("keys_colour", name), dataclasses.replace(entry, version=2))
            assert key(stage) != before, f"{name} was raised to version 2"
    assert key(stage) == before


def test_the_split_of_a_global_batch_is_one_key_and_its_size_is_not(tmp_path: Path) -> None:
    from konomi.compute.ddp import Ddp

    plain = example(registry.get_entry("stage", "sft"), tmp_path)

    def batch(per_device: int, accumulation: int, processes: int = 1) -> str:
        arguments = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": accumulation}
        stage = with_field(plain, ".trainer", "arguments", arguments)
        return key(stage if processes == 1 else dataclasses.replace(stage, compute=Ddp(processes=processes)))

    assert batch(8, 1) == batch(4, 2) == batch(4, 1, processes=2) == batch(2, 1, processes=4) == key(plain)
    assert len({batch(8, 1), batch(8, 2), batch(16, 2), batch(8, 1, processes=3)}) == 4


def test_a_value_that_no_key_can_hold_is_said(tmp_path: Path) -> None:
    from konomi.faults import KonomiError
    from konomi.recipe.keys import canonical

    with pytest.raises(KonomiError, match="cannot stand in a key"):
        canonical({"when": object()})
