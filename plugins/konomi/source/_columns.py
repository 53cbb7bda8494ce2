"""Which columns a source's rows have: their names, ours, and the types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, did_you_mean, nearest
from konomi.source import FORMATS
from konomi.source._options import Gives

if TYPE_CHECKING:
    import pyarrow as pa

PEEK_ROWS = 100
"""Rows that decide which further columns there are, and of what type."""
INT64 = range(-(1 << 63), 1 << 63)


BY_DEMAND = ("preference", "prompt_completion", "messages", "text")
"""Order in which `auto` looks: what asks for most columns first."""


@dataclass(frozen=True)
class Layout:
    """The columns of a source, by our name: theirs, and the type."""

    format: str
    theirs: dict[str, str]
    types: dict[str, pa.DataType]

    @property
    def needed(self) -> tuple[str, ...]:
        return FORMATS[self.format]


def message_type() -> pa.DataType:
    """Return the type of a conversation."""
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def is_message(value: Any) -> bool:
    """Tell whether a value is one message of plain text, with nothing beside it that would be lost."""
    return isinstance(value, dict) and value.keys() == {"role", "content"} and all(map(_is_text, value.values()))


def is_conversation(value: Any) -> bool:
    """Tell whether a value is a list of messages."""
    return isinstance(value, list) and bool(value) and all(map(is_message, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def sampled_types(rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.DataType | None]:
    """Return the type of each column of some rows; None where it is neither plain nor a conversation."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _sampled_type([row[name] for row in rows if row.get(name) is not None]) for name in names}


def _sampled_type(values: Sequence[Any]) -> pa.DataType | None:
    import pyarrow as pa

    kinds = {type(value) for value in values}
    if any(map(is_conversation, values)):
        return message_type()
    if str in kinds or (int in kinds and any(value not in INT64 for value in values if isinstance(value, int))):
        return pa.string()
    plain: list[tuple[set[type], pa.DataType]] = [
        ({bool}, pa.bool_()),
        ({int}, pa.int64()),
        ({int, float}, pa.float64()),
    ]
    return next((type_ for accepted, type_ in plain if kinds and kinds <= accepted), None)


def schema_types(schema: pa.Schema) -> dict[str, pa.DataType | None]:
    """Return the type of each column of a schema, every string type as plain `string`."""
    import pyarrow as pa
    import pyarrow.types as is_

    def plain(type_: pa.DataType) -> pa.DataType:
        value = type_.value_type if is_.is_dictionary(type_) else type_
        strings = is_.is_string(value) or is_.is_large_string(value) or is_.is_string_view(value)
        return pa.string() if strings else type_

    return {name: plain(type_) for name, type_ in zip(schema.names, schema.types, strict=True)}


def is_plain(type_: pa.DataType | None) -> bool:
    """Tell whether a column holds single values that JSON has too."""
    import pyarrow.types as is_

    tests = (is_.is_string, is_.is_boolean, is_.is_integer, is_.is_floating)
    return type_ is not None and any(test(type_) for test in tests)


def holds_conversations(type_: pa.DataType | None) -> bool:
    """Tell whether a column holds lists of messages."""
    import pyarrow.types as is_

    if type_ is None or not (is_.is_list(type_) or is_.is_large_list(type_)) or not is_.is_struct(type_.value_type):
        return False
    return {"role", "content"} <= {type_.value_type.field(i).name for i in range(type_.value_type.num_fields)}


