"""Every way to change a field of a plugin, from its type; and a valid plugin of each kind to change it in."""

from __future__ import annotations

import dataclasses
import shutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from konomi import register, registry
from konomi.recipe.arguments import argument_defaults, argument_fields
from konomi.recipe.nodes import option_types
from konomi.store import Artifact
from konomi.testing.archives import conversion

NOWHERE = Path("nowhere")


class NoGenerator(Exception):
    """A field is of a type that no generator knows; give it a line in `BY_HAND`."""


def made(makes: str, name: str = "one") -> Artifact:
    """Return an artifact that a stage would read; a key needs no more of it."""
    return Artifact(name, makes, f"{makes}-{name}", NOWHERE)


@register("keys_other", "other")
@dataclasses.dataclass(frozen=True)
class Other:
    """Stands for another plugin where a kind has only one."""


REQUIRED: dict[str, Callable[[Path], Any]] = {
    "source/files.path": lambda folder: str(_texts(folder / "texts")),
    "source/hub.path": lambda folder: str(_texts(folder / "texts")),
    "source/warc.path": lambda folder: str(_archive(folder / "archives")),
    "source/python_docs.packages": lambda folder: ["json"],
    "dedup/semdedup.encoder": lambda folder: str(_texts(folder / "texts")),
    "dedup/exact.against": lambda folder: (_index("exact", folder),),
    "dedup/minhash.against": lambda folder: (_index("minhash", folder),),
    "model/hub.name_or_path": lambda folder: made("model"),
    "filter/decontaminate.sets": lambda folder: {"questions": str(_texts(folder / "texts"))},
}
"""Values of fields without which no key can be computed, or only slowly."""

BY_HAND: dict[str, Callable[[Path], list[Any]]] = {
    "source/files.path": lambda folder: [str(_texts(folder / "copy")), [str(_texts(folder / "copy") / "*.txt")]],
    "source/hub.path": lambda folder: [str(_texts(folder / "copy"))],
    "source/warc.path": lambda folder: [str(_archive(folder / "copy 2")), [str(_archive(folder / "copy 2") / "*.wet")]],
    "model/hub.name_or_path": lambda folder: [made("model", "other"), str(_texts(folder / "texts"))],
    "source/python_docs.packages": lambda folder: [["json", "email"], ["email"]],
    "filter/gopher_quality.language": lambda folder: ["ja", "any"],
    "filter/c4.language": lambda folder: ["ja", "any"],
    "filter/fineweb.language": lambda folder: ["ja", "any"],
    "dedup/exact.against": lambda folder: [(_index("exact", folder / "moved"),)],
    "dedup/minhash.against": lambda folder: [(_index("minhash", folder / "moved"),)],
    "dedup/semdedup.encoder": lambda folder: [str(_texts(folder / "copy"))],
    "stage/tokenize.chat_template": lambda folder: ["plain"],
    "filter/decontaminate.sets": lambda folder: [{"questions": str(_texts(folder / "copy"))}],
    "filter/language_id.model": lambda folder: [str(_copy(_shipped(), folder / "copy.ftz"))],
    "filter/harmful_words.words": lambda folder: [_lists(folder, "harmful_ja", "harmful_en")],
    "filter/japanese_quality.ng_words": lambda folder: [_lists(folder, "harmful_ja", "harmful_en")],
    "filter/japanese_spam.board_words": lambda folder: [_lists(folder, "boards_ja")],
    "filter/japanese_spam.advertisement_words": lambda folder: [_lists(folder, "advertisements_ja")],
    "filter/japanese_footer.words": lambda folder: [_lists(folder, "footers_ja")],
    "filter/url_blocklist.words": lambda folder: [_lists(folder, "url_words")],
    "filter/url_blocklist.domains": lambda folder: [[]],
}
"""Other values of fields whose type says too little (`Any`), or which must name something that is there."""


