"""Rows out of files, one at a time and in bounded memory, whatever the file holds.

A row that cannot be read comes out as a `Bad` in its place. A file is untrusted: a record has a largest size, and a
compressed file a largest expansion.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from konomi.source._bytes import Bad, Broken, Reading, file_chunks
from konomi.source._options import FileType, TextUnit
from konomi.source._paths import File

LFS_POINTER = "version https://git-lfs"
WIDE_ENCODINGS = ("utf-16", "utf-32")
"""Encodings in which a byte 10 need not be a line's end: such a file is transcoded as a stream."""


Record = tuple[int, dict[str, Any] | Bad]
"""Line or row (from 1) and what it holds."""


def records(file: File, reading: Reading) -> Iterator[Record]:
    """Yield the rows of a file that is not Parquet."""
    read: dict[FileType, Callable[[Iterator[bytes], Reading], Iterator[Record]]] = {
        FileType.jsonl: _json_lines,
        FileType.json: _json_values,
        FileType.csv: lambda chunks, how: _delimited(chunks, how, ","),
        FileType.tsv: lambda chunks, how: _delimited(chunks, how, "\t"),
        FileType.text: _texts,
    }
    row = 0
    try:
        for row, value in read[file.type](_utf8(file_chunks(file, reading), reading), reading):
            yield row, value
    except Broken as broken:
        yield row + 1, broken.bad


class _BadLine(Exception):
    """One line cannot be read; the next one may be."""

    def __init__(self, bad: Bad) -> None:
        super().__init__(bad.what)
        self.bad = bad


def _utf8(chunks: Iterator[bytes], reading: Reading) -> Iterator[bytes]:
    """Yield the bytes without a byte order mark, and a wide encoding as UTF-8."""
    if codecs.lookup(reading.encoding).name.startswith(WIDE_ENCODINGS):
        decoder = codecs.getincrementaldecoder(reading.encoding)()
        for chunk in chunks:
            yield _transcode(decoder, chunk, reading)
        yield _transcode(decoder, b"", reading, final=True)
        return
    first = next(chunks, b"")
    yield first.removeprefix(codecs.BOM_UTF8) if encoding_of(reading) == "utf-8" else first
    yield from chunks


def _transcode(decoder: codecs.IncrementalDecoder, chunk: bytes, reading: Reading, final: bool = False) -> bytes:
    try:
        return decoder.decode(chunk, final).encode()
    except UnicodeError as error:
        raise Broken(f"not {reading.encoding}", f"is not {reading.encoding}: {error}") from error


def encoding_of(reading: Reading) -> str:
    """Return the encoding of the bytes that `_utf8` yields."""
    name = codecs.lookup(reading.encoding).name
    return "utf-8" if name.startswith(("utf-8", *WIDE_ENCODINGS)) else name


