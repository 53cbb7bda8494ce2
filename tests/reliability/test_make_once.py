"""Two commands that start one real sweep of six points together: each artifact is made once, and both end well."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from konomi.store import Store

SWEEP = ["run", "dpo", "size=smoke", "-m", "loss=dpo,ipo", "loss.beta=0.05,0.1,0.3"]


@pytest.mark.long
@pytest.mark.parametrize(("launcher", "rounds"), [((), 20), (("hydra/launcher=joblib",), 2)])
def test_two_processes_that_start_one_sweep_together_make_each_artifact_once(
    tmp_path: Path, launcher: tuple[str, ...], rounds: int
) -> None:
    counts: Counter[int] = Counter()
    for number in range(rounds):
        place = tmp_path / str(number)
        place.mkdir()
        words = [sys.executable, "-m", "konomi", *SWEEP, *launcher, f"store='{place / 'store'}'"]
        both = [
            subprocess.Popen(
                [*words, f"hydra.sweep.dir='{place / str(who)}'"],
                cwd=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for who in range(2)
        ]
        said = [each.communicate()[0] for each in both]
        assert [each.returncode for each in both] == [0, 0], said
        store = Store(place / "store")
        events = [event for event in store.events() if event["event"] == "made"]
        made = Counter(event["key"] for event in events)
        assert sorted(made) == store.made()
        assert sum(event["stage"] == "align" for event in events) == 6
        counts.update(made.values())
        print(f"round {number}: {len(made)} artifacts, made {max(made.values())} times at most")
    print(f"{rounds} rounds {launcher}: artifacts by how often they were made: {dict(counts)}")
    assert set(counts) == {1}
