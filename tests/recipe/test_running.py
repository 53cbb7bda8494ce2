"""A plan is carried out: what is there is taken, what is missing is made, and a stop loses nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import konomi
from konomi.cli import main
from konomi.faults import Faults, KonomiError, Stopped
from konomi.runner import carry_out


def run(recipe: str, *overrides: str) -> dict[str, bool]:
    """Run a recipe and tell which stages were cached."""
    done = konomi.run(recipe, overrides)
    record = json.loads((done.folder / "run.json").read_text(encoding="utf-8"))
    return {row["name"]: row["cached"] for row in record["stages"]}


def test_a_second_run_makes_nothing(kitchen: Path) -> None:
    assert run("meal") == {"word": False, "lunch": False, "dinner": False}
    assert run("meal") == {"word": True, "lunch": True, "dinner": True}


def test_a_changed_option_makes_its_stage_and_what_follows(kitchen: Path) -> None:
    run("meal")
    assert run("meal", "lunch.flavour.grams=2") == {"word": True, "lunch": False, "dinner": False}
    assert run("meal", "dinner.flavour.corns=2") == {"word": True, "lunch": True, "dinner": False}


def test_an_option_that_cannot_change_the_result_is_not_in_the_key(kitchen: Path) -> None:
    run("meal")
    assert all(run("meal", "lunch.flavour.cooks=7").values())


@pytest.mark.parametrize(
    "same",
    [
        ["lunch.flavour.grams=1"],
        ["lunch.flavour.grams=1.0", "word.word=hello"],
        ["word.word=hello", "lunch.flavour.grams=1e0"],
        ["dinner.flavour=pepper"],
        ["name=other", "hydra.verbose=true"],
    ],
)
def test_equal_meanings_share_a_key(kitchen: Path, same: list[str]) -> None:
    plain = [step.key for step in konomi.plan("meal").steps]
    assert [step.key for step in konomi.plan("meal", same).steps] == plain


def test_the_content_of_a_file_is_in_the_key(kitchen: Path, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("1")
    first = konomi.plan("meal", [f"word.file={file}"]).steps[0].key
    file.write_text("2")
    assert konomi.plan("meal", [f"word.file={file}"]).steps[0].key != first


def test_the_plan_names_the_field_that_made_the_difference(kitchen: Path) -> None:
    run("meal")
    steps = konomi.plan("meal", ["lunch.flavour.grams=2"]).steps
    assert [step.cached for step in steps] == [True, False, False]
    assert steps[1].why == "flavour.grams: 1 → 2"


def test_until_stops_after_a_stage_and_refresh_makes_it_anew(kitchen: Path) -> None:
    assert list(run("meal", "until=lunch")) == ["word", "lunch"]
    assert run("meal", "refresh=lunch") == {"word": True, "lunch": False, "dinner": False}
    assert all(run("meal").values())
    with pytest.raises(Faults, match="did you mean lunch"):
        konomi.plan("meal", ["until=lunhc"])


def test_refresh_counts_anew_in_each_run_of_a_process(kitchen: Path) -> None:
    run("meal")
    for _ in range(2):
        assert run("meal", "refresh=lunch") == {"word": True, "lunch": False, "dinner": False}


def test_a_stage_that_nothing_needs_is_pruned(kitchen: Path) -> None:
    assert [step.name for step in konomi.plan("one").steps] == ["word", "side", "dish"]
    plan = konomi.plan("one", ["dish.serve=false"])
    assert [step.name for step in plan.steps] == ["word", "dish"]
    assert plan.pruned == ["side"]
    assert "side" not in plan.steps[-1].parts["fields"]


def test_the_manifest_says_what_made_the_artifact(kitchen: Path) -> None:
    done = konomi.run("meal", ["word.word=味"])
    manifest = json.loads((done.artifacts["lunch"] / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["overrides"] == ["word.word=味"]
    assert manifest["config"]["data"] == "${artifact:word}"
    assert manifest["inputs"] == {"data": manifest["key_parts"]["fields"]["data"]["artifact"]}
    assert {"python", "konomi", "hydra-core"} <= manifest["versions"].keys()
    assert manifest["seconds"] >= 0
    assert manifest["peak_memory"] > 0
    assert json.loads((done.artifacts["word"] / "manifest.json").read_text())["results"] == {"letters": 1}


def test_a_run_leaves_a_report_a_record_and_links(kitchen: Path) -> None:
    done = konomi.run("meal")
    assert done.report is not None
    assert "dinner" in done.report.read_text(encoding="utf-8")
    assert (done.folder / "dinner" / "word.txt").read_text() == "hello with Salt with Pepper"


def test_a_stage_that_fails_publishes_nothing_and_keeps_what_was_whole(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = konomi.plan("meal")

    def fails(job: Any) -> None:
        (job.out / "word.txt").write_text("torn")
        raise KonomiError("burnt")

    monkeypatch.setattr(type(planned.steps[1].stage), "run", lambda self, job: fails(job))
    with pytest.raises(KonomiError, match="burnt"):
        carry_out(planned, kitchen.parent / "out", say=lambda line: None)
    assert [step.cached for step in konomi.plan("meal").steps] == [True, False, False]
    assert json.loads((kitchen.parent / "out" / "run.json").read_text())["exit"] == 1


def test_an_input_that_changes_while_it_is_read_is_not_published(kitchen: Path, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("1")
    planned = konomi.plan("meal", [f"word.file={file}"])
    file.write_text("2")
    with pytest.raises(KonomiError, match="changed while it ran"):
        carry_out(planned, tmp_path / "out", say=lambda line: None)
    assert planned.store.made() == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_signal_stops_in_good_order(kitchen: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planned = konomi.plan("meal")

    def signalled(self: Any, job: Any) -> None:
        os.kill(os.getpid(), getattr(signal, name))
        for _ in job.progress(range(100)):
            time.sleep(0.01)

    monkeypatch.setattr(type(planned.steps[1].stage), "run", signalled)
    with pytest.raises(Stopped, match=name):
        carry_out(planned, kitchen.parent / "out", say=lambda line: None)
    assert json.loads((kitchen.parent / "out" / "run.json").read_text())["exit"] == 75
    monkeypatch.undo()


def test_a_deadline_stops_in_good_order(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = konomi.plan("meal", ["deadline=0.2s"])

    def slow(self: Any, job: Any) -> None:
        for _ in job.progress(range(1000)):
            time.sleep(0.01)

    monkeypatch.setattr(type(planned.steps[1].stage), "run", slow)
    with pytest.raises(Stopped, match="deadline"):
        carry_out(planned, kitchen.parent / "out", say=lambda line: None)


def test_two_runs_at_once_make_each_artifact_once(kitchen: Path) -> None:
    plans = [konomi.plan("meal") for _ in range(2)]
    threads = [
        threading.Thread(target=carry_out, args=(plan, kitchen.parent / f"out{number}"), kwargs={"say": lambda _: None})
        for number, plan in enumerate(plans)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [event["key"] for event in plans[0].store.events()]
    assert sorted(made) == sorted(step.key for step in plans[0].steps)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["plan", "meal"], 0, "never made"),
        (["plan", "meal", "--json"], 0, '"recipe": "meal"'),
        (["plan", "meal", "-m", "dinner.flavour.corns=1,2"], 0, "shared by 2 points"),
        (["plan", "maels"], 2, "did you mean meal"),
        (["plan", "meal", "--frobnicate"], 2, "frobnicate"),
        (["plam", "meal"], 2, "did you mean plan"),
        (["run", "lunch.flavour.grams=1"], 2, "a recipe comes first"),
        (["run", "meal", "--config-dir", "/nowhere"], 2, "no folder"),
        (["run"], 2, "which recipe"),
        (["recipes"], 0, "A word, cooked twice."),
        (["plugins", "flavour"], 0, "Add salt."),
        (["plugins", "flavour/salt"], 0, "How much."),
        (["plugins", "flavuor"], 1, "did you mean flavour"),
        (["plugins", "flavour/sallt"], 1, "did you mean salt"),
        (["show", "nothing"], 1, "there is no artifact nothing"),
        (["--version"], 0, "konomi "),
        ([], 0, "konomi run quickstart"),
    ],
)
def test_commands_answer(
    kitchen: Path, capfd: pytest.CaptureFixture[str], argv: list[str], code: int, said: str
) -> None:
    assert main(argv) == code
    out, err = capfd.readouterr()
    assert said in out + err
    assert "Traceback" not in out + err


def test_plugins_as_json_is_json_alone(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "flavour", "--json"]) == 0
    out, _ = capfd.readouterr()
    pepper, salt = json.loads(out)
    assert (pepper["kind"], pepper["name"], pepper["summary"]) == ("flavour", "pepper", "Add pepper.")
    assert salt["options"][0] == {
        "name": "grams", "type": "float", "default": 1.0, "required": False, "help": "How much.",
    }  # fmt: skip


def test_show_finds_by_stage_by_key_and_by_its_beginning(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = konomi.run("meal", ["word.word=味"])
    key = done.artifacts["lunch"].name
    for which in ("lunch", key, key[:12], str(done.artifacts["lunch"])):
        assert main(["show", which]) == 0
        out, _ = capfd.readouterr()
        assert key in out
        assert "word.word=味" in out
    assert main(["show", "lunch", "--json"]) == 0
    assert json.loads(capfd.readouterr()[0])["key"] == key


def test_a_smoke_publishes_nothing(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    konomi.run("meal", ["until=word"])
    assert main(["plan", "meal", "--smoke"]) == 0
    assert [step.cached for step in konomi.plan("meal").steps] == [True, False, False]


def test_the_order_of_named_artifacts_is_part_of_the_key(kitchen: Path) -> None:
    keys = {
        konomi.plan("basket", [f"basket.data={{{order}}}"]).steps[-1].key
        for order in ("a: '${artifact:one}', b: '${artifact:two}'", "b: '${artifact:two}', a: '${artifact:one}'")
    }
    assert len(keys) == 2


def test_refresh_makes_a_stage_once_in_a_sweep(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    konomi.run("meal")
    assert main(["run", "meal", "-m", "dinner.flavour.corns=3,4", "refresh=word", "hydra.sweep.dir=sweep"]) == 0
    events = [event["stage"] for event in konomi.plan("meal").store.events()]
    assert events.count("word") == 2
    assert "2 of 2 points ended well" in capfd.readouterr()[0]


def test_a_deadline_ends_a_sweep_as_a_whole(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "meal", "-m", "dinner.flavour.corns=3,4", "deadline=0.001s", "hydra.sweep.dir=sweep"]
    assert main(words) == 75
    assert "0 of 2 points ended well" in capfd.readouterr()[0]


def test_a_child_gets_no_reference_that_its_stage_does_not_use(kitchen: Path) -> None:
    from konomi.launch import _resolved

    step = konomi.plan("one", ["dish.serve=false"]).steps[-1]
    assert _resolved(step)["side"] is None
    assert _resolved(konomi.plan("one").steps[-1])["side"] == "artifact:side"
