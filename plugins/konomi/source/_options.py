"""Values that options of sources take, apart, so that listing plugins imports no more than them."""

from __future__ import annotations

from enum import Enum


class Gives(Enum):
    """Format of the rows: `auto` is the first whose columns are there; `rows` keeps columns of the user's own."""

    auto = "auto"
    text = "text"
    prompt_completion = "prompt_completion"
    messages = "messages"
    preference = "preference"
    rows = "rows"


class FileType(Enum):
    """How a file holds its rows; `auto` goes by the suffix."""

    auto = "auto"
    jsonl = "jsonl"
    json = "json"
    parquet = "parquet"
    csv = "csv"
    tsv = "tsv"
    text = "text"


class TextUnit(Enum):
    """What one document of a plain text file is."""

    file = "file"
    paragraph = "paragraph"
    line = "line"


OnError = Enum("OnError", {"raise": "raise", "drop": "drop"}, module=__name__)
"""What to do with a row that cannot be read: stop and say which it is, or leave it out and count it."""
