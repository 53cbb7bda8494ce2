"""Processes that start one sweep together make each artifact once, and end as one alone would."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

import konomi
from konomi.cli import main
from konomi.store import Store

SWEEP = ["run", "meal", "-m", "lunch.flavour.grams=1,2", "dinner.flavour.corns=1,2,3"]


def together(place: Path, words: Sequence[str], processes: int = 2) -> list[int]:
    """Run one command in several forked processes that start at the same moment; returns their exit codes."""
    ready, go = os.pipe()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.close(go)
                os.read(ready, 1)  # ends when the parent closes its side
                folder = place / f"sweep-{number}"
                code = main([*words, f"store='{place / 'store'}'", f"hydra.sweep.dir='{folder}'"])
            finally:
                os._exit(code)
        children.append(child)
    os.close(ready)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize(
    ("rounds", "lock"),
    [
        pytest.param(2, "file", marks=pytest.mark.slow),
        pytest.param(1, "lease", marks=pytest.mark.slow),
        pytest.param(20, "file", marks=pytest.mark.long),
        pytest.param(20, "lease", marks=pytest.mark.long),
    ],
)
def test_two_processes_that_start_one_sweep_together_make_each_artifact_once(
    kitchen: Path, tmp_path: Path, rounds: int, lock: str
) -> None:
    konomi.run("meal")  # what it imports, the forks have
    counts: Counter[int] = Counter()
    for number in range(rounds):
        place = tmp_path / str(number)
        assert together(place, [*SWEEP, f"lock={lock}"]) == [0, 0]
        store = Store(place / "store")
        made = Counter(event["key"] for event in store.events() if event["event"] == "made")
        assert sorted(made) == store.made()
        assert len(made) == 1 + 2 + 6
        counts.update(made.values())
    print(f"\n{rounds} rounds, {lock}: artifacts by how often they were made: {dict(counts)}")
    assert set(counts) == {1}
