"""What every source must keep; its author subclasses the suite.

from konomi.testing.source import SourceSuite

class TestMySource(SourceSuite):
    plugin = MySource

    def make(self, folder):
        (folder / "rows.txt").write_text("…")
        return MySource(path=str(folder / "rows.txt"))
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

from konomi.source import FORMATS, Source

CONVERSATIONAL = {"prompt", "completion", "chosen", "rejected"}
"""Columns that hold strings, or all of them conversations."""


def rows_of(source: Source) -> list[dict[str, Any]]:
    """Return all rows of a source, whatever it gives them in."""
    found: Any = source.load()
    tables = found.with_format("arrow").iter(1000) if hasattr(found, "with_format") else found
    return [row for table in tables for row in table.to_pylist()]


def is_conversation(value: Any) -> bool:
    """Tell whether a value is a list of messages, each with a role and a content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message.get("role"), str) and isinstance(message.get("content"), str) for message in value)
    )


class SourceSuite:
    """Promises of every source."""

    plugin: ClassVar[type[Any]]

    def make(self, folder: Path) -> Any:
        """Return a source that has rows; `folder` is empty and its own."""
        return self.plugin()

    def test_its_defaults_can_be_instantiated(self) -> None:
        assert dataclasses.is_dataclass(self.plugin())

    def test_finds_no_fault_in_itself_when_it_is_well_made(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        assert list(source.check() if hasattr(source, "check") else ()) == []

    def test_says_its_format_before_it_reads(self, tmp_path: Path) -> None:
        assert self.make(tmp_path).format() in FORMATS

    def test_every_row_has_what_its_format_needs(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        rows = rows_of(source)
        assert rows, "make() must return a source that has rows"
        for row in rows:
            for name in FORMATS[source.format()]:
                value = row[name]
                if name == "messages":
                    assert is_conversation(value), (name, value)
                elif name in CONVERSATIONAL:
                    assert isinstance(value, str) or is_conversation(value), (name, value)
                else:
                    assert isinstance(value, str), (name, value)

    def test_gives_the_same_rows_every_time(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        assert rows_of(source) == rows_of(source)

    def test_its_parts_are_its_rows_and_can_be_read_by_another_process(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        if hasattr(source, "parts"):
            parts = [pickle.loads(pickle.dumps(part)) for part in source.parts()]
            assert [row for part in parts for table in part for row in table.to_pylist()] == rows_of(source)

    def test_gives_the_columns_that_it_announces(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        known = source.columns_known() if hasattr(source, "columns_known") else None
        if known is not None:
            assert all(list(row) == list(known) for row in rows_of(source))

    def test_what_it_depends_on_is_plain_and_stays(self, tmp_path: Path) -> None:
        source = self.make(tmp_path)
        if hasattr(source, "depends"):
            assert json.dumps(dict(source.depends())) == json.dumps(dict(source.depends()))
