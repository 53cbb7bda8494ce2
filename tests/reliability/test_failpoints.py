"""Each stage is killed before its lock, after it, while it writes, around its rename and before it lets go.

The same command then ends with the same keys and the same content, and never was a partial artifact to be seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from . import failpoints


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(["instructions", "instruction_tokens"], marks=pytest.mark.slow),
        pytest.param([], marks=pytest.mark.long),
    ],
)
def test_a_stage_killed_at_any_point_is_made_by_the_same_command(tmp_path: Path, stages: list[str]) -> None:
    command = [sys.executable, failpoints.__file__, str(tmp_path), "quickstart", *stages, "--", "size=smoke"]
    command += [f"until={stages[-1]}"] if stages else []
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{counts}")
    assert counts["points"] == counts["stages"] * 6
    assert counts["faults"] == {}, done.stderr[-2000:]
