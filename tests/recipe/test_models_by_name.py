"""`model.name_or_path=NAME`: an artifact's name or key is the artifact; all else is a folder or the hub's."""

from __future__ import annotations

from pathlib import Path

import pytest

import konomi
from konomi.faults import Faults
from konomi.recipe.planning import Plan
from konomi.store import Store
from konomi.store.names import give

MODEL, DATA = f"align-{'1' * 24}", f"curate-{'2' * 24}"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store with a model and data in it, both with names, in a working folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "store")
    monkeypatch.setenv("KONOMI_STORE", str(store.root))
    for key, makes, name in ((MODEL, "model", "swallow-v2"), (DATA, "text", "texts-v1")):
        with store.writing() as out:
            store.publish(out, key, {"key": key, "stage": key.partition("-")[0], "makes": makes, "plugin": "stage/x"})
        give(store, name, key)
    return store


def sft(name: str) -> Plan:
    return konomi.plan("sft", ["size=smoke", f"model.name_or_path={name}"])


def test_a_name_is_its_artifact_and_not_in_the_key(store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "align").symlink_to(store.path(MODEL), target_is_directory=True)
    plans = [sft(word) for word in ("swallow-v2", MODEL, "${artifact:swallow-v2}", "run/align")]
    assert {plan.step("sft").inputs["model.name_or_path"].key for plan in plans} == {MODEL}
    assert len({plan.step("sft").key for plan in plans}) == 1
    assert "pretrain" in plans[0].pruned


def test_moving_a_name_changes_the_key(store: Store) -> None:
    before = sft("swallow-v2").step("sft").key
    other = f"align-{'3' * 24}"
    with store.writing() as out:
        store.publish(out, other, store.manifest(MODEL) | {"key": other})
    give(store, "swallow-v2", other, move=True)
    assert sft("swallow-v2").step("sft").key != before


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("texts-v1", "takes model, and the stage"),
        ("no-such-model", "no-such-model is no folder and not in the hub's cache"),
        ("./swallow-v2", "there is no folder ./swallow-v2"),
    ],
)
def test_what_is_no_model_is_told(store: Store, word: str, said: str) -> None:
    with pytest.raises(Faults, match=said):
        sft(word)


def test_a_folder_of_the_same_name_is_told_and_not_guessed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "swallow-v2").mkdir()
    with pytest.raises(Faults, match=r"type \./swallow-v2 or '\$\{artifact:swallow-v2\}'"):
        sft("swallow-v2")
    assert sft("${artifact:swallow-v2}").step("sft").inputs["model.name_or_path"].key == MODEL


def test_a_name_whose_artifact_has_gone_is_told(store: Store) -> None:
    store.remove(MODEL)
    with pytest.raises(Faults, match="konomi tag --delete swallow-v2"):
        sft("swallow-v2")
