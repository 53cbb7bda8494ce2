"""A corpus of any size with planted near-duplicates, from the lines of real texts."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LEAST_CHARACTERS = 40
"""Shorter lines are left out: menus and headings would stand in every document."""
EVERY = 5
"""One document in so many is a copy of an earlier one with some words changed."""
WORDS_A_CHANGE = 100
HELD = 20_000
"""Documents that copies are made of; more would have to be held in memory."""
WRITTEN_ROWS = 2_000


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of gzipped JSON lines or of Parquet."""
    if path.suffix == ".parquet":
        yield from pq.read_table(path, columns=["text"]).column("text").to_pylist()
        return
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def lines_of(paths: Sequence[Path]) -> list[str]:
    """Return the lines that documents are put together from, each once."""
    lines = (line.strip() for path in paths for text in texts_of(path) for line in text.split("\n"))
    return list(dict.fromkeys(line for line in lines if len(line) >= LEAST_CHARACTERS))


def changed(text: str, draw: random.Random, number: int) -> str:
    """Return the text with one word in a hundred changed."""
    words = text.split(" ")
    for place in draw.sample(range(len(words)), max(1, len(words) // WORDS_A_CHANGE)):
        words[place] = f"changed{number}"
    return " ".join(words)


def documents(lines: Sequence[str], count: int, lines_each: int, seed: int = 0) -> Iterator[tuple[str, bool]]:
    """Yield documents of random lines, and whether each is a planted near-duplicate of an earlier one."""
    draw = random.Random(seed)
    held: list[str] = []
    for number in range(count):
        if number % EVERY == EVERY - 1:
            yield changed(draw.choice(held), draw, number), True
            continue
        text = "\n".join(draw.sample(lines, lines_each))
        if len(held) < HELD:
            held.append(text)
        else:
            held[draw.randrange(HELD)] = text
        yield text, False


def write(path: Path, lines: Sequence[str], count: int, lines_each: int) -> float:
    """Write a corpus with the columns `id`, `text`, `planted`; return its megabytes of text."""
    schema = pa.schema({"id": pa.string(), "text": pa.large_string(), "planted": pa.bool_()})
    size = 0
    rows: list[tuple[str, bool]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for number, row in enumerate(documents(lines, count, lines_each), 1):
            rows.append(row)
            size += len(row[0].encode())
            if len(rows) == WRITTEN_ROWS or number == count:
                ids = [str(place) for place in range(number - len(rows), number)]
                texts, planted = zip(*rows, strict=True)
                writer.write_table(pa.table([ids, texts, planted], schema=schema))
                rows = []
    return size / 1e6
