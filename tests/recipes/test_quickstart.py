"""The main job, at its smallest: it runs whole, again from the store, on in a sweep, and stops in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from konomi.store import Store

pytestmark = pytest.mark.slow
SMOKE = "size=smoke"


def konomi(folder: Path, *words: str, code: int = 0, **environment: str) -> str:
    """Run the command in a folder and return what it said."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "konomi", *words],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "KONOMI_STORE": ".konomi", **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def newest(folder: Path, recipe: str) -> Path:
    return max((folder / "runs" / recipe).iterdir(), key=lambda path: path.name)


def record(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return value


def made(folder: Path) -> list[str]:
    return [row["name"] for row in record(folder)["stages"] if not row["cached"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder, with a space and Japanese in its path, in which the quickstart has run."""
    folder = tmp_path_factory.mktemp("好み の 場所")
    said = konomi(folder, "run", "quickstart", SMOKE)
    assert "report" in said
    return folder


def test_it_makes_every_stage_and_leaves_nothing_half_written(place: Path) -> None:
    run = record(newest(place, "quickstart"))
    assert run["exit"] == 0
    assert [row["name"] for row in run["stages"]] == [
        "english", "japanese", "base", "extend_vocab", "tokens", "reference_model", "reference", "pretrain",
        "instructions", "instruction_tokens", "sft", "preferences", "pair_tokens", "pair_reference", "align",
        "evaluate",
    ]  # fmt: skip
    assert list((place / ".konomi" / "tmp").iterdir()) == []
    assert not any((place / ".konomi" / "work").rglob("checkpoint-*"))


def test_its_models_load_with_plain_transformers(place: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for stage in ("base", "extend_vocab", "pretrain", "sft", "align"):
        folder = newest(place, "quickstart") / stage
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer("def mean(values): 平均を返す。", return_tensors="pt")["input_ids"]
        assert model(input_ids=ids).logits.shape[:2] == ids.shape
        assert (folder / "README.md").exists() or stage == "extend_vocab"


def test_a_second_time_every_stage_is_cached(place: Path) -> None:
    konomi(place, "run", "quickstart", SMOKE)
    assert made(newest(place, "quickstart")) == []
    assert record(newest(place, "quickstart"))["seconds"] < 3


def test_another_loss_makes_only_align_and_what_follows(place: Path) -> None:
    konomi(place, "run", "quickstart", SMOKE, "loss=ipo")
    assert made(newest(place, "quickstart")) == ["align", "evaluate"]


def test_the_report_shows_what_it_promises(place: Path) -> None:
    page = (newest(place, "quickstart") / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    for promised in (
        "Bits per character", "character bigram", "Why documents were dropped", "characters",
        "Tokens seen and selected", "margin", "Time by stage", "How to go on",
    ):  # fmt: skip
        assert promised in page


def test_the_first_runs_figures_agree_between_report_and_manifest(place: Path) -> None:
    stages = {row["name"]: row for row in record(newest(place, "quickstart"))["stages"]}
    results = json.loads((Path(stages["evaluate"]["path"]) / "manifest.json").read_text(encoding="utf-8"))["results"]
    assert {"base", "extend_vocab", "uniform", "rho1", "sft", "align"} == set(results["metrics"])
    accuracy = results["metrics"]["align"]["preference_accuracy"]
    assert all(
        0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
        for name, metric in accuracy.items()
        if "accuracy" in name
    )


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib"]])
def test_a_sweep_makes_what_it_shares_once(place: Path, launcher: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    sweep = ["-m", "loss=dpo,ipo", "loss.beta=0.05,0.3", f"store='{store}'", "hydra.sweep.dir=sweep", *launcher]
    said = konomi(tmp_path, "run", "dpo", SMOKE, *sweep)
    assert "4 of 4 points ended well" in said
    events = Counter(event["key"] for event in Store(store).events())
    assert set(events.values()) == {1}
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()) == [
        "loss=dpo,beta=0.05", "loss=dpo,beta=0.3", "loss=ipo,beta=0.05", "loss=ipo,beta=0.3",
    ]  # fmt: skip
    assert Counter(str(event["stage"]) for event in Store(store).events())["align"] == 4
    said = konomi(tmp_path, "compare", "sweep")
    assert "loss" in said
    assert (tmp_path / "sweep" / "compare.html").exists()


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGTERM, 75, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")])
def test_a_signal_seals_and_the_same_command_goes_on(place: Path, number: int, code: int, word: str) -> None:
    words = ["run", "quickstart", SMOKE, "until=base", "base.trainer.max_steps=4000", f"base.seed={number}"]
    child = subprocess.Popen(
        [sys.executable, "-m", "konomi", *words], cwd=place, env={**os.environ, "KONOMI_STORE": ".konomi"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    log = None
    for _ in range(600):
        time.sleep(0.1)
        log = newest(place, "quickstart") / "run.log"
        if log.exists() and "step 20 of 4000" in log.read_text(encoding="utf-8"):
            break
    child.send_signal(number)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == code, said
    assert word in said
    store = Store(place / ".konomi")
    key = json.loads(konomi(place, "plan", *words[1:], "--json"))[0]["stages"][-1]["key"]
    stopped_at = last_sealed(store, key)
    assert stopped_at >= 20
    assert not store.has(key)
    konomi(place, *words, "deadline=12s", code=75)
    assert last_sealed(store, key) > stopped_at


def last_sealed(store: Store, key: str) -> int:
    """Return the step of a key's newest sealed checkpoint."""
    return max(int(seal.parent.name.rpartition("-")[2]) for seal in store.work(key).rglob("checkpoint-*/sealed.json"))


def test_two_processes_train_through_accelerate(place: Path) -> None:
    konomi(place, "run", "quickstart", SMOKE, "until=align", "align.compute=ddp", "align.compute.processes=2")
    run = newest(place, "quickstart")
    assert made(run) == ["align"]
    assert (run / "align" / "model.safetensors").exists()


def test_smoke_does_three_steps_of_each_stage_and_publishes_nothing(place: Path) -> None:
    before = Store(place / ".konomi").made()
    said = konomi(place, "plan", "quickstart", SMOKE, "--smoke", "align.loss.beta=0.77")
    assert "nothing was published" in said
    assert Store(place / ".konomi").made() == before
