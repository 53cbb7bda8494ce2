"""The kitchen's stages, killed at every point; `tests/reliability` does the same to real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

import konomi

from ..reliability import failpoints  # noqa: TID252 - tests are no installed package


@pytest.mark.slow
def test_a_stage_killed_at_any_point_is_made_by_the_same_command(kitchen: Path, tmp_path: Path) -> None:
    konomi.run("meal")  # what it imports, the forks have
    counts = failpoints.all_faults(tmp_path / "kills", "meal", [])
    print(f"\n{counts}")
    assert counts["points"] == 3 * 6
    assert counts["faults"] == {}
