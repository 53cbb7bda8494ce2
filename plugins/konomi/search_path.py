"""Where recipes, presets and plugins are looked for: konomi's own, installed packages', the project's.

An installed package brings presets and recipes through the entry point group `konomi.conf` (the name of a package that
holds `conf/`, `recipes/` or both). A project folder opts in with a table in its own `pyproject.toml`:

    [tool.konomi]
    plugins = ["plugins"]   # folders of Python files with @register lines
    conf = "conf"           # presets, conf/<kind>/<name>.yaml
    recipes = "recipes"
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi import project, registry
from konomi.faults import Fault, Faults, KonomiError, did_you_mean

PARTS = ("plugins", "conf", "recipes")
"""Keys of a project's `[tool.konomi]` table."""
MAX_BYTES = 1 << 20
MAX_DEPTH = 100
"""Levels of nesting; a parser recurses on each."""
_ALIAS = re.compile(r"(?:^|[\s\[{,:-])[*&][A-Za-z0-9_\-]", re.MULTILINE)
"""An anchor or an alias; a glob such as `*.jsonl` stands in quotes, or within a word."""


@dataclass(frozen=True)
class Provider:
    """Somebody who brings presets and recipes."""

    owner: str
    conf: Path | None
    recipes: Path | None


def project_table() -> tuple[Path, dict[str, Any]] | None:
    """Return the project's folder and its `[tool.konomi]` table, looked for from the working folder upwards."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("konomi")
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise Faults([Fault(str(file), f"not valid TOML: {error}")]) from error
            if table is None:
                return None
            if faults := list(_wrong_table(file, table)):
                raise Faults(faults)
            return folder, table
    return None


def _wrong_table(file: Path, table: Any) -> Iterator[Fault]:
    if not isinstance(table, dict):
        yield Fault(f"{file}: [tool.konomi]", f"expected a table, found {table!r}", 'type recipes = "recipes" in it')
        return
    for name, value in table.items():
        at = f"{file}: [tool.konomi] {name}"
        if name not in PARTS:
            yield Fault(at, "there is no such key", did_you_mean(name, PARTS))
        elif name == "plugins" and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            yield Fault(at, f"expected a list of folders, found {value!r}", 'type plugins = ["plugins"]')
        elif name != "plugins" and not isinstance(value, str):
            yield Fault(at, f"expected a folder, found {value!r}", f'type {name} = "{name}"')


_config_dirs: list[Path] = []


def add_config_dir(folder: Path) -> None:
    """Look for presets and recipes in a further folder: the command line's `--config-dir`."""
    if not folder.is_dir():
        raise Faults([Fault("--config-dir", f"there is no folder {folder}")])
    if folder not in _config_dirs:
        _config_dirs.append(folder)


def remove_config_dir(folder: Path) -> None:
    """Look there no more."""
    if folder in _config_dirs:
        _config_dirs.remove(folder)


def providers() -> list[Provider]:
    """Return everybody who brings presets and recipes: konomi, packages by name, the project, `--config-dir`."""
    found = list(_installed())
    if found_table := project_table():
        folder, table = found_table
        conf, recipes = (_project_folder(folder, table, part) for part in ("conf", "recipes"))
        found.append(Provider(f"the project {folder.name}", conf, recipes))
    return [*found, *(Provider("--config-dir", folder, folder) for folder in _config_dirs)]


@functools.cache
def _installed() -> tuple[Provider, ...]:
    found = []
    for point in sorted(registry.entry_points("konomi.conf"), key=lambda p: (p.value != "konomi", p.value)):
        roots = _package_folders(point.value)
        owner = point.dist.name if point.dist else point.value
        found.append(Provider(owner, _inside(roots, "conf"), _inside(roots, "recipes")))
    return tuple(found)


BOMB = "too large or too deeply nested, or it holds YAML aliases"
_DEEP_LINE = re.compile(rf"^ *(?:[-?]\s+){{{MAX_DEPTH}}}|^ {{{4 * MAX_DEPTH}}}", re.MULTILINE)


def is_bomb(text: str) -> bool:
    """Tell whether a recipe or preset is larger than any page, or holds YAML aliases, which blow up a small file."""
    if len(text) > MAX_BYTES or _ALIAS.search(text) or _DEEP_LINE.search(text):
        return True
    opened = itertools.accumulate(1 if mark in "[{" else -1 for mark in re.findall(r"[\[\]{}]", text))
    return max(opened, default=0) > MAX_DEPTH


def page(file: Path) -> str:
    """Return the text of a recipe or preset; raises `KonomiError` where it cannot be read."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{error.object[error.start]:02x}"
        raise KonomiError(f"{file}, line {line}: {found} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise KonomiError(f"{file} cannot be read: {error.strerror}") from error
    if is_bomb(text):
        raise KonomiError(f"{file}: {BOMB} (&name, *name); write the values out")
    return text


def not_yaml(file: Path, error: Exception) -> str:
    """Say where and why a YAML parser refused a file."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", error))
    if (character := getattr(error, "character", None)) is not None:
        problem = (
            f"the character U+{ord(character) if isinstance(character, str) else character:04X} may not stand in it"
        )
    tab = "; indent with blanks, not with tabs" if "cannot start any token" in problem else ""
    return f"{file}{f', line {mark.line + 1}' if mark else ''}: not valid YAML: {problem}{tab}"


def recipes() -> dict[str, tuple[Path, str]]:
    """Return each recipe's file and owner, by name; raises `Faults` where two owners have one name."""
    found: dict[str, tuple[Path, str]] = {}
    faults = []
    for provider in providers():
        for file in sorted(filter(Path.is_file, provider.recipes.glob("*.yaml"))) if provider.recipes else []:
            held = found.setdefault(file.stem, (file, provider.owner))
            if held[0] != file:
                what = f"is brought by {held[1]} ({held[0]}) and by {provider.owner} ({file})"
                faults.append(Fault(f"recipe {file.stem}", what, "rename one of them"))
    if faults:
        raise Faults(faults)
    return found


def load_plugins() -> None:
    """Import all plugins: the built-in, the installed packages' and the project's."""
    registry.load()
    if not (found := project_table()):
        return
    folder, table = found
    folders = [str(_must_exist(folder / name, folder, "plugins")) for name in table.get("plugins", [])]
    project.load(folders, f"the project {folder.name}")


def install() -> None:
    """Tell Hydra where to look; calling it again changes nothing."""
    from hydra.core.plugins import Plugins

    from konomi._hydra_search_path import KonomiFiles, KonomiSearchPath

    Plugins.instance().register(KonomiSearchPath)
    Plugins.instance().register(KonomiFiles)


def _package_folders(package: str) -> list[Path]:
    if package == "konomi":  # in a checkout, conf/ and recipes/ stand beside plugins/
        import konomi

        return [Path(path) for path in konomi.__path__]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise KonomiError(f"the entry point konomi.conf names {package}, which is no package that can be found")
    return [Path(path) for path in spec.submodule_search_locations]


def _inside(roots: list[Path], name: str) -> Path | None:
    return next((root / name for root in roots if (root / name).is_dir()), None)


def _project_folder(folder: Path, table: dict[str, Any], part: str) -> Path | None:
    return _must_exist(folder / table[part], folder, part) if part in table else None


def _must_exist(path: Path, folder: Path, part: str) -> Path:
    if not path.is_dir():
        at = f"{folder / 'pyproject.toml'}: [tool.konomi] {part}"
        raise Faults([Fault(at, f"there is no folder {path}", f"make it, or take {part} out")])
    return path
