"""Pages made into text by processes that may die: one page is lost with one, and another takes its place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from konomi.faults import KonomiError
from konomi.source._page_worker import READY, read_frame, write_frame

PAGES_OF_A_WORKER = 20_000
"""Pages after which a process is replaced: extractors keep caches."""

MOST_WAITING = 256
"""Texts that may wait for a page before them."""


@dataclass(frozen=True)
class Page:
    """A page as it was crawled."""

    body: bytes
    html: bool
    """Whether it is HTML, or plain text."""
    charset: str | None = None
    """Encoding that the HTTP header names."""
    transfer: str = ""
    """`Transfer-Encoding` of the HTTP header."""
    encodings: str = ""
    """`Content-Encoding` of the HTTP header."""


@dataclass(frozen=True)
class Extraction:
    """How pages are made into text."""

    extractor: str
    favor_precision: bool
    timeout: float
    """Seconds of computing for a page."""
    max_page_bytes: int


@dataclass(frozen=True)
class Lost:
    """A page of which there is no text, and why in a few words."""

    reason: str


class _Worker:
    """A process that makes text of pages, begun when it is first asked and again when it has died."""

    def __init__(self, how: Extraction) -> None:
        self.how = how
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0

    def ask(self, page: Page) -> None:
        """Send a page; its answer must be taken before the next is sent."""
        if self._process is None or self._process.poll() is not None or self._answered >= PAGES_OF_A_WORKER:
            self._start()
        head = {
            "html": page.html,
            "charset": page.charset,
            "transfer": page.transfer,
            "encodings": page.encodings,
            "most": self.how.max_page_bytes,
        }
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: the answer says so
            write_frame(self._process.stdin, json.dumps(head).encode() + b"\n" + page.body)

    def answer(self) -> str | Lost:
        """Return the text of the page that was sent."""
        assert self._process is not None and self._process.stdout is not None
        found = read_frame(self._process.stdout)
        if found is None:
            return self._ended()
        self._answered += 1
        said = found[1:].decode()
        return said if found[:1] == b"t" else Lost(said)

    def _start(self) -> None:
        self.close()
        options = {
            "extractor": self.how.extractor,
            "favor_precision": self.how.favor_precision,
            "timeout": self.how.timeout,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "konomi.source._page_worker", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._answered = 0
        assert self._process.stdout is not None
        if read_frame(self._process.stdout) != READY:
            code = self._process.wait()
            raise KonomiError(
                f"the extractor {self.how.extractor} does not start in a process of its own (exit code {code});"
                f" to see why, type: {sys.executable} -c 'import {self.how.extractor}'"
            )

    def _ended(self) -> Lost:
        """Say what became of the process."""
        assert self._process is not None
        code = self._process.wait()
        self.close()
        over = -code in (signal.SIGPROF, signal.SIGALRM)
        return Lost("extractor over its time limit" if over else "extractor crashed")

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._process.kill()
        self._process.wait()
        self._process = None


def extracted(
    pages: Iterable[tuple[Mapping[str, Any], Page | str]], how: Extraction, workers: int
) -> Iterator[tuple[Mapping[str, Any], str | Lost]]:
    """Yield what came with each page, and its text, in order; what comes as text goes through as it is."""
    crew = [_Worker(how) for _ in range(workers)]
    free = deque(crew)
    waiting: deque[tuple[Mapping[str, Any], _Worker | str]] = deque()

    def taken() -> tuple[Mapping[str, Any], str | Lost]:
        row, held = waiting.popleft()
        if isinstance(held, str):
            return row, held
        free.append(held)
        return row, held.answer()

    try:
        for row, page in pages:
            if isinstance(page, str):
                waiting.append((row, page))
            else:
                while not free:
                    yield taken()
                worker = free.popleft()
                worker.ask(page)
                waiting.append((row, worker))
            while waiting and (isinstance(waiting[0][1], str) or len(waiting) > MOST_WAITING):
                yield taken()
        while waiting:
            yield taken()
    finally:
        for worker in crew:
            worker.close()
