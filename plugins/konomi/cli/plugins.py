"""`konomi plugins [KIND[/NAME]] [--json]`: what there is to choose from. Imports neither Hydra nor torch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from konomi import registry, search_path
from konomi.cli import parser
from konomi.faults import KonomiError, did_you_mean
from konomi.options import options
from konomi.registry import Entry

_BASE = re.compile(r"^defaults:\s*(?:\[|-)?\s*(?:\n\s*-\s*)?(\w+)", re.MULTILINE)


def main(argv: Sequence[str]) -> int:
    """List all plugins, those of a kind, or one with its options."""
    arguments = parser("plugins", "[KIND[/NAME]] [--json]")
    arguments.add_argument("which", nargs="?", default="", metavar="KIND[/NAME]", help="a kind, or one plugin")
    arguments.add_argument("--json", action="store_true", help="print JSON and nothing else")
    given = arguments.parse_args(argv)
    search_path.load_plugins()
    if (preset := _preset(given.which)) and not given.json:
        print(preset)
        return 0
    found = select(given.which)
    if given.json:
        print(json.dumps([as_json(entry) for entry in found], ensure_ascii=False, indent=1))
    elif "/" in given.which:
        print(one(found[0]))
    else:
        print(table(found))
    return 0


def select(which: str) -> list[Entry]:
    """Return the plugins that `KIND`, `KIND/NAME` or nothing means; raises `KonomiError` with the nearest match."""
    kind, _, name = which.partition("/")
    if not kind:
        return registry.entries()
    if kind not in registry.kinds():
        raise KonomiError(f"there is no kind {kind}; {did_you_mean(kind, registry.kinds())}")
    return [registry.get_entry(kind, name)] if name else registry.entries(kind)


def table(found: list[Entry]) -> str:
    """Return a list of plugins by kind, one line each, with presets named after them."""
    presets = _presets()
    lines = []
    for kind in sorted({entry.kind for entry in found}):
        lines.append(kind)
        for entry in found:
            if entry.kind == kind:
                owner = "" if entry.owner == "konomi" else f"  ({entry.owner})"
                lines.append(f"  {entry.name:<20} {entry.summary}{owner}")
        lines += [f"  {name:<20} preset of {base}" for name, base in presets.get(kind, {}).items()]
    return "\n".join(lines)


def _presets() -> dict[str, dict[str, str]]:
    """Return the presets by kind: name and what they stand on (a YAML parser would take as long as all else)."""
    found: dict[str, dict[str, str]] = {}
    for provider in search_path.providers():
        for kind in registry.kinds() if provider.conf else []:
            for file in sorted((provider.conf / kind).glob("*.yaml")):  # type: ignore[operator]
                base = _BASE.search(file.read_text(encoding="utf-8"))
                found.setdefault(kind, {})[file.stem] = base[1] if base else "?"
    return found


def _preset(which: str) -> str:
    """Return what a preset says, as its file has it; "" where `KIND/NAME` is none."""
    kind, _, name = which.partition("/")
    base = _presets().get(kind, {}).get(name)
    if base is None:
        return ""
    file = next(file for provider in search_path.providers() if (file := _file(provider.conf, kind, name)))
    return f"{which}  preset of {base}, {file}\n\n{file.read_text(encoding='utf-8').strip()}"


def _file(conf: Path | None, kind: str, name: str) -> Path | None:
    file = conf / kind / f"{name}.yaml" if conf else None
    return file if file is not None and file.is_file() else None


def one(entry: Entry) -> str:
    """Return a plugin's docstring and its options."""
    import inspect

    lines = [f"{entry.id}  ({entry.owner})", "", inspect.cleandoc(entry.cls.__doc__ or ""), "", "Options"]
    for option in options(entry.cls):
        default = "" if option.default is None and not option.required else f" = {option.shown_default}"
        lines += [f"  {option.name}: {option.type}{default}", f"      {option.help}"]
    if hasattr(entry.cls, "arguments_of"):
        lines.append(f"  …and every argument of {entry.cls.arguments_of.partition(':')[2]}")
    return "\n".join(lines)


def as_json(entry: Entry) -> dict[str, Any]:
    """Return what there is to know of a plugin, as JSON values."""
    import inspect

    try:
        source = inspect.getsourcefile(entry.cls)
    except TypeError:
        source = None
    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.summary,
        "version": entry.version,
        "owner": entry.owner,
        "source": source,
        "options": [
            {
                "name": option.name, "type": option.type, "default": option.default, "required": option.required,
                "help": option.help,
            }
            for option in options(entry.cls)
        ],
    }  # fmt: skip
