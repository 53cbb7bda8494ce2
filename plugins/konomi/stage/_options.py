"""Values that options of stages take, apart, so that listing plugins imports no more than them."""

from __future__ import annotations

from enum import Enum

OnError = Enum("OnError", {"raise": "raise", "drop": "drop"}, module=__name__)
"""What a row that cannot be used does."""


class Packing(Enum):
    """How documents share rows."""

    bfd = "bfd"
    wrapped = "wrapped"
    none = "none"


class TooLong(Enum):
    """What becomes of a document that is longer than a row."""

    split = "split"
    cut = "cut"
    drop = "drop"


class Write(Enum):
    """What a curation leaves."""

    rows = "rows"
    """The rows that are kept, text and all."""
    selection = "selection"
    """Which rows are kept; their texts stay where they lie, until a stage `export` writes them out."""


class Layout(Enum):
    """How files of rows are laid out."""

    splits = "splits"
    """`data/train-00000-of-00009.parquet`: as many rows each, whatever they came from."""
    source = "source"
    """`data/train/FOLDER/FILE.jsonl.gz/part-00000-of-00001.parquet`: the paths of the source are kept."""
