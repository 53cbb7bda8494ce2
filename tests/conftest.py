"""Every test runs without a network, with one thread, and with a store and a cache of its own."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TRANSFORMERS_VERBOSITY="error",
    TOKENIZERS_PARALLELISM="false",
    TQDM_DISABLE="1",
    OMP_WAIT_POLICY="PASSIVE",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's store, cache and working folder."""
    monkeypatch.setenv("KONOMI_STORE", str(tmp_path_factory.mktemp("store")))
    monkeypatch.setenv("KONOMI_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def real_rows() -> Callable[[str], list[dict[str, Any]]]:
    """Return the reader of real data that is no part of konomi: `NAME.jsonl.gz` in the folder `KONOMI_TEST_TEXTS`."""

    def read(name: str) -> list[dict[str, Any]]:
        file = Path(os.environ.get("KONOMI_TEST_TEXTS", "")) / f"{name}.jsonl.gz"
        if not file.is_file():
            pytest.skip(f"measures on real texts: KONOMI_TEST_TEXTS=FOLDER with a file {file.name} in it")
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    return read
