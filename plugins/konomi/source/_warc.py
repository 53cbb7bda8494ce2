"""Records of WARC and WET files as pages, one at a time and bounded, up to the byte where a file is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.source._bytes import Bad, Broken, Reading, file_chunks
from konomi.source._pages import Page
from konomi.source._paths import File

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

HTML_TYPES = ("text/html", "application/xhtml+xml")
PLAIN_TYPE = "text/plain"
HEADER_BYTES = 1 << 20
"""What the HTTP header of a page may add to its largest size."""


@dataclass(frozen=True)
class Skipped:
    """A page that is not asked for, and why in a few words."""

    reason: str


class _Stream:
    """A file's bytes, unpacked, as fastwarc reads them; ends at the damage, and keeps what it was."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.bad: Bad | None = None
        self._chunks = chunks
        self._held = memoryview(b"")
        self._taken = 0

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none only at the end."""
        while not self._held:
            try:
                chunk = next(self._chunks, None)
            except Broken as broken:
                self.bad, chunk = broken.bad, None
            if chunk is None:
                return b""
            self._held = memoryview(chunk)
        found = bytes(self._held[:size] if size >= 0 else self._held)
        self._held = self._held[len(found) :]
        self._taken += len(found)
        return found

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._taken


Found = tuple[int, dict[str, Any], "Page | str | Skipped | Bad"]
"""Number of a record in its file (from 1), its columns but the text, and what it holds."""


def pages(file: File, reading: Reading) -> Iterator[Found]:
    """Yield the responses of a WARC file and the texts of a WET file; `Bad` where the file cannot be read on."""
    from fastwarc.warc import ArchiveIterator

    stream = _Stream(file_chunks(file, reading))
    readable: Any = stream  # fastwarc asks for `seek` in its types, and for `read` and `tell` in fact
    number = 0
    try:
        # Records of all types are taken, because only one that is read to its end is known to be whole.
        for record in ArchiveIterator(readable, parse_http=False, stream_detect=False):
            number += 1
            found = _found(record, reading)
            if isinstance(found, Bad):
                yield number, {}, stream.bad or found
                return
            if found is not None:
                yield number, _columns(record), found
    except OSError as error:
        yield number + 1, {}, stream.bad or Bad("damaged file", f"cannot be read: {error}")
        return
    if stream.bad:
        yield number + 1, {}, stream.bad


def _found(record: WarcRecord, reading: Reading) -> Page | str | Skipped | Bad | None:
    """Return what a record holds; None where it is of a type that holds no page."""
    from fastwarc.warc import WarcRecordType

    type_, length = record.record_type, record.content_length
    if record.headers.get("Content-Length") is None:
        return Bad("damaged file", "is cut off in its header")
    response = type_ == WarcRecordType.response
    most = reading.max_record_bytes + (HEADER_BYTES if response else 0)
    wanted = response or type_ == WarcRecordType.conversion
    if not wanted or length > most:
        read = record.reader.consume()
        whole = None if not wanted else Skipped("page too large")
        return whole if read == length else _cut(read, length)
    if response:
        return _response(record, length)
    body = record.reader.read(length)
    return _conversion(body) if len(body) == length else _cut(len(body), length)


def _cut(read: int, length: int) -> Bad:
    return Bad("damaged file", f"is cut off after {read} of {length} bytes")


def _conversion(body: bytes) -> str | Skipped:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Skipped("not utf-8")
    return text if text.strip() else Skipped("page without text")


def _response(record: WarcRecord, length: int) -> Page | Skipped | Bad:
    try:
        record.parse_http()
    except (OSError, ValueError):
        record.reader.consume()
        return Skipped("no HTTP response")
    rest = record.content_length
    body = record.reader.read(rest)
    if len(body) != rest:
        return _cut(length - rest + len(body), length)
    headers = record.http_headers
    if headers is None or headers.status_code is None:
        return Skipped("no HTTP response")
    if headers.status_code != 200:
        return Skipped("HTTP status not 200")
    said = record.http_content_type or record.headers.get("WARC-Identified-Payload-Type") or ""
    mime = said.partition(";")[0].strip().lower()
    if mime not in (*HTML_TYPES, PLAIN_TYPE):
        return Skipped("neither HTML nor plain text")
    transfer, encodings = (headers.get(name) or "" for name in ("Transfer-Encoding", "Content-Encoding"))
    return Page(body, mime in HTML_TYPES, record.http_charset, transfer, encodings)


def _columns(record: WarcRecord) -> dict[str, Any]:
    headers = record.headers
    return {
        "url": headers.get("WARC-Target-URI"),
        "date": headers.get("WARC-Date"),
        "language": headers.get("WARC-Identified-Content-Language"),
        "record_id": headers.get("WARC-Record-ID"),
    }
