"""Japanese prose that comes with konomi: a guide to making language models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.registry import register
from konomi.source import Rows

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = Path(__file__).parent / "_japanese_sample"
COLUMNS = ("text", "chapter", "title")


@register("source", "japanese_sample")
@dataclass(frozen=True)
class JapaneseSample:
    """Read a guide to making language models, written in Japanese for konomi: a paragraph a row.

    Short paragraphs are joined with what follows in their section, a long one stays whole. A row says its `chapter`
    and the `title` of its section.

    >>> table = next(iter(JapaneseSample().load()))
    >>> table.to_pylist()[0]["chapter"]
    '言語モデルとは何か'
    """

    min_characters: int = 150
    """A row goes on with the next paragraph of its section until it has as many characters."""

    def check(self) -> Iterable[Fault]:
        if self.min_characters < 0:
            yield Fault("min_characters", f"{self.min_characters} is below 0")

    def format(self) -> str:
        return "text"

    def columns_known(self) -> Sequence[str]:
        return COLUMNS

    def depends(self) -> Mapping[str, Any]:
        import hashlib

        return {"text": hashlib.sha256(b"".join(path.read_bytes() for path in _chapters())).hexdigest()}

    def load(self) -> Rows:
        return Rows(lambda dropped: self._tables())

    def _tables(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        from konomi.source._tables import BATCH_ROWS

        rows = [row for path in _chapters() for row in _rows(path.read_text(encoding="utf-8"), self.min_characters)]
        schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        for start in range(0, len(rows), BATCH_ROWS):
            yield pa.Table.from_pylist(rows[start : start + BATCH_ROWS], schema=schema)


def _chapters() -> list[Path]:
    return sorted(FOLDER.glob("*.md"))


def _rows(markdown: str, min_characters: int) -> Iterator[dict[str, str]]:
    """Yield the rows of a chapter (`# chapter`, `## section`, paragraphs parted by blank lines)."""
    chapter = title = ""
    held: list[str] = []

    def row() -> dict[str, str]:
        return {"text": "\n".join(held), "chapter": chapter, "title": title}

    for block in _blocks(markdown):
        if block.startswith("#"):
            if held:
                yield row()
                held.clear()
            marks, _, name = block.partition(" ")
            chapter, title = (name, "") if marks == "#" else (chapter, name)
            continue
        held.append(block)
        if sum(map(len, held)) >= min_characters:
            yield row()
            held.clear()
    if held:
        yield row()


def _blocks(markdown: str) -> Iterator[str]:
    """Yield headings and paragraphs; what stands between ``` stays one block."""
    held: list[str] = []
    fenced = False
    for line in [*markdown.splitlines(), ""]:
        fenced ^= line.startswith("```")
        if line.strip() or fenced:
            held.append(line)
        elif held:
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)