def _decode(line: bytes, reading: Reading) -> str | Bad:
    try:
        return line.decode(encoding_of(reading))
    except UnicodeDecodeError as error:
        wide = line[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        guess = "utf-16" if wide else _japanese_encoding(line)
        hint = f"; it may be {guess}: source.encoding={guess}" if guess else "; another is named by source.encoding=…"
        found = f"byte 0x{line[error.start]:02x} at {error.start} is not {reading.encoding}"
        return Bad(f"not {reading.encoding}", found + hint)


def _japanese_encoding(line: bytes) -> str | None:
    """Return the older Japanese encoding that the bytes are valid in, where there is just one."""
    fits = []
    for name in ("cp932", "euc_jp"):
        try:
            line.decode(name)
        except UnicodeDecodeError:
            continue
        fits.append(name)
    return fits[0] if len(fits) == 1 else None


def _lines(chunks: Iterator[bytes], reading: Reading) -> Iterator[tuple[int, bytes | Bad]]:
    """Yield numbered lines without their ends; of one beyond the limit nothing is held."""
    row, rest, lost = 1, bytearray(), False
    for chunk in chunks:
        *ends, tail = chunk.split(b"\n")
        for end in ends:
            if not lost:
                yield row, _line(bytes(rest) + end if rest else end, reading)
            row, lost = row + 1, False
            rest.clear()
        if not lost:
            rest += tail
        if len(rest) > reading.max_record_bytes:
            yield row, reading.too_large()
            lost = True
            rest.clear()
    if rest:
        yield row, _line(bytes(rest), reading)


def line_blocks(file: File, reading: Reading) -> Iterator[tuple[int, bytes | Bad]]:
    """Yield a file in blocks of whole lines, each with the number of its first.

    Of a line that is beyond the limit, and of more than one block, nothing is held. Raises `Broken` where the rest of
    the file cannot be read.
    """
    row, rest, lost = 1, bytearray(), False
    for chunk in _utf8(file_chunks(file, reading), reading):
        start, end = 0, chunk.rfind(b"\n") + 1
        if end and lost:
            start, row, lost = chunk.find(b"\n") + 1, row + 1, False
        if end > start:
            block = bytes(rest) + chunk[start:end]
            yield row, block
            row += block.count(b"\n")
        if end:
            rest.clear()
        if not lost:
            rest += chunk[end:]
        if len(rest) > reading.max_record_bytes:
            yield row, reading.too_large()
            lost = True
            rest.clear()
    if rest:
        yield row, bytes(rest)


def json_line_records(block: bytes, reading: Reading) -> Iterator[Record]:
    """Yield the rows of a block of lines, numbered from 1."""
    return _json_lines(iter([block]), reading)


def _line(body: bytes, reading: Reading) -> bytes | Bad:
    return reading.too_large() if len(body) > reading.max_record_bytes else body.removesuffix(b"\r")


def _json_lines(chunks: Iterator[bytes], reading: Reading) -> Iterator[Record]:
    for row, line in _lines(chunks, reading):
        if isinstance(line, Bad):
            yield row, line
        elif line.strip():
            text = _decode(line, reading)
            yield row, text if isinstance(text, Bad) else _json_row(text)


def _json_row(text: str) -> dict[str, Any] | Bad:
    try:
        return _row(json.loads(text))
    except ValueError as error:
        if text.startswith(LFS_POINTER):
            return Bad("not JSON", "is a pointer of Git LFS, not the data; type: git lfs pull")
        start = text[:40] + ("…" if len(text) > 40 else "") + (" (an array: type=json)" if text[:1] == "[" else "")
        return Bad("not JSON", f"is not JSON: {error}; it begins {start!r}")
    except RecursionError:
        return Bad("not JSON", "is nested too deeply")


def _row(value: Any) -> dict[str, Any] | Bad:
    if isinstance(value, dict):
        return value
    return Bad("not an object", f"holds {type(value).__name__} {str(value)[:40]!r}; expected an object with columns")


def _json_values(chunks: Iterator[bytes], reading: Reading) -> Iterator[Record]:
    """Yield the objects of an array, or objects that follow one another."""
    source = _Buffer(chunks, reading)
    rows = itertools.count(1)
    if not source.take("["):
        while source.peek():
            yield next(rows), _row(source.value())
        return
    while not source.take("]"):
        if not source.peek():
            raise Broken("not JSON", "is missing: the file ends before its array does")
        yield next(rows), _row(source.value())
        if not source.take(",") and source.peek() not in ("]", ""):
            raise Broken("not JSON", f"should begin after a comma, found {source.peek()!r}")
    if source.peek():
        raise Broken("not JSON", "should not be there: the array that holds the rows has ended")


class _Buffer:
    """A window over a stream of JSON, as wide as one value needs."""

    def __init__(self, chunks: Iterator[bytes], reading: Reading) -> None:
        self.reading = reading
        self.text = ""
        self.position = 0
        self._chunks = chunks
        self._decoder = codecs.getincrementaldecoder(encoding_of(reading))()
        self._json = json.JSONDecoder()
        self._whole = False

    def more(self) -> bool:
        chunk = next(self._chunks, b"")
        self._whole = not chunk
        try:
            self.text = self.text[self.position :] + self._decoder.decode(chunk, final=self._whole)
        except UnicodeDecodeError as error:
            raise Broken(f"not {self.reading.encoding}", f"is not {self.reading.encoding}: {error}") from error
        self.position = 0
        return not self._whole

    def peek(self) -> str:
        """Return the next character that is no blank, or "" at the end."""
        while True:
            while self.position < len(self.text):
                if not self.text[self.position].isspace():
                    return self.text[self.position]
                self.position += 1
            if self._whole or not self.more():
                return self.text[self.position : self.position + 1].strip()

    def take(self, character: str) -> bool:
        """Step over the next character if it is this one."""
        found = self.peek() == character
        self.position += found
        return found

    def value(self) -> Any:
        """Return the next JSON value, reading on while it may be incomplete."""
        wanted = 0
        while True:
            try:
                found, self.position = self._json.raw_decode(self.text, self.position)
                return found
            except RecursionError as error:
                raise Broken("not JSON", "is nested too deeply") from error
            except ValueError as error:
                held = len(self.text) - self.position
                if held > self.reading.max_record_bytes:
                    raise Broken("record too large", self.reading.too_large().what) from error
                wanted = 2 * held  # doubling: a value of n bytes is tried log n times
                while not self._whole and len(self.text) - self.position < wanted:
                    self.more()
                if self._whole and len(self.text) - self.position <= held:
                    raise Broken("not JSON", f"is not JSON: {error}") from error


def _delimited(chunks: Iterator[bytes], reading: Reading, delimiter: str) -> Iterator[Record]:
    """Yield the rows of a CSV file by its header; cells are text."""
    csv.field_size_limit(max(csv.field_size_limit(), reading.max_record_bytes))
    reader = csv.reader(_CsvLines(_lines(chunks, reading), reading), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _BadLine) as error:
            bad = error.bad if isinstance(error, _BadLine) else Bad("not CSV", f"is not CSV: {error}")
            if header is None:
                raise Broken(bad.reason, bad.what) from error
            yield reader.line_num, bad
            continue
        if not cells:
            continue
        if header is None:
            header = cells
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise Broken("not CSV", f"the header names {', '.join(twice)} more than once")
        elif len(cells) != len(header):
            yield reader.line_num, Bad("not CSV", f"has {len(cells)} cells where the header has {len(header)}")
        else:
            yield reader.line_num, dict(zip(header, cells, strict=True))


class _CsvLines(Iterator[str]):
    """Lines for the csv module; unlike a generator it goes on after a line that could not be read."""

    def __init__(self, lines: Iterator[tuple[int, bytes | Bad]], reading: Reading) -> None:
        self._lines = lines
        self._reading = reading

    def __next__(self) -> str:
        _, line = next(self._lines)
        text = line if isinstance(line, Bad) else _decode(line, self._reading)
        if isinstance(text, Bad):
            raise _BadLine(text)
        return text + "\n"


def _texts(chunks: Iterator[bytes], reading: Reading) -> Iterator[Record]:
    """Yield the documents of a plain text file."""
    if reading.text_unit is TextUnit.line:
        for row, line in _lines(chunks, reading):
            if isinstance(line, Bad) or line.strip():
                text = line if isinstance(line, Bad) else _decode(line, reading)
                yield row, text if isinstance(text, Bad) else {"text": text}
        return
    unit = ", or take less for a document: text_unit=line"
    held: list[str] = []
    start, size, bad = 1, 0, None
    for row, line in _lines(chunks, reading):
        text = line if isinstance(line, Bad) else _decode(line, reading)
        ends = reading.text_unit is TextUnit.paragraph and isinstance(text, str) and not text.strip()
        if ends and (held or bad):
            yield start, bad or {"text": "\n".join(held)}
        if ends:
            start, size, held, bad = row + 1, 0, [], None
            continue
        size += len(line) + 1 if isinstance(line, bytes) else 0
        if isinstance(text, Bad) or size > reading.max_record_bytes:
            bad, held = bad or (text if isinstance(text, Bad) else reading.too_large(unit)), []
        elif not bad:
            held.append(text)
    if bad or any(map(str.strip, held)):
        yield start, bad or {"text": "\n".join(held).rstrip("\n")}
