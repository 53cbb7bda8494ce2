"""A recipe of a stranger can choose among what is installed, and can run, write, read and send nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from konomi.cli import main

from .conftest import holding
from .hostile import FILES, RECIPES

SECRET = "canary7f3a9e"
COMMANDS = {
    "plan": ["plan", "evil"],
    "run": ["run", "evil"],
    "show": ["run", "evil", "--cfg", "job"],
    "show resolved": ["run", "evil", "--cfg", "all", "--resolve"],
    "info": ["run", "evil", "--info", "all"],
    "sweep": ["run", "evil", "-m", "until=word,lunch"],
}


@pytest.fixture
def trap(kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a file that no recipe may make; a module and a resolver that make it, and a secret, lie about."""
    canary = tmp_path / "escaped" / "canary"
    canary.parent.mkdir()
    module = tmp_path / "canary_module"
    module.mkdir()
    (module / "__init__.py").write_text(
        f"import pathlib\ndef touch(*a, **k):\n    pathlib.Path({str(canary)!r}).touch()\ntouch()\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CANARY_SECRET", SECRET)
    monkeypatch.setenv("KONOMI_STORE", str(tmp_path / "store"))
    OmegaConf.register_new_resolver("canary_eval", lambda _: canary.touch(), replace=True)
    yield canary
    OmegaConf.clear_resolver("canary_eval")
    sys.modules.pop("canary_module", None)


def _write(folder: Path, canary: Path, recipe: str, text: str) -> None:
    """Write a recipe and the files beside it that it speaks of; a hostile preset alone would stop everything."""
    for name, beside in FILES.items():
        if Path(name).stem in text:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(_filled(beside, canary), encoding="utf-8")
    (folder / f"{recipe}.yaml").write_text(_filled(text, canary), encoding="utf-8")


def _filled(text: str, canary: Path) -> str:
    return text.format(canary=canary, module="canary_module")


@pytest.mark.parametrize("name", RECIPES)
def test_a_hostile_recipe_is_refused_and_does_nothing(
    name: str, kitchen: Path, trap: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(kitchen, trap, "evil", RECIPES[name])
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("KONOMI_", "PYTEST_"))}
    for command, argv in COMMANDS.items():
        code = main(argv)
        out, err = capfd.readouterr()
        assert code in (1, 2), (command, out, err)
        assert "konomi" in err
        assert "Traceback" not in out + err
        assert SECRET not in out + err, command
        assert list(trap.parent.iterdir()) == [], (command, err)
    assert "canary_module" not in sys.modules
    now = {key: value for key, value in os.environ.items() if not key.startswith(("KONOMI_", "PYTEST_"))}
    assert now == variables
    assert holding(tmp_path, SECRET) == []
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "multirun").exists()


def test_how_many_there_are(said: Callable[[str], None]) -> None:
    """Each of the tests above asserts that none of its commands let anything out."""
    said(f"hostile recipes: {len(RECIPES)}, each by {len(COMMANDS)} commands; escapes 0")
    assert len(RECIPES) >= 50


def test_the_trap_would_close(kitchen: Path, trap: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The other tests look for silence: said at the command line, the same things do happen."""
    assert main(["run", "meal", "until=word", "+hydra.callbacks.x._target_=canary_module.touch"]) in (0, 1)
    assert trap.exists()
    os.environ["CANARY_WORD"] = SECRET
    assert main(["run", "meal", "until=word", "word.word=${oc.env:CANARY_WORD}"]) == 0
    assert holding(kitchen.parent, SECRET) != []


def test_what_the_command_line_says_of_hydra_holds(
    kitchen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "meal", "hydra.run.dir=elsewhere", "+hydra.job.env_set.CANARY_WORD=x"]) == 0
    assert (tmp_path / "elsewhere" / "run.json").exists()


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["lunch.library.trust_remote_code=true"], "SFTConfig"),
        (["size=trusting"], "a recipe may not say it"),
        (["library@lunch.library=trusting"], "a recipe may not say it"),
        (["flavour@lunch.flavour=secretive"], "a recipe may not use ${oc.env:…}"),
    ],
)
def test_a_choice_at_the_command_line_vouches_for_no_file(
    kitchen: Path, trap: Path, capfd: pytest.CaptureFixture[str], overrides: list[str], fault: str
) -> None:
    size = ", size: null" if overrides[0].startswith("size") else ""
    _write(kitchen, trap, "plain", f"# {overrides[0].partition('=')[2]}\ndefaults: [meal{size}, _self_]\n")
    code = main(["plan", "plain", *overrides])
    said = capfd.readouterr().err
    if fault == "SFTConfig":  # said at the command line, it is allowed
        assert code == 0, said
    else:
        assert (code, fault in said) == (2, True), said
