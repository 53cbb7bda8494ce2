"""A secret is refused where it would be written down, and the refusal does not repeat it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from konomi.cli import main
from konomi.recipe.secrets import shape

from .conftest import holding

BODY = "Qx7Zt9Lk2Wv4Bn6Mp8Rs0Yd3Fg5Hj1Ca"
SECRETS = {
    "hub": f"hf_{BODY}",
    "key": f"sk-{BODY}",
    "project key": f"sk-proj-{BODY}-{BODY}",
    "another maker's key": f"sk-ant-api03-{BODY}",
    "GitHub": f"ghp_{BODY}",
    "GitHub, fine-grained": f"github_pat_{BODY}",
    "GitLab": f"glpat-{BODY[:20]}",
    "Slack": f"xoxb-123456789012-{BODY}",
    "AWS": "AKIA" + "Q7Z9L2W4B6M8R0Y3",
    "Google": f"AIza{BODY}abc",
    "JWT": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{BODY}",
    "bearer": f"Bearer {BODY}",
    "address": f"https://me:{BODY}@example.org/data.jsonl",
}
"""Made up, in the shape of the real ones."""
PLACES = {
    "an option": ["word.word={}"],
    "a text around it": ["word.word=see {} there"],
    "a mapping": ["word.extra.x={}"],
    "a whole mapping": ["word.extra={{x: '{}'}}"],
    "a list": ["lunch.flavour.names=[a,'{}']"],
    "the run's name": ["name={}"],
    "a library's argument": ["lunch.library.run_name={}"],
    "an option that is not there": ["word.wrod={}"],
    "the run's folder": ["hydra.run.dir=runs/{}"],
    "a variable for the job": ["+hydra.job.env_set.X={}"],
    "a point of a sweep": ["-m", "word.word=a,'{}'"],
    "the folder of a sweep": ["-m", "hydra.sweep.dir='{}'", "word.word=a,b"],
    "a name": ["word.extra.{}=1"],
    "beside another fault": ["lunch.flavour=sugar", "word.word={}"],
}
COMMANDS = (["plan"], ["run"], ["run", "--cfg", "job"], ["run", "--info", "all"])
LITERALS = (
    "lunch.library.hub_token=hunter2x",
    "word.extra.password=hunter2x",
    "word.extra.openai_api_key=hunter2x",
    "word.extra={db_password: hunter2x}",
    "+word.extra.token=hunter2x",
    "++lunch.library.client_secret=hunter2x",
    "word.word=${oc.env:CANARY_TOKEN}",
    "word.word=${oc.decode:${oc.env:CANARY_API_KEY}}",
    "hydra.job.env_copy=[CANARY_TOKEN]",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_in_an_override_is_refused_and_not_repeated(
    kitchen: Path, capfd: pytest.CaptureFixture[str], place: str
) -> None:
    for secret in SECRETS.values():
        overrides = [item.format(secret) for item in PLACES[place]]
        for command, *flags in COMMANDS:
            assert main([command, "meal", *overrides, *flags]) == 2
            out, err = capfd.readouterr()
            assert BODY[:12] not in out + err, err
            assert secret not in out + err, err
            assert "environment variable" in err
    assert holding(kitchen.parent, BODY[:12]) == []


@pytest.mark.parametrize("override", LITERALS)
def test_an_option_named_like_a_secret_takes_no_literal(
    kitchen: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "hunter2x")
    monkeypatch.setenv("CANARY_API_KEY", "hunter2x")
    assert main(["plan", "meal", override]) == 2
    out, err = capfd.readouterr()
    assert "hunter2x" not in out + err
    assert err.count("\n- ") == 1, err


@pytest.mark.parametrize("text", ["word: {{word: '{}'}}", "word: {{extra: {{'{}': x}}}}", "name: '{}'"])
def test_a_secret_in_a_recipe_is_refused_and_not_repeated(
    kitchen: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    for secret in SECRETS.values():
        (kitchen / "leaky.yaml").write_text("defaults: [meal, _self_]\n" + text.format(secret), encoding="utf-8")
        assert main(["plan", "leaky"]) == 2
        out, err = capfd.readouterr()
        assert BODY[:12] not in out + err, err


def test_a_secret_that_a_variable_brings_is_refused_when_it_is_seen(
    kitchen: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_WORD", SECRETS["hub"])
    assert main(["plan", "meal", "word.word=${oc.env:CANARY_WORD}"]) == 2
    out, err = capfd.readouterr()
    assert BODY not in out + err
    assert "word.word" in err


@pytest.mark.parametrize(
    "override",
    [
        "word.word=hf_datasets_of_mine",
        "word.word=sk-learn-tutorial-notebooks",
        "word.word=https://example.org/a:b@c",
        "word.word=a bearer of good news",
        "word.extra.api_key_env=MY_KEY",
        "word.extra.pad_token=<pad>",
        "word.extra.max_tokens=512",
        "word.extra.token_env=HF_TOKEN",
        "word.extra.secretary=Ann",
        "word.word=${oc.env:HOME}",
        "word.word=" + "ab" * 20,
    ],
)
def test_what_is_no_secret_is_taken(kitchen: Path, capfd: pytest.CaptureFixture[str], override: str) -> None:
    assert main(["plan", "meal", override]) == 0, capfd.readouterr().err


def test_every_shape_is_told_by_its_name(said: Callable[[str], None]) -> None:
    assert len({shape(secret) for secret in SECRETS.values()}) == len(SECRETS) - 3
    tried = len(SECRETS) * len(PLACES) * len(COMMANDS) + len(LITERALS) + 3 * len(SECRETS)
    said(f"canary secrets: {tried} refusals, none of them repeats the secret")


@pytest.mark.slow
def test_a_token_in_the_environment_is_written_nowhere(tmp_path: Path, said: Callable[[str], None]) -> None:
    """A training is stopped so that its checkpoint stays, with the arguments that transformers pickles into it."""
    tokens = {name: f"hf_{BODY}{name}" for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "MY_KEY")}
    command = [sys.executable, "-m", "konomi", "run", "quickstart", "size=smoke", "until=base"]
    options = ["base.trainer.max_steps=100000", "base.trainer.save_steps=2", "base.trainer.logging_steps=1"]
    store, said_file = tmp_path / "store", tmp_path / "said"
    with said_file.open("wb") as stream:
        run = subprocess.Popen(
            [*command, *options], cwd=tmp_path, env={**os.environ, **tokens, "KONOMI_STORE": str(store)},
            stdout=stream, stderr=stream,
        )  # fmt: skip
        while run.poll() is None and not list(store.glob("work/*/*/checkpoint-*/sealed.json")):
            time.sleep(0.2)
        run.terminate()
        assert run.wait(60) == 75, said_file.read_text(encoding="utf-8")
    pickled = list(store.glob("work/*/*/checkpoint-*/training_args.bin"))
    assert pickled
    assert pickled[0].stat().st_size > 1000
    assert list(store.glob("objects/*/training_args.bin")) == []
    assert holding(tmp_path, BODY) == []
    files = sum(path.is_file() for path in tmp_path.rglob("*"))
    said(f"tokens in the environment: {len(tokens)}, looked for in {files} files of a run: 0 found")
