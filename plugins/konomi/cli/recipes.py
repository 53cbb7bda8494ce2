"""`konomi recipes`: every recipe, with the first sentence of its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from konomi import search_path
from konomi.cli import parser
from konomi.faults import KonomiError
from konomi.report.text import printable


def main(argv: Sequence[str]) -> int:
    """List the recipes that can be run."""
    arguments = parser("recipes", "[--json]")
    arguments.add_argument("--json", action="store_true", help="print JSON and nothing else")
    given = arguments.parse_args(argv)
    found = {name: (summary(file), owner, str(file)) for name, (file, owner) in sorted(search_path.recipes().items())}
    if given.json:
        rows = [{"name": name, "summary": row[0], "owner": row[1], "file": row[2]} for name, row in found.items()]
        print(printable(json.dumps(rows, ensure_ascii=False, indent=1)))
    else:
        for name, (text, owner, _) in found.items():
            print(printable(f"{name:<20} {text}" + ("" if owner == "konomi" else f"  ({owner})")))
    return 0


def summary(file: Path) -> str:
    """Return the first line of the comment that opens a recipe."""
    try:
        first = search_path.page(file).partition("\n")[0]
    except KonomiError as error:
        return str(error)
    return first.lstrip("# ").strip() if first.startswith("#") else ""
