"""Which files a path, a folder or a pattern means, and of what type each one is.

Names are compared in Unicode's composed form (NFC), because one file system stores the name that was typed and
another its decomposed form, and both look the same on the screen.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import Fault
from konomi.source._options import FileType
from konomi.store.artifact import MANIFEST, Artifact

SHOWN_NAMES = 5
"""Names listed where nothing matches: enough to see the slip, few enough to read."""


SUFFIXES = {
    ".jsonl": FileType.jsonl,
    ".ndjson": FileType.jsonl,
    ".json": FileType.json,
    ".parquet": FileType.parquet,
    ".csv": FileType.csv,
    ".tsv": FileType.tsv,
    ".txt": FileType.text,
    ".md": FileType.text,
}
ARCHIVES = {".warc": FileType.auto, ".wet": FileType.auto}
"""Suffixes of a crawl's archives, whose records say themselves what they are."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class File:
    """One file to read."""

    path: Path
    type: FileType
    compression: str | None = None


def patterns_of(path: Any) -> list[str]:
    """Return the patterns that an option holds; empty where it is none, or no list of strings."""
    given = [path] if isinstance(path, str) else path
    listed = list(given) if isinstance(given, Sequence) else []
    return listed if all(isinstance(item, str) and item for item in listed) else []


def find(
    patterns: str | Sequence[str], type_: FileType = FileType.auto, suffixes: Mapping[str, FileType] = SUFFIXES
) -> tuple[list[File], list[Fault]]:
    """Return the files that the patterns mean, each once, in a fixed order; and what is wrong with the patterns.

    A pattern is a file, a folder (all files of a known type in it), or a glob (`**` goes through folders). The order
    is that of the patterns, and by name within one of them.
    """
    files: dict[Path, File] = {}
    faults: list[Fault] = []
    for pattern in [patterns] if isinstance(patterns, str) else list(patterns):
        try:
            matched = list(expand(pattern))
        except OSError as error:  # a name longer than the file system allows, a folder that may not be read
            faults.append(Fault("path", f"{error.filename or pattern}: {error.strerror}"))
            continue
        if not matched:
            faults.append(Fault("path", f"nothing matches {pattern}", _nearby(pattern)))
        for path in matched:
            found = (
                _in_folder(path, type_, suffixes) if path.is_dir() else [_special(path) or _file(path, type_, suffixes)]
            )
            if not found:
                known = ", ".join([*suffixes, *COMPRESSIONS])
                faults.append(Fault("path", f"the folder {path} holds no file of a known type", f"known: {known}"))
            faults.extend(file for file in found if isinstance(file, Fault))
            files.update({file.path.resolve(): file for file in found if isinstance(file, File)})
    return list(files.values()), faults


def expand(pattern: str) -> Iterator[Path]:
    """Yield the paths that a glob, or a plain path in whatever Unicode form, means; sorted by their NFC names."""
    path = Path(pattern).expanduser()
    if path.exists():  # before globbing: a name may hold brackets
        yield path
        return
    found = [Path(path.anchor)]
    for part in path.parts[1:] if path.anchor else path.parts:
        found = [child for folder in found for child in _children(folder, part)]
    yield from sorted(found, key=_order)


def composed(text: str) -> str:
    """Return a name in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def relative_names(paths: Sequence[Path]) -> list[str]:
    """Return the paths as they are seen from the folder that all have in common, with `/`; of one path its last name.

    >>> relative_names([Path("texts/ja/a.jsonl"), Path("texts/en/a.jsonl")])
    ['ja/a.jsonl', 'en/a.jsonl']
    """
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 (a link keeps the name that it is known by)
    common = os.path.commonpath([path.parent for path in whole])
    return [path.relative_to(common).as_posix() for path in whole]


def _children(folder: Path, part: str) -> Iterator[Path]:
    if part == "**":
        yield folder
        yield from (Path(at) / name for at, names, _ in os.walk(folder) for name in names if not name.startswith("."))
    elif part == ".." or (folder / part).exists():
        yield folder / part
    elif folder.is_dir():
        wanted = composed(part)
        for child in folder.iterdir():
            name = composed(child.name)
            hidden = name.startswith(".") and not wanted.startswith(".")
            if name == wanted or (not hidden and fnmatch.fnmatchcase(name, wanted)):
                yield child


def _order(path: Path) -> str:
    return composed(path.as_posix())


def _in_folder(folder: Path, type_: FileType, suffixes: Mapping[str, FileType]) -> Sequence[File | Fault]:
    """Return the files of a folder; prose (a README) is passed over where there is data beside it.

    Of an artifact it is the rows to train on: what was dropped or held out lies beside them.
    """
    if (folder / MANIFEST).is_file() and (folder / "data").is_dir():
        return [File(path, FileType.parquet) for path in Artifact("", "", "", folder).shards()]
    inside = (path for path in sorted(folder.rglob("*"), key=_order) if path.is_file())
    visible = (path for path in inside if not any(p.startswith(".") for p in path.relative_to(folder).parts))
    files = [file for file in (_file(path, type_, suffixes) for path in visible) if isinstance(file, File)]
    data = [file for file in files if file.type is not FileType.text]
    return data or files


def _special(path: Path) -> Fault | None:
    """Return a fault for a pipe, a socket, a device or a link to nothing: reading one may wait for ever."""
    if path.is_file():
        return None
    what = "is a link to what is not there" if path.is_symlink() else "is no file that can be read twice"
    return Fault("path", f"{path} {what}", "write the rows to a file first")


def _file(path: Path, type_: FileType, suffixes: Mapping[str, FileType]) -> File | Fault:
    compression = COMPRESSIONS.get(path.suffix.lower())
    suffix = Path(path.stem).suffix if compression else path.suffix
    known = suffixes.get(suffix.lower()) if type_ is FileType.auto else type_
    if known is None:
        listed = ", ".join([*suffixes, *COMPRESSIONS])
        if suffixes is ARCHIVES:
            return Fault("path", f"{path} has the suffix {suffix or '(none)'}, an archive has {listed}", "rename it")
        if suffix.lower() in ARCHIVES:
            return Fault("path", f"{path} is a crawl's archive", "those are read by source=warc")
        types = "|".join(kind.name for kind in FileType if kind is not FileType.auto)
        what = f"{path} has the suffix {suffix or '(none)'}, which says no type (known: {listed})"
        return Fault("path", what, f"say what it is: type={types}")
    if known is FileType.parquet and compression:
        return Fault("path", f"{path} is a compressed Parquet file", "Parquet compresses inside: unpack it once")
    return File(path, known, compression)


def _nearby(pattern: str) -> str:
    """Say what stands where the pattern looked."""
    path = Path(pattern).expanduser()
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    wanted = path.parts[len(folder.parts)] if len(path.parts) > len(folder.parts) else path.name
    names = sorted(_names(folder), key=composed)
    near = difflib.get_close_matches(composed(wanted), map(composed, names), n=SHOWN_NAMES, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    more = " …" if len(names) > SHOWN_NAMES else ""
    return f"{folder.resolve()} holds: {', '.join(names[:SHOWN_NAMES])}{more}" if names else f"{folder} is empty"


def _names(folder: Path) -> Iterable[str]:
    try:
        return [child.name for child in folder.iterdir() if not child.name.startswith(".")]
    except OSError:
        return []
