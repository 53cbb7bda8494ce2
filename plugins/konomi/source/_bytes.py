"""The bytes of a file, decompressed as they are read, and what a row is called that cannot be made out of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from konomi.faults import KonomiError
from konomi.source._options import TextUnit
from konomi.source._paths import File

CHUNK = 1 << 20
COMPRESSED_PIECE = 1 << 10
"""Compressed bytes taken at once: the most extreme zstd block makes 32 MB of them, gzip 1 MB."""
GZIP = 31
"""zlib's window size (15) and its mark for a gzip header (16)."""
RATIO_FREE_BYTES = 16 << 20
"""Expansion is not judged below this size: a short file of blanks is no bomb."""


@dataclass(frozen=True)
class Bad:
    """A row that cannot be read."""

    reason: str
    """A few words to count by."""
    what: str
    """What was found, and what was expected."""


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    encoding: str = "utf-8"
    text_unit: TextUnit = TextUnit.file
    max_record_bytes: int = 16 << 20
    max_ratio: int = 200

    def too_large(self, instead: str = "") -> Bad:
        what = f"is larger than max_record_bytes={self.max_record_bytes}; raise it if meant"
        return Bad("record too large", what + instead)


class Broken(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.bad = Bad(reason, what)


def file_chunks(file: File, reading: Reading) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed, refusing one that expands beyond all measure."""
    with file.path.open("rb") as raw:
        if not file.compression:
            yield from iter(lambda: raw.read(CHUNK), b"")
            return
        size, total = file.path.stat().st_size, 0
        for chunk in _gathered(_decompressed(raw, file.compression)):
            total += len(chunk)
            if total > max(RATIO_FREE_BYTES, reading.max_ratio * size):
                raise KonomiError(
                    f"{file.path}: {size} bytes expand to more than {total}, over {reading.max_ratio} times their size;"
                    " if this is meant, raise max_ratio"
                )
            yield chunk


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield small pieces joined to chunks."""
    held, size = [], 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= CHUNK:
                yield b"".join(held)
                held, size = [], 0
    except Broken:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _decompressed(raw: BinaryIO, compression: str) -> Iterator[bytes]:
    """Yield what a gzip or zstd stream of any number of members holds, up to the byte where it is damaged."""
    import zlib

    import zstandard

    def member() -> Any:
        return zlib.decompressobj(GZIP) if compression == "gzip" else zstandard.ZstdDecompressor().decompressobj()

    engine = None
    while piece := raw.read(COMPRESSED_PIECE):
        # A gzip file may be padded with zeros, and no member begins with one.
        while piece := piece if engine else piece.lstrip(b"\0"):
            engine = engine or member()
            try:
                chunk = engine.decompress(piece)
            except (zlib.error, zstandard.ZstdError) as error:
                raise Broken("damaged file", f"cannot be read: {error}") from error
            if chunk:
                yield chunk
            piece, engine = (engine.unused_data, None) if engine.eof else (b"", engine)
    if engine:
        raise Broken("damaged file", f"cannot be read: the {compression} stream ends too early")
