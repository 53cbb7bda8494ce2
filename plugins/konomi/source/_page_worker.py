"""The process that makes text of pages: it decodes and extracts one after the other, and may die at any of them.

Run as a module by `_pages`. A frame is its length (4 bytes) and its bytes; a request is a line of JSON that says what
the page is, and the page; an answer is a letter, `t` for a text and `-` for the reason that there is none, and UTF-8.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

LENGTH_BYTES = 4
READY = b"ready"
"""What the process says once it can be asked."""
MEMORY_BYTES = 4 << 30
"""Address space of the process: a page that needs more is not worth it."""
NOT_ITS_OWN = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What a terminal or a scheduler sends to all processes at once: the parent answers it, and closes the pipe.

A page that was lost to it would stay lost."""
PATIENCE = 20
"""Seconds of the clock that a page may take for each second of computing: a page that waits is ended, too."""
META_BYTES = 2048
META_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]+)", re.IGNORECASE
)
"""What a page says of its own encoding; a browser looks at the first 1,024 bytes."""
MOST_REPLACED = 0.01
"""Share of characters that may be undecodable before the encoding that was named is not believed."""
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
AS_ON_THE_WEB = {
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
"""Encodings that pages name, and the larger ones that they are written in (WHATWG, Encoding)."""

Extract = Callable[[str], "str | None"]


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Return the next frame; None where the other end is gone."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: IO[bytes], body: bytes) -> None:
    """Write a frame and flush it."""
    stream.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
    stream.flush()


class Unreadable(Exception):
    """A page has no text, for a reason of a few words."""


def decoded(body: bytes, said: str | None) -> str:
    """Return a page as text: by its byte order mark, the encoding `said` by HTTP, its own meta, or a guess."""
    for mark, name in MARKS.items():
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    meta = META_CHARSET.search(body[:META_BYTES])
    for named in (said, meta[1].decode("ascii") if meta else None):
        if (codec := _codec(named)) and (text := _believable(body, codec)) is not None:
            return text
    return body.decode(_detected(body), "replace")


def _codec(name: str | None) -> str | None:
    """Return the codec of an encoding's name on the web; None where it is unknown."""
    try:
        found = codecs.lookup((name or "").strip().lower().removeprefix("x-").replace("sjis", "shift_jis"))
    except (LookupError, ValueError):
        return None
    # An encoding that could be searched for in ASCII is none of 16 bits, whatever it says.
    wide = found.name.startswith(("utf-16", "utf-32"))
    return "utf-8" if wide else AS_ON_THE_WEB.get(found.name, found.name)


def _believable(body: bytes, codec: str) -> str | None:
    try:
        text = body.decode(codec, "replace")
    except (LookupError, ValueError):  # `hex`, `rot13`: codecs of no text
        return None
    return text if text.count("\ufffd") <= MOST_REPLACED * len(text) + 1 else None


def _detected(body: bytes) -> str:
    from resiliparse.parse.encoding import detect_encoding

    return _codec(detect_encoding(body)) or "utf-8"


def unpacked(body: bytes, transfer: str, encodings: str, most: int) -> bytes:
    """Return a body without its transfer and content encodings, bounded; as it is where it is not in them.

    Crawlers often unpack a body and leave the header. Raises `Unreadable` beyond `most` bytes.
    """
    names = ["chunked"] if "chunked" in transfer.lower() else []
    names += reversed([name.strip().lower() for name in encodings.split(",")])
    for name in names:
        body = _unpacked_one(body, name, most)
    return body


def _unpacked_one(body: bytes, name: str, most: int) -> bytes:
    import io

    from fastwarc import stream_io

    readers: Mapping[str, Any] = {
        "chunked": stream_io.ChunkedReader,
        "gzip": stream_io.GzipReader,
        "x-gzip": stream_io.GzipReader,
        "br": stream_io.BrotliReader,
        "zstd": stream_io.ZstdReader,
    }
    try:
        if name == "deflate":
            return _bounded(_inflated(body, most), most)
        return _bounded(readers[name](io.BytesIO(body)).read(most + 1), most) if name in readers else body
    except (OSError, ValueError):
        return body


def _inflated(body: bytes, most: int) -> bytes:
    import zlib

    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):  # servers disagree on what `deflate` is
        try:
            return zlib.decompressobj(window).decompress(body, most + 1)
        except zlib.error:
            continue
    return body


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise Unreadable("page too large")
    return body


def extractor(name: str, favor_precision: bool) -> Extract:
    """Return what makes text of HTML; raises `ImportError` where its library is not there."""
    if name == "resiliparse":
        from resiliparse.extract.html2text import extract_plain_text

        return lambda html: str(extract_plain_text(html, main_content=True, alt_texts=False))
    import trafilatura

    def extract(html: str) -> str | None:
        text: str | None = trafilatura.extract(html, favor_precision=favor_precision, include_comments=False)
        return text

    return extract


def page_text(head: Mapping[str, Any], body: bytes, extract: Extract) -> str:
    """Return the text of a page; raises `Unreadable`."""
    body = unpacked(body, head["transfer"], head["encodings"], head["most"])
    text = decoded(body, head["charset"])
    if head["html"]:
        text = extract(text) or ""
    if not text.strip():
        raise Unreadable("page without text")
    return text


def answer(request: bytes, extract: Extract, timeout: float) -> bytes:
    """Return the answer to a request; the kernel ends this process where it takes too long."""
    line, _, body = request.partition(b"\n")
    signal.setitimer(signal.ITIMER_PROF, timeout)
    signal.setitimer(signal.ITIMER_REAL, timeout * PATIENCE)
    try:
        text = page_text(json.loads(line), body, extract)
        return b"t" + text.encode("utf-8", "replace")
    except Unreadable as reason:
        return b"-" + str(reason).encode()
    except Exception as error:  # whatever an extractor trips over costs one page
        return f"-extractor failed: {type(error).__name__}".encode()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def main(options: Mapping[str, Any]) -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(ValueError, OSError):  # not every system can bound a process
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES if most == resource.RLIM_INFINITY else most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    for number in NOT_ITS_OWN:
        signal.signal(number, signal.SIG_IGN)
    extract = extractor(options["extractor"], options["favor_precision"])
    write_frame(answers, READY)
    while (request := read_frame(requests)) is not None:
        write_frame(answers, answer(request, extract, options["timeout"]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
