"""A plugin whose bytes change raises its version: else the store would give out what the old code had made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from . import goldens
from .mutations import example, ours

RENEW = "python -m tests.keys.goldens --renew"


def verdict(id_: str, now: dict[str, Any], kept: dict[str, Any]) -> str:
    """Say what is wrong between a plugin's output and the one that is kept; empty where nothing is."""
    same = now["digest"] == kept["digest"] and now["numbers"] == pytest.approx(kept["numbers"], rel=1e-3, abs=1e-5)
    if now["version"] != kept["version"]:
        return f"{id_} is version {now['version']}, and its golden output is of {kept['version']}: {RENEW}"
    if not same and now["under"] == kept["under"]:
        return f"{id_} makes other bytes under the same version: raise version= in its @register, then {RENEW}"
    return ""


@pytest.mark.parametrize("id_", sorted(goldens.GOLDENS))
def test_a_plugin_makes_what_its_version_made(id_: str) -> None:
    assert verdict(id_, goldens.output(id_), goldens.held()[id_]) == ""


def test_every_plugin_has_a_golden_output_or_a_reason() -> None:
    known = {entry.id for entry in ours()}
    assert known == set(goldens.GOLDENS) | set(goldens.WITHOUT)
    assert not set(goldens.GOLDENS) & set(goldens.WITHOUT)
    assert set(goldens.held()) == set(goldens.GOLDENS)


def test_changed_bytes_without_a_version_and_a_version_without_a_golden_are_red() -> None:
    now = goldens.output("loss/dpo")
    assert verdict("loss/dpo", now, now) == ""
    assert "raise version=" in verdict("loss/dpo", now, {**now, "digest": "0"})
    assert "raise version=" in verdict(
        "loss/dpo", now, {**now, "numbers": [number * 1.01 for number in now["numbers"]]}
    )
    assert "--renew" in verdict("loss/dpo", {**now, "version": 2}, now)
    assert verdict("loss/dpo", {**now, "under": {"torch": "9"}, "digest": "0"}, now) == ""


def test_libraries_that_shape_bytes_are_named_by_the_plugins(tmp_path: Path) -> None:
    named = {
        "filter/normalize": {"unicode", "ftfy"},
        "filter/compression": {"zlib"},
        "filter/japanese_spam": {"boards", "advertisements", "language", "unicode"},
        "filter/gopher_quality": {"unicode", "languages"},
        "filter/c4": {"unicode", "languages"},
        "filter/fineweb": {"unicode", "languages"},
        "generator/templates": {"unicode"},
        "dedup/exact": {"pyarrow", "against"},
        "vocab/continued_bpe": {"tokenizers", "unicode"},
        "stage/base": {"tokenizers", "unicode"},
        "stage/tokenize": {"tokenizers"},
        "source/python_docs": {"python", "sources"},
    }
    entries = {entry.id: entry for entry in ours()}
    for id_, names in named.items():
        assert set(example(entries[id_], tmp_path).depends()) == names, id_
