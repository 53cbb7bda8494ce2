"""`konomi compare FOLDER…`: runs, or the points of a sweep, side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from konomi.cli import parser
from konomi.report import Block, Note, Table
from konomi.report.figures import column
from konomi.report.text import printable

if TYPE_CHECKING:
    from rich.text import Text

    from konomi.report.compare import Comparison

PAGE = "compare.html"
WIDTH = 120
"""Columns of a table in the terminal, where the terminal does not say."""


def main(argv: Sequence[str]) -> int:
    """Compare runs: a table here, and a page with plots beside the first folder."""
    arguments = parser("compare", "FOLDER… [--baseline RUN] [--output FILE] [--json]")
    arguments.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run's folder, or a sweep's")
    arguments.add_argument("--baseline", help="the run that the others are set against (default: the first)")
    arguments.add_argument("--output", type=Path, help=f"where to write the page (default: {PAGE} in the first folder)")
    arguments.add_argument("--json", action="store_true", help="print JSON and nothing else, and write no page")
    given = arguments.parse_args(argv)
    from konomi.report.compare import compare

    comparison = compare(given.folders, baseline=given.baseline)
    if given.json:
        print(printable(json.dumps(comparison.to_json(), ensure_ascii=False, indent=1)))
        return 0
    for block in comparison.blocks():
        _print(block)
    page = given.output or given.folders[0] / PAGE
    page.write_text(render_page(comparison, given.folders), encoding="utf-8")
    print(f"page {page.resolve()}")
    return 0


def render_page(comparison: Comparison, folders: Sequence[Path]) -> str:
    """Return the page of a comparison."""
    from konomi.report.page import Document, render

    where = ", ".join(str(folder) for folder in folders)
    foot = [("baseline", comparison.baseline), ("written", time.strftime("%Y-%m-%d %H:%M"))]
    return render(Document("Runs side by side", subtitle=where, summary=comparison.blocks(), foot=foot))


def _text(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text))


def _print(block: Block) -> None:
    """Print what reads well in a terminal: tables and notes; curves and bars are for the page."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(width=None if Console().is_terminal else WIDTH, highlight=False)
    if isinstance(block, Note):
        console.print(_text(f"{block.title + ': ' if block.title else ''}{block.text}"))
    elif isinstance(block, Table):
        drawn = RichTable(title=_text(block.title), title_justify="left", box=None, header_style="bold")
        cells = [column([row[index] for row in block.rows]) for index in range(len(block.columns))]
        for name, (_, figures) in zip(block.columns, cells, strict=True):
            drawn.add_column(_text(name), justify="right" if figures else "left", overflow="fold")
        for texts in zip(*(texts for texts, _ in cells), strict=True):
            drawn.add_row(*(_text(text) for text in texts))
        console.print(drawn)