def _texts(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text("one text", encoding="utf-8")
    return folder


def _shipped() -> Path:
    from konomi.filter._fasttext import shipped

    file = shipped()
    assert file is not None
    return file


def _copy(file: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(file.read_bytes())
    return to


def _archive(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.wet").write_bytes(conversion("https://a.example/", "one text"))
    return folder


def _index(name: str, folder: Path) -> str:
    """Return the folder of an index of no documents."""
    import numpy as np
    import pyarrow as pa

    from konomi.dedup import Corpus

    registry.get("dedup", name)().index(Corpus(()), np.empty(0, np.bool_), pa.array([], "string"), folder / name)
    return str(folder / name)


def _lists(folder: Path, *names: str) -> list[str]:
    """Return copies of lists that ship: the same entries in another place."""
    from konomi.filter._words import SHIPPED

    folder.mkdir(parents=True, exist_ok=True)
    return [shutil.copy(SHIPPED / f"{name}.txt", folder) for name in names]


def ours() -> list[registry.Entry]:
    """Return the plugins that konomi brings, without those that other tests have registered."""
    return [entry for entry in registry.entries() if entry.cls.__module__.startswith("konomi.")]


def example(entry: registry.Entry, folder: Path) -> Any:
    """Return a plugin with its defaults, with plugins and artifacts where it needs some."""
    return entry.cls(**{field.name: _first(entry, field, folder) for field in _set_fields(entry)})


def _set_fields(entry: registry.Entry) -> Iterator[dataclasses.Field[Any]]:
    for field in dataclasses.fields(entry.cls):
        if {"kind", "artifact"} & field.metadata.keys() or f"{entry.id}.{field.name}" in REQUIRED:
            yield field


def _first(entry: registry.Entry, field: dataclasses.Field[Any], folder: Path) -> Any:
    meta = field.metadata
    if required := REQUIRED.get(f"{entry.id}.{field.name}"):
        return required(folder)
    if "kind" in meta:
        if meta["many"]:
            return {name: example(registry.get_entry(meta["kind"], name), folder) for name in meta["default"]}
        return example(registry.get_entry(meta["kind"], meta["default"]), folder) if meta["default"] else None
    if meta.get("many"):
        return {name: made(meta["artifact"][0], name) for name in ("first", "second")}
    return made(meta["artifact"][0])


def mutants(entry: registry.Entry, plugin: Any, field: dataclasses.Field[Any], folder: Path) -> list[Any]:
    """Return other values of a field; raises `NoGenerator` for a type that is not known."""
    held, meta = getattr(plugin, field.name), field.metadata
    if by_hand := BY_HAND.get(f"{entry.id}.{field.name}"):
        return by_hand(folder)
    if "kind" in meta:
        others = [example(one, folder) for one in registry.entries(meta["kind"]) if one in ours()]
        if meta["many"]:
            return _of_names(held, others[0])
        return [other for other in others if type(other) is not type(held)] or [Other()]
    if "artifact" in meta:
        return _of_names(held, made(meta["artifact"][0], "other")) if meta.get("many") else _of_artifact(held, meta)
    return list(_of_type(option_types(entry.cls)[field.name], held, f"{entry.id}.{field.name}"))


def _of_artifact(held: Any, meta: Mapping[str, Any]) -> list[Any]:
    return [made(meta["artifact"][0], "other"), *([None] if meta.get("optional") and held is not None else [])]


def _of_names(held: Mapping[str, Any], other: Any) -> list[dict[str, Any]]:
    """Return changes of plugins or artifacts by name: one more, another, one less, another name, another order."""
    names = list(held)
    found = [{**held, "further": other}]
    if names:
        rest = {name: held[name] for name in names[1:]}
        found += [rest, {"renamed": held[names[0]], **rest}]
        found += [{names[0]: other, **rest}] if held[names[0]] != other else []
    return found + ([{name: held[name] for name in reversed(names)}] if len(names) > 1 else [])


def _of_type(kind: Any, held: Any, where: str) -> Iterator[Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        plain = [arg for arg in args if arg is not type(None)]
        if held is not None and len(plain) < len(args):
            yield None
        for arg in plain:
            yield from _of_type(arg, held if held is not None else _plain(arg), where)
            if held is None:
                yield _plain(arg)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from (member for member in kind if member is not held)
    elif kind is bool:
        yield not held
    elif kind is int:
        yield from (held + 1, held + 1000)
    elif kind is float:
        yield from (held * 1.5 if held else 0.5, held + 1e-9)
    elif kind is str:
        yield from (f"{held}x", "日本語")
    elif origin in (list, tuple):
        one = _plain(args[0])
        more = [*held, one, *([_next(one)] if one != _next(one) else [])]
        yield from (origin(value) for value in ([*held, one], more, more[::-1]) if list(value) != list(held))
    elif origin in (dict, Mapping) and args[0] is str:
        value = _plain(args[1])
        yield from ({**held, "added": value}, {**held, "added": _next(value)})
    else:
        raise NoGenerator(f"{where}: {kind}")


def _plain(kind: Any) -> Any:
    """Return some value of a type."""
    origin = typing.get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if origin in (list, tuple, dict):
        return origin()
    known = {bool: True, int: 7, float: 0.25, str: "word", Path: Path("here")}
    if kind not in known:
        raise NoGenerator(str(kind))
    return known[kind]


def _next(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [*value, "word"]
    if isinstance(value, dict):
        return {**value, "key": "word"}
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, (int, float)) else f"{value}x"


def arguments(where: str) -> Iterator[tuple[str, Any]]:
    """Yield every argument of a library's dataclass with another value than its default, by its annotation."""
    defaults = argument_defaults(where)
    for name, annotation in argument_fields(where).items():
        default = defaults.get(name)
        members = {part.strip() for part in annotation.replace("Optional[", "").replace("]", "").split("|")}
        if isinstance(default, bool) or (default is None and "bool" in members):
            yield name, not default
        elif isinstance(default, int) or (default is None and "int" in members):
            yield name, (default or 0) + 3
        elif isinstance(default, float) or (default is None and "float" in members):
            yield name, (default or 0.5) * 1.5
        elif isinstance(default, str) or (default is None and "str" in members):
            yield name, f"{default or ''}x"
        else:
            yield name, {"given": 1}
