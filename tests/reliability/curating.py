"""A small corpus in several files, and the command that curates it, for tests that disturb it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

FILES, DOCUMENTS = 10, 200
FILTERS = ("normalize", "repetition", "length")
LEFT = ("data/*.parquet", "duplicates.parquet", "dropped.parquet")
"""Files of the artifact that are the same every time; the report tells how long each step took."""


def write_corpus(folder: Path) -> Path:
    """Write the files; some documents stand in two of them, some repeat themselves, some are empty."""
    draw = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["".join(draw.choices("abcdefghijklmnopいろはにほへと", k=draw.randint(2, 7))) for _ in range(3000)]
    earlier: list[str] = []
    for number in range(FILES):
        texts = [" ".join(draw.choices(words, k=120)) for _ in range(DOCUMENTS)]
        texts[3:6] = ["again and again " * 60, "", "ｗｉｄｅ " + texts[5]]
        texts[10:30] = [f"{text} changed" for text in earlier[:20]] or texts[10:30]
        earlier = texts
        lines = "".join(json.dumps({"text": text, "id": f"{number}/{row}"}) + "\n" for row, text in enumerate(texts))
        (folder / f"{number:02}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def command(corpus: Path, store: Path, run: Path, *overrides: str) -> list[str]:
    """Return the command line of a curation by two workers."""
    given = [f"source.path='{corpus}'", f"store='{store}'", f"hydra.run.dir='{run}'", "engine.workers=2"]
    given += [f"filter=[{','.join(FILTERS)}]", "dedup=minhash", "source=files", "curate.test_share=0.1"]
    return [sys.executable, "-m", "konomi", "run", "curate", *given, *overrides]


def curate(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Curate, undisturbed."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, **options)


def artifact(run: Path) -> Path:
    """Return the folder of what a run made."""
    return Path(json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"][-1]["path"])


def digests(folder: Path) -> dict[str, str]:
    """Return the hash of each file that is the same every time."""
    files = sorted(file for pattern in LEFT for file in folder.glob(pattern))
    assert len(files) > 3
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def computed(folder: Path) -> dict[str, int]:
    """Return how many documents each filter looked at in the run that made an artifact."""
    results = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["results"]
    return {name: results["computed"].get(name, 0) for name in FILTERS}


def shelved(store: Path) -> list[Path]:
    """Return the whole files on the shelves."""
    return sorted(path for path in (store / "shelves").glob("*/*.parquet") if not path.name.startswith("."))


def looked_at(store: Path) -> dict[str, int]:
    """Return how many documents each filter has looked at, as the shelves tell."""
    found = dict.fromkeys(FILTERS, 0)
    for path in shelved(store):
        _, _, name = path.parent.name.rpartition("-")[0].partition("scores-")
        if name:
            found[name] += sum(pq.read_table(path, columns=["__seen__"]).column(0).to_pylist())
    return found


def wait_for(shelves: int, store: Path, child: subprocess.Popen[Any], seconds: float = 120) -> bool:
    """Wait until so many files are on the shelves; False where the process has ended before."""
    until = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < until:
        if len(shelved(store)) >= shelves:
            return True
        time.sleep(0.005)
    return False


def kill(child: subprocess.Popen[Any]) -> None:
    """Kill a process and all of its group at once."""
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def lines(said: str) -> list[str]:
    """Return what was said without the empty lines."""
    return [line for line in said.splitlines() if line.strip()]


def temporary(store: Path) -> Iterable[Path]:
    """Return what is half-written on the shelves."""
    return (store / "shelves").glob("*/.*")
