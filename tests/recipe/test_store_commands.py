"""`konomi store`, `tag`, `show` and `diff`, as a person types them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import konomi
from konomi.cli import main
from konomi.faults import Faults
from konomi.recipe.planning import NEAREST_OF
from konomi.store import Store
from konomi.store.names import give
from konomi.store.shelf import Shelf


@pytest.fixture
def typed(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    def type_(*words: str) -> tuple[int, str]:
        code = main(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return type_


def store_of(run: Any) -> Store:
    return Store(next(iter(run.artifacts.values())).parents[1])


def test_ls_tells_what_there_is_and_who_refers_to_it(typed: Any) -> None:
    done = konomi.run("meal")
    typed("tag", "lunch", "my-lunch")
    code, said = typed("store", "ls")
    assert code == 0
    assert [line.split()[1] for line in said.splitlines()[1:4]] == ["word", "lunch", "dinner"]
    assert "my-lunch" in said
    lunch = json.loads(typed("store", "ls", "--json")[1])[1]
    assert (lunch["key"], lunch["names"]) == (done.artifacts["lunch"].name, ["my-lunch"])
    assert lunch["runs"] == [str(done.folder.resolve())]
    assert lunch["size"] == sum(path.stat().st_size for path in done.artifacts["lunch"].glob("w*"))


def test_shelves_are_counted_collected_and_looked_at(typed: Any) -> None:
    done = konomi.run("meal")
    store = store_of(done)
    kept, gone = (Shelf(store.root / "shelves" / name) for name in ("rows-kept", "rows-gone"))
    kept.refer(done.artifacts["word"].name)
    gone.refer("word-of-a-run-that-is-gone")
    for shelf in (kept, gone):
        with shelf.put("a.json") as path:
            path.write_text("[1, 2, 3]")
    assert "2 shelves beside them, 18\u202fB" in typed("store", "ls")[1]
    listed = [entry for entry in json.loads(typed("store", "ls", "--json")[1]) if entry["stage"] == "shelf"]
    assert [(entry["key"], entry["runs"]) for entry in listed] == [
        ("shelves/rows-gone", []),
        ("shelves/rows-kept", [str(done.folder.resolve())]),
    ]
    said = typed("store", "gc")[1]
    assert "rows-gone" in said and "rows-kept" not in said
    typed("store", "gc", "--delete")
    assert kept.has("a.json") and not gone.folder.exists()
    assert typed("store", "verify")[0] == 0
    kept.path("a.json").write_text("[1, 2")
    code, said = typed("store", "verify")
    assert code == 1
    assert "shelves/rows-kept: a.json cannot be read" in said and "1 files are damaged: delete them" in said


def test_why_names_the_option_and_where_it_was_changed(typed: Any) -> None:
    first, second = konomi.run("meal"), konomi.run("meal", ["word.word=味", "dinner.flavour.corns=5"])
    a, b = (run.artifacts["dinner"].name for run in (first, second))
    code, said = typed("store", "why", a, str(second.folder / "dinner"))
    assert code == 0
    assert said.splitlines()[0] == f"{a} → {b}"
    assert "  flavour.corns: 3 → 5" in said
    assert "      word: hello → 味" in said, "the input's input differs, and says where"
    assert ".artifact" not in said
    found = json.loads(typed("store", "why", a, b, "--json")[1])
    assert found["inputs"]["data"]["inputs"]["data"]["differs"] == ["word: hello → 味"]
    assert "one and the same" in typed("store", "why", a, a)[1]


def test_gc_lists_and_deletes_only_when_asked(typed: Any) -> None:
    kept, gone = konomi.run("meal"), konomi.run("meal", ["dinner.flavour.corns=5"])
    assert "nothing to delete" in typed("store", "gc")[1]
    shutil.rmtree(gone.folder)
    dinner = gone.artifacts["dinner"]
    code, said = typed("store", "gc")
    assert code == 0
    assert dinner.name in said
    assert dinner.exists()
    said = typed("store", "gc", "--delete")[1]
    assert "freed (" in said
    assert not dinner.exists()
    assert store_of(kept).made() == sorted(path.name for path in kept.artifacts.values())
    assert len(list((store_of(kept).root / "runs").iterdir())) == 1


def test_verify_ends_with_1_where_a_seal_does_not_hold(typed: Any) -> None:
    done = konomi.run("meal")
    code, said = typed("store", "verify")
    assert (code, "3 of 3 artifacts hold" in said) == (0, True)
    (done.artifacts["lunch"] / "word.txt").write_text("spoilt")
    code, said = typed("store", "verify")
    assert code == 1
    assert f"{done.artifacts['lunch'].name}: word.txt" in said
    assert "2 of 3 artifacts hold" in said
    wrong = [row["key"] for row in json.loads(typed("store", "verify", "--json")[1]) if row["wrong"]]
    assert wrong == [done.artifacts["lunch"].name]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["store"], 1, "type konomi store ls"),
        (["store", "lss"], 1, "did you mean ls"),
        (["store", "why", "a"], 1, "type konomi store why A B"),
        (["store", "why", "dinnner", "word"], 1, "did you mean dinner"),
        (["store", "gc", "word"], 1, "leave out word"),
        (["store", "ls", "store=nowhere"], 1, "there is no store"),
        (["store", "gc", "--runs", "nowhere"], 1, "there is no folder nowhere"),
        (["tag"], 0, "no names in"),
        (["tag", "word"], 1, "type konomi tag ARTIFACT NAME"),
        (["tag", "word", "word"], 1, "reads as the name of a stage"),
        (["tag", "word", "../x-1"], 1, "can be no name"),
        (["tag", "wrod", "x-1"], 1, "did you mean word"),
        (["tag", "--delete", "x-1"], 1, "nothing in"),
        (["tag", "word", "x-1", "--delete", "x-1"], 1, "takes one name"),
        (["diff", "word", "wrod"], 1, "did you mean word"),
        (["rerun", "wrod"], 1, "did you mean word"),
        (["rerun", "dinner", "lunhc.flavour.grams=2"], 2, "did you mean lunch"),
    ],
)
def test_mistakes_say_what_to_type(typed: Any, words: list[str], code: int, said: str) -> None:
    konomi.run("meal")
    found = typed(*words)
    assert found[0] == code, found[1]
    assert said in found[1]


def test_a_tag_is_given_moved_listed_and_taken_away(typed: Any) -> None:
    done = konomi.run("meal")
    assert typed("tag", str(done.folder / "lunch"), "my-dish")[0] == 0
    assert "--move" in typed("tag", "dinner", "my-dish")[1]
    assert typed("tag", "dinner", "my-dish", "--move")[0] == 0
    assert done.artifacts["dinner"].name in typed("tag")[1]
    assert json.loads(typed("tag", "--json")[1]) == {"my-dish": done.artifacts["dinner"].name}
    assert typed("tag", "--delete", "my-dish")[0] == 0
    assert "no names" in typed("tag")[1]


@pytest.mark.parametrize("form", ["${{artifact:{}}}", "{}"])
def test_a_name_stands_wherever_an_artifact_is_asked_for(kitchen: Path, form: str) -> None:
    done = konomi.run("meal", ["word.word=味"])
    key = done.artifacts["word"].name
    give(store_of(done), "my-word", key)
    plans = [konomi.plan("meal", [f"lunch.data={form.format(word)}"]) for word in ("my-word", key)]
    assert plans[0].step("lunch").inputs["data"].key == key
    assert plans[0].steps[-1].key == plans[1].steps[-1].key, "the name is not in the key"
    assert [step.name for step in plans[0].steps] == ["lunch", "dinner"]
    assert all(step.cached for step in plans[0].steps)


def test_an_unknown_name_is_told_with_the_nearest(kitchen: Path) -> None:
    give(store_of(done := konomi.run("meal")), "my-word", done.artifacts["word"].name)
    for wrong, near in (("my-wrod", "my-word"), ("lnch", "lunch")):
        with pytest.raises(Faults, match=f"did you mean {near}"):
            konomi.plan("meal", [f"dinner.data={wrong}"])


def test_show_tells_names_and_lineage_and_reads_a_copied_folder(typed: Any, tmp_path: Path) -> None:
    done = konomi.run("meal")
    typed("tag", "dinner", "my-dinner")
    said = typed("show", "my-dinner")[1]
    lunch, word = (done.artifacts[name].name for name in ("lunch", "word"))
    assert "  named      my-dinner" in said
    assert f"    data: {lunch} (lunch)\n      data: {word} (word)" in said
    shutil.copytree(done.artifacts["dinner"], tmp_path / "elsewhere" / "copy")
    said = typed("show", str(tmp_path / "elsewhere" / "copy"), "--store", str(tmp_path / "no-store"))[1]
    assert f"data: {lunch} (not in this store)" in said


def test_diff_sets_recipes_and_results_side_by_side(typed: Any) -> None:
    first, second = konomi.run("meal"), konomi.run("meal", ["word.word=味噌"])
    a, b = (run.artifacts["word"].name for run in (first, second))
    found = json.loads(typed("diff", a, b, "--json")[1])
    assert found["recipe"] == {"word.word": ["hello", "味噌"]}
    assert found["made by"] == {"overrides": [[], ["word.word=味噌"]]}
    assert found["results"] == {"letters": [5, 2]}
    assert found["versions"] == found["code"] == {}
    said = typed("diff", a, b)[1]
    assert "  word.word" in said
    assert "one and the same" in typed("diff", a, a)[1]


def test_the_difference_is_found_fast_among_many_artifacts(kitchen: Path) -> None:
    store = store_of(done := konomi.run("meal"))
    lunch = store.manifest(done.artifacts["lunch"].name)
    padded = {**lunch, "padding": "x" * 20_000}
    for number in range(400):
        store.path(f"dish-{number:024x}").mkdir()
        (store.path(f"dish-{number:024x}") / "manifest.json").write_text(json.dumps(padded), encoding="utf-8")
    read: list[str] = []
    manifest = Store.manifest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "manifest", lambda self, key: (read.append(key), manifest(self, key))[1])
        begin = time.perf_counter()
        step = konomi.plan("meal", ["lunch.flavour.grams=2"]).step("lunch")
    assert step.why == "flavour.grams: 1 → 2"
    assert len(read) <= NEAREST_OF
    assert time.perf_counter() - begin < 5
