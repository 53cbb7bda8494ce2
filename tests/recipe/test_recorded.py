"""An artifact is made again from its own manifest, whatever became of the recipe, the presets and the names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import konomi
from konomi.cli import main
from konomi.recipe.recorded import written
from konomi.store import Store
from konomi.store.names import give


def keys_of(folder: Path) -> dict[str, str]:
    """Return the keys of a run's stages."""
    return {row["name"]: row["key"] for row in json.loads((folder / "run.json").read_text(encoding="utf-8"))["stages"]}


def rerun(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["rerun", *words])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return code, out + err


def newest_run() -> dict[str, str]:
    return keys_of(max(Path("runs").rglob("run.json"), key=lambda path: path.stat().st_mtime_ns).parent)


OVERRIDES: list[tuple[str, list[str]]] = [
    ("meal", []),
    ("meal", ["word.word=味=*& #x", "lunch.flavour=strong", "dinner.flavour.corns=9"]),
    ("meal", ["lunch.flavour.names=[a,'b c']", "word.extra={a: '*b & *c'}", "lunch.library.learning_rate=1e-5"]),
    ("meal", ["lunch.flavour.form=lower", "lunch.library.max_steps=3"]),
    ("one", ["dish.serve=false"]),
    ("basket", ["basket.data={b: '${artifact:two}', a: '${artifact:one}'}"]),
    ("courses", ["menu.flavours=[rice,big_soup]", "menu.flavours.rice.bowls=4"]),
]


@pytest.mark.parametrize(("recipe", "overrides"), OVERRIDES)
def test_a_recorded_recipe_gives_the_same_keys_when_its_file_has_gone(
    kitchen: Path, capfd: pytest.CaptureFixture[str], recipe: str, overrides: Sequence[str]
) -> None:
    done = konomi.run(recipe, overrides)
    (kitchen / f"{recipe}.yaml").unlink()
    last = list(done.artifacts)[-1]
    code, said = rerun(capfd, last)
    assert code == 0, said
    assert "0 to make" in said
    assert newest_run() == keys_of(done.folder)


def test_further_overrides_stand_on_top(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = konomi.run("meal", ["word.word=味", "lunch.flavour.grams=2"])
    assert rerun(capfd, "dinner", "dinner.flavour.corns=7")[0] == 0
    wanted = konomi.plan("meal", ["word.word=味", "lunch.flavour.grams=2", "dinner.flavour.corns=7"])
    assert newest_run() == {step.name: step.key for step in wanted.steps}
    made = Store(done.artifacts["word"].parents[1]).manifest(newest_run()["dinner"])
    assert made["recipe"] == "meal"
    assert made["overrides"] == ["word.word=味", "lunch.flavour.grams=2", "dinner.flavour.corns=7"]


def test_another_plugin_leaves_the_values_of_the_old_one_behind(
    kitchen: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    konomi.run("meal", ["lunch.flavour.grams=2"])
    code, said = rerun(capfd, "lunch", "lunch.flavour=pepper")
    assert code == 0, said
    assert newest_run()["lunch"] == konomi.plan("meal", ["lunch.flavour=pepper"]).step("lunch").key


def test_it_stops_at_the_stage_that_made_the_artifact(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    konomi.run("meal")
    assert rerun(capfd, "lunch")[0] == 0
    assert list(newest_run()) == ["word", "lunch"]


def test_a_plan_says_what_would_be_done_and_does_nothing(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    konomi.run("meal")
    before = sorted(Path("runs").rglob("*"))
    code, said = rerun(capfd, "lunch", "lunch.flavour.grams=3", "--plan")
    assert code == 0
    assert "flavour.grams: 1 → 3" in said
    assert "konomi rerun lunch" in said
    assert sorted(Path("runs").rglob("*")) == before


def test_a_name_that_has_moved_means_what_it_meant(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (konomi.run("meal", [f"word.word={word}", "until=word"]).artifacts["word"] for word in ("a", "b"))
    store = Store(first.parents[1])
    give(store, "my-word", first.name)
    done = konomi.run("meal", ["lunch.data=my-word", "until=dinner"])
    give(store, "my-word", second.name, move=True)
    assert rerun(capfd, "dinner")[0] == 0
    assert newest_run() == keys_of(done.folder)


def test_what_is_not_as_it_was_is_said(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = konomi.run("meal")
    for name, values in (("dinner", {"versions": {"torch": "0.1"}, "git": {"commit": "a" * 40, "dirty": True}}),):
        _rewrite(done.artifacts[name], **values)
    code, said = rerun(capfd, "dinner", "--plan")
    assert code == 0
    assert "torch 0.1 → " in said
    assert "aaaaaaaaaaaa with changes → " in said


def _rewrite(folder: Path, **values: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | values), encoding="utf-8")


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["recipe_config"]
    return config


DISH = {"plugin": "stage/dish", "data": "${artifact:word}", "flavour": {"plugin": "flavour/salt"}}
HOSTILE: list[tuple[str, Any, str]] = [
    ("word", {"_target_": "os.system"}, "_target_"),
    ("word", {"plugin": "stage/nothing"}, "there is no stage called nothing any more"),
    ("word", {"plugin": "stage/word", "wrod": 1}, "wrod"),
    ("word", {"plugin": "stage/word", "word": {"_target_": "os.system"}}, ""),
    ("lunch", DISH | {"flavour": {"plugin": "flavour/salt", "grams": "much"}}, "lunch.flavour"),
    ("hydra", {"callbacks": {"x": {"_target_": "os.system"}}}, "hydra"),
    ("lunch", DISH | {"data": "../../etc"}, "no stored artifact"),
]


@pytest.mark.parametrize(("name", "value", "said"), HOSTILE)
def test_a_strangers_manifest_meets_the_checks_of_a_recipe(
    kitchen: Path, capfd: pytest.CaptureFixture[str], name: str, value: Any, said: str
) -> None:
    done = konomi.run("meal")
    folder = done.artifacts["dinner"]
    _rewrite(folder, recipe_config=_config(folder) | {name: value}, inputs={})
    code, told = rerun(capfd, str(folder))
    assert code in (1, 2), told
    assert said in told


def test_what_only_the_command_line_may_say_must_be_said_anew(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = {"sft": {"plugin": "stage/sft", "model": {"plugin": "model/hub", "trust_remote_code": True}}}
    with pytest.raises(konomi.faults.Faults, match=r"type sft\.model\.trust_remote_code=true"):
        written(config)
    assert "trust_remote_code" not in written(config, ["model.trust_remote_code=true"])


def test_a_recorded_defaults_list_is_not_taken_for_one(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = konomi.run("meal")
    _rewrite(done.artifacts["dinner"], recipe_config=_config(done.artifacts["dinner"]) | {"defaults": ["/etc/passwd"]})
    assert rerun(capfd, "dinner")[0] == 0
    assert newest_run() == keys_of(done.folder)


@pytest.mark.parametrize("text", ["{}", '{"key": "k"}', "[]", "{", '{"key":"k","stage":"s","plugin":"p","recipe":"r"}'])
def test_a_damaged_manifest_is_told_in_one_line(
    kitchen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    code, said = rerun(capfd, str(folder))
    assert code in (1, 2)
    assert "manifest" in said
