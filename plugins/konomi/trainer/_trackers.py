"""Experiment trackers: a training's run is named after its key, so that the curve of a preempted training goes on.

What the user's own environment says wins. trackio takes its run by `run_name`, which holds the key already.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from konomi.job import Job

KEY_TAG = "konomi.key"
"""Tag by which a training finds its run in MLflow, whose server makes up the ids."""


def environment(job: Job) -> dict[str, str]:
    """Return what the trackers read, for a job's key.

    >>> from pathlib import Path
    >>> environment(Job("align", "dpo", "align-0d9e", Path("out"), Path("work")))["WANDB_RUN_ID"]
    'align-0d9e'
    """
    found = {
        "WANDB_RUN_ID": job.key,
        "WANDB_RESUME": "allow",
        "SWANLAB_RUN_ID": job.key,
        "SWANLAB_RESUME": "allow",
        "MLFLOW_TAGS": json.dumps({KEY_TAG: job.key}),
    }
    if job.curves is not None:
        found["TENSORBOARD_LOGGING_DIR"] = str(job.curves)
    return found


@contextlib.contextmanager
def tracked(job: Job) -> Iterator[None]:
    """Set the trackers' environment for one training, and take it back for the next one of this process."""
    added = {name: value for name, value in environment(job).items() if name not in os.environ}
    if "WANDB_RUN_ID" not in added:
        added.pop("WANDB_RESUME", None)
    if "SWANLAB_RUN_ID" not in added:
        added.pop("SWANLAB_RESUME", None)
    ours, named = _wandb_run() is None, "MLFLOW_RUN_ID" in os.environ
    os.environ.update(added)
    try:
        yield
    finally:
        for name in (*added, *(() if named else ("MLFLOW_RUN_ID",))):
            os.environ.pop(name, None)
        if ours and _wandb_run() is not None:
            sys.modules["wandb"].finish()  # or the next training of this process would draw into the same run


def go_on_in_mlflow(job: Job) -> None:
    """Point MLflow at the run that an earlier attempt at this key began, where there is one."""
    if "MLFLOW_RUN_ID" in os.environ or job.resume is None:
        return
    import importlib

    mlflow: Any = importlib.import_module("mlflow")  # its own name would be an import that mypy cannot find
    query = f"tags.`{KEY_TAG}` = '{job.key}'"
    runs = mlflow.search_runs(search_all_experiments=True, filter_string=query, max_results=1, output_format="list")
    if runs:
        os.environ["MLFLOW_RUN_ID"] = runs[0].info.run_id


def _wandb_run() -> Any:
    return getattr(sys.modules.get("wandb"), "run", None)
