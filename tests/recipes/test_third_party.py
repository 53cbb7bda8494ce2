"""The documentation's third-party packages, built, installed beside konomi's own wheel, and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "tutorial" / "konomi-example"
PAGE = ROOT / "docs" / "write_a_plugin.md"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Place:
    """A folder to work in, and an environment with wheels only."""

    folder: Path
    python: Path

    @property
    def konomi(self) -> Path:
        return self.python.with_name("konomi")

    def run(self, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command; fails where the exit code is another."""
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KONOMI_STORE")}
        done = subprocess.run(
            [str(self.konomi), *words], cwd=self.folder, env=clean | env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, f"konomi {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done


def _pip(*words: str | Path) -> None:
    """Run this environment's pip without a network."""
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PIP_NO_INDEX": "1"})
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"


def _wheel(project: Path, into: Path) -> Path:
    into.mkdir(parents=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", into, project)
    (built,) = into.glob("*.whl")
    return built


def _block(before: str) -> str:
    """Return the code block of the page that follows a line with these words."""
    found = re.search(rf"{re.escape(before)}[^\n]*\n\n```\w+\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE.name} has no block after {before!r}"
    return found[1] + "\n"


def _smallest(folder: Path) -> Path:
    """Write down the two files of the page's first section."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_block("`pyproject.toml`:"), encoding="utf-8")
    (folder / "konomi_phrase.py").write_text(_block("`konomi_phrase.py`:"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return an environment of konomi's wheel, the tutorial's and the smallest one, over this one's libraries."""
    root = tmp_path_factory.mktemp("third") / "空白 と 日本語"
    wheels = [
        _wheel(ROOT, root / "dist" / "konomi"),
        _wheel(EXAMPLE, root / "dist" / "example"),
        _wheel(_smallest(root / "phrase"), root / "dist" / "phrase"),
    ]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "env")], check=True)
    python = root / "env" / "bin" / "python"
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    site = next((root / "env" / "lib").glob("python*/site-packages"))
    (site / "shared.pth").write_text("\n".join(sorted(shared)) + "\n", encoding="utf-8")
    _pip("--python", python, "install", "--no-deps", "--force-reinstall", *wheels)
    folder = root / "仕事 場"
    folder.mkdir()
    place = Place(folder, python)
    asked = [str(python), "-E", "-c", "import konomi; print(konomi.__file__)"]
    where = subprocess.run(asked, capture_output=True, text=True)
    assert where.stdout.startswith(str(site)), "konomi must come from its wheel"
    return place


def test_plugins_of_installed_wheels_are_listed_with_their_owner(place: Place) -> None:
    listed = json.loads(place.run("plugins", "--json").stdout)
    owners = {f"{entry['kind']}/{entry['name']}": entry["owner"] for entry in listed}
    assert owners["filter/latin_share"] == owners["loss/squared_hinge"] == "konomi-example"
    assert owners["filter/phrase"] == "konomi-phrase"
    assert owners["loss/dpo"] == "konomi"
    shown = place.run("plugins", "filter").stdout
    assert "japanese_letters     preset of latin_share" in shown


def test_recipe_of_an_installed_wheel_is_listed_and_planned(place: Place) -> None:
    assert "(konomi-example)" in place.run("recipes").stdout
    (plan,) = json.loads(place.run("plan", "japanese_house_style", "size=smoke", "--json").stdout)
    assert plan["stages"][-1]["name"] == "evaluate"


def test_a_fault_in_a_third_party_option_is_found_before_anything_runs(place: Place) -> None:
    wrong = ("filter.japanese_letters.max_share=20", "loss.beta=0")
    said = place.run("plan", "japanese_house_style", *wrong, code=2).stderr
    assert "japanese.filter.japanese_letters.max_share: 20.0 is no share" in said
    assert "align.loss.beta: 0.0 gives no margin to aim at" in said
    assert "Traceback" not in said


def test_an_option_without_a_default_must_be_given(place: Place) -> None:
    said = place.run("plan", "quickstart", "japanese.filter=[normalize,phrase]", code=2).stderr
    assert "japanese.filter.phrase.phrase: a value is needed" in said


def test_recipe_runs_and_its_sweep_under_joblib_shares_what_is_made(place: Place) -> None:
    recipe = ("japanese_house_style", "size=smoke", "until=align")
    place.run("run", *recipe)
    store = place.folder / ".konomi"
    made = _made(store)
    place.run("run", *recipe, "-m", "align.loss.beta=0.1,0.5", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    after = _made(store)
    assert len(after) == len(set(after)), "an artifact was made twice"
    new = [key.partition("-")[0] for key in after[len(made) :]]
    assert new == ["align", "align"]
    assert {path.parent.name for path in (place.folder / "multirun").rglob("run.json")} == {"beta=0.1", "beta=0.5"}
    shown = place.run("show", "align", "--json").stdout
    assert json.loads(shown)["config"]["loss"]["plugin"] == "loss/squared_hinge"


def _made(store: Path) -> list[str]:
    events = [json.loads(line) for line in (store / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event["key"] for event in events if event["event"] == "made"]


def test_two_wheels_with_one_name_are_an_error_that_names_both(place: Place, tmp_path: Path) -> None:
    rival = _smallest(tmp_path / "rival")
    text = (rival / "pyproject.toml").read_text(encoding="utf-8")
    text = text.replace("konomi-phrase", "konomi-rival").replace("konomi_phrase", "konomi_rival")
    (rival / "pyproject.toml").write_text(text, encoding="utf-8")
    (rival / "konomi_phrase.py").rename(rival / "konomi_rival.py")
    _pip("install", "--no-deps", "--no-build-isolation", "--target", tmp_path / "site", rival)
    said = place.run("plugins", code=1, PYTHONPATH=str(tmp_path / "site")).stderr
    assert "filter/phrase is registered twice" in said
    assert "konomi-phrase" in said and "konomi-rival" in said
    assert "Traceback" not in said


def test_a_project_folder_brings_plugins_presets_and_recipes(place: Place, tmp_path: Path) -> None:
    project = tmp_path / "企画 1"
    chosen = "override /filter@japanese.filter: [cookies]"
    for name, text in {
        "pyproject.toml": _block("in a folder of your project that `pyproject.toml` names:"),
        "plugins/phrase.py": _block("`konomi_phrase.py`:").replace('"phrase")', '"own_phrase")'),
        "conf/filter/cookies.yaml": "defaults: [own_phrase, _self_]\nphrase: クッキーを使用しています\n",
        "recipes/own.yaml": f"# Ours.\ndefaults:\n  - quickstart\n  - {chosen}\n  - _self_\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    inside = Place(project / "plugins", place.python)
    done = inside.run("plan", "own", "size=smoke", "--json")
    assert "filter/own_phrase" in done.stderr, "what is imported from a project is said"
    assert json.loads(done.stdout)[0]["recipe"] == "own"


def test_a_project_that_takes_an_installed_name_is_an_error_that_names_both(place: Place, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.konomi]\nplugins = ["."]\n', encoding="utf-8")
    (tmp_path / "mine.py").write_text(_block("`konomi_phrase.py`:"), encoding="utf-8")
    said = Place(tmp_path, place.python).run("plugins", code=1).stderr
    assert "konomi-phrase" in said and f"the project {tmp_path.name}" in said


def test_the_tutorials_own_tests_pass(place: Place) -> None:
    command = [str(place.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    done = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
