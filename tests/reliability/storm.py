"""Eight workers make the same artifacts, and are killed at random; what is left is counted.

python storm.py ROOT LOCK SECONDS
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

from konomi.store import Store

WORKERS, KEYS, FILES = 8, 400, 3
MAKING_SECONDS = 0.01


def content(key: str, number: int) -> bytes:
    return f"{key}/{number};".encode() * (1 + 700 * number)


def work(root: str, lock: str, seed: int) -> None:
    """Make one key after another, for ever; each time that another living worker makes the same is written down."""
    chance = random.Random(seed)
    store = Store(root, lock)
    detectors = Path(root) / "detectors"
    while True:
        key = f"key-{chance.randrange(KEYS)}"
        # Opened before the store's lock: the system closes a dead process' files in order, and frees that one first.
        detector = os.open(detectors / key, os.O_RDWR | os.O_CREAT)
        try:
            with store.lock(key):
                if store.has(key):
                    if chance.random() < 0.3:
                        store.remove(key)  # so that there is always something to make
                    continue
                try:
                    fcntl.flock(detector, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    (Path(root) / "overlaps" / f"{key}-{time.time_ns()}").touch()
                make(store, key)
                fcntl.flock(detector, fcntl.LOCK_UN)
        finally:
            os.close(detector)


def make(store: Store, key: str) -> None:
    with store.writing() as out:
        for number in range(FILES):
            (out / f"part-{number}").write_bytes(content(key, number))
            time.sleep(MAKING_SECONDS / FILES)
        store.publish(out, key, {"key": key})


def is_broken(store: Store, key: str) -> bool:
    folder = store.path(key)
    return not (folder / "manifest.json").exists() or any(
        (folder / f"part-{number}").read_bytes() != content(key, number) for number in range(FILES)
    )


def main(root: str, lock: str, seconds: float) -> None:
    store = Store(root, lock)
    store.create()
    for name in ("detectors", "overlaps"):
        (Path(root) / name).mkdir()
    context = multiprocessing.get_context("fork")
    chance = random.Random(0)
    started = 0

    def start() -> multiprocessing.process.BaseProcess:
        nonlocal started
        started += 1
        worker = context.Process(target=work, args=(root, lock, started), daemon=True)
        worker.start()
        return worker

    workers = [start() for _ in range(WORKERS)]
    kills, died = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.005, 0.04))
        chosen = chance.randrange(WORKERS)
        died += not workers[chosen].is_alive()
        os.kill(workers[chosen].pid or 0, signal.SIGKILL)
        workers[chosen].join()
        kills += 1
        workers[chosen] = start()
    for worker in workers:
        worker.kill()
        worker.join()
    folders = list((Path(root) / "objects").iterdir())
    store.create()
    counts = {
        "kills": kills,
        "died_otherwise": died,
        "made": sum(event["event"] == "made" for event in store.events()),
        "there": len(folders),
        "broken": sum(is_broken(store, folder.name) for folder in folders),
        "overlaps": len(list((Path(root) / "overlaps").iterdir())),
        "half_written": len(list((Path(root) / "tmp").iterdir())),
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
