"""Looking costs nothing: listing and planning import no torch, and answer at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "numba", "accelerate", "deepspeed")
PROBE = """
import sys
from konomi.cli import main
code = main(sys.argv[1:])
print("imported", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


def imported(folder: Path, *words: str) -> tuple[str, str]:
    """Run a command and return its standard output, and which heavy packages it imported."""
    probe = PROBE.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe, *words], capture_output=True, text=True, cwd=folder, env=os.environ
    )
    return done.stdout, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["plugins"],
        ["plugins", "loss/dpo"],
        ["plugins", "--json"],
        ["recipes"],
        ["plan", "quickstart"],
        ["plan", "dpo", "loss=ipo"],
        ["plan", "dpo", "loss=ipoo", "source=files", "source.path=/nowhere", "trainer.lerning_rate=1"],
        ["run", "quickstart", "--cfg", "job"],
    ],
)
def test_looking_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert imported(tmp_path, *words)[1] == "imported"


def test_listing_imports_no_hydra(tmp_path: Path) -> None:
    code = "import sys; from konomi.cli import main; main(['plugins']); sys.exit('hydra' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


def test_json_is_all_that_stdout_holds(tmp_path: Path) -> None:
    plugins = json.loads(imported(tmp_path, "plugins", "--json")[0])
    assert {"kind", "name", "summary", "options", "source", "owner"} <= plugins[0].keys()
    (plan,) = json.loads(imported(tmp_path, "plan", "quickstart", "--json")[0])
    assert len(plan["stages"]) == 16


def test_completion_knows_commands_recipes_and_short_forms(tmp_path: Path) -> None:
    def complete(line: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "konomi", "-sc", "query=bash"], capture_output=True, text=True, check=True,
            cwd=tmp_path, env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        )  # fmt: skip
        return done.stdout.split()

    assert complete("konomi r") == ["run", "recipes", "rerun"]
    assert "quickstart" in complete("konomi run q")
    assert {"loss=dpo", "loss=ipo"} <= set(complete("konomi run dpo loss="))
    assert any(word.startswith("align.loss.beta=") for word in complete("konomi run dpo align.loss."))
    assert complete("konomi run dpo loss=ipo loss.b") == ["loss.beta="]
    assert complete("konomi run curate filter.length.min_c") == ["filter.length.min_characters="]
