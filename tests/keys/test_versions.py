"""An upgrade of torch, transformers or TRL throws nothing away, and the plan tells what was made before it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import konomi
from konomi import provenance, register, search_path
from konomi.cli import main
from konomi.fields import choice
from konomi.job import Job


@register("stage", "keys_weigh")
@dataclass(frozen=True)
class Weigh:
    """A stage with a model in it."""

    model: Any = choice("model", "tiny")
    """The model."""
    makes: ClassVar[str] = "text"

    def run(self, job: Job) -> None:
        (job.out / "weight.txt").write_text("heavy")


def test_the_plan_tells_which_libraries_made_a_cached_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weigh.yaml").write_text("# Weigh.\ndefaults:\n  - konomi\n  - stage@weigh: keys_weigh\n  - _self_\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_path, "_config_dirs", [tmp_path])
    konomi.run("weigh")
    (step,) = konomi.plan("weigh").steps
    assert step.cached and step.made_with == ""
    now = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**now, "trl": "99.0", "numpy": "99.0"})
    (step,) = konomi.plan("weigh").steps
    assert step.cached and step.made_with == f"trl {now['trl']}, now 99.0"
    assert main(["plan", "weigh"]) == 0
    assert f"made with trl {now['trl']}, now 99.0; refresh=weigh makes it anew" in capsys.readouterr().out
    assert main(["plan", "weigh", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["stages"][0]["made_with"] == step.made_with
