"""Eight workers that are killed at random leave no broken artifact, and never make one at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from . import storm


@pytest.mark.parametrize(
    ("lock", "seconds"),
    [
        pytest.param("file", 10, marks=pytest.mark.slow),
        pytest.param("lease", 10, marks=pytest.mark.slow),
        pytest.param("file", 60, marks=pytest.mark.long),
        pytest.param("lease", 60, marks=pytest.mark.long),
    ],
)
def test_a_storm_of_kills_breaks_nothing(tmp_path: Path, lock: str, seconds: int) -> None:
    command = [sys.executable, storm.__file__, str(tmp_path / "store"), lock, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    print(f"\n{lock}, {seconds} s: {counts}")
    assert counts["kills"] > 10 * seconds
    assert counts["made"] > 10 * seconds
    assert counts["died_otherwise"] == 0, done.stderr
    assert counts["broken"] == counts["half_written"] == 0
    # No lease runs out here: its holders live, or are seen to be dead.
    assert counts["overlaps"] == 0