def lay_out(
    found: Mapping[str, pa.DataType | None], columns: Mapping[str, str], keep: Sequence[str] | None, gives: Gives
) -> tuple[Layout | None, list[Fault]]:
    """Decide format, columns and types from what was found; the layout is None where there are faults.

    `columns` maps our names to theirs. `keep` names (ours) what is kept beside the format's columns; None keeps all
    that are plain.
    """
    faults = [
        Fault(f"columns.{ours}", f"there is no column {theirs}", did_you_mean(theirs, found))
        for ours, theirs in columns.items()
        if theirs not in found
    ]
    view = {name: name for name in found if name not in columns.values()} | dict(sorted(columns.items()))
    if faults:
        return None, faults
    format_ = _format(view, columns) if gives is Gives.auto else gives.name
    if format_ is None:
        return None, [Fault("columns", *_no_format(found))]
    for ours in FORMATS[format_]:
        if ours not in view:
            likely = _likeliest(found, ours)
            faults.append(Fault(f"columns.{ours}", f"there is no column {ours} ({_listed(found)})", f"type {likely}"))
    needed = [name for name in FORMATS[format_] if name in view]
    faults += _wrong_types(format_, {ours: found[view[ours]] for ours in needed}, view)
    extras = [name for name in view if name not in needed and is_plain(found[view[name]])]
    if keep is not None:
        extras = [name for name in keep if name not in needed]
        faults += [
            Fault("keep", f"there is no column {name}", did_you_mean(name, view)) for name in extras if name not in view
        ]
        faults += [
            Fault("keep", f"{name} holds no plain values, and cannot be kept")
            for name in extras
            if name in view and found[view[name]] is None
        ]
    if faults:
        return None, faults
    names = [*needed, *extras]
    return Layout(format_, {name: view[name] for name in names}, {name: found[view[name]] for name in names}), []


def _format(view: Iterable[str], columns: Mapping[str, str]) -> str | None:
    """Return the most demanding format that the columns satisfy; one that the user named a column of goes first."""
    fits = [name for name in BY_DEMAND if set(FORMATS[name]) <= set(view)]
    named = [name for name in fits if set(FORMATS[name]) & set(columns)]
    return next(iter([*named, *fits]), None)


def _wrong_types(format_: str, types: Mapping[str, pa.DataType | None], view: Mapping[str, str]) -> list[Fault]:
    import pyarrow.types as is_

    faults = []
    for ours, type_ in types.items():
        text = type_ is not None and is_.is_string(type_)
        wanted = {"text": text, "messages": holds_conversations(type_)}.get(ours, text or holds_conversations(type_))
        if not wanted:
            expected = {"text": "strings", "messages": "lists of {role, content}"}.get(ours, "strings or conversations")
            held = "nothing that can be read as one" if type_ is None else str(type_)
            faults.append(Fault(f"columns.{ours}", f"the column {view[ours]} holds {held}; {ours} must be {expected}"))
    if not faults and len({bool(holds_conversations(type_)) for type_ in types.values()}) > 1:
        faults.append(Fault("columns", f"{', '.join(types)} must all be strings or all conversations"))
    return faults


def _listed(found: Iterable[str]) -> str:
    return f"found: {', '.join(found) or 'none'}"


def _no_format(found: Mapping[str, pa.DataType | None]) -> tuple[str, str]:
    wanted = " · ".join(f"{name} ({', '.join(FORMATS[name])})" for name in reversed(BY_DEMAND))
    what = f"the columns are those of no format ({_listed(found)}; formats: {wanted})"
    return what, f"type {_likeliest(found, 'text')}, or gives=rows to feed a generator"


def _likeliest(found: Mapping[str, pa.DataType | None], ours: str) -> str:
    """Return what to type for a column of ours: the nearest name, else one that could hold it."""
    could_be = holds_conversations if ours == "messages" else is_plain
    fitting = [name for name, type_ in found.items() if could_be(type_)]
    usual = {
        "text": ("body", "content", "document", "article", "raw_content", "raw_text", "本文"),
        "prompt": ("instruction", "question", "input", "query"),
        "completion": ("output", "response", "answer", "solution"),
        "messages": ("conversations", "conversation", "dialogue", "input"),
        "chosen": ("chosen_response", "preferred", "better"),
        "rejected": ("rejected_response", "dispreferred", "worse"),
    }.get(ours, ())
    guess = nearest(ours, fitting) or next((name for name in usual if name in fitting), None)
    return f"columns.{ours}={guess or next(iter(fitting), '…')}"
