"""What the rows of a format say, as one text each, and which rows teach nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError, did_you_mean
from konomi.source import FORMATS

if TYPE_CHECKING:
    import pyarrow as pa

BETWEEN = "\n\n"
"""Stands between the parts of a row that is judged as one text."""

PROMPT = "prompt"


def text_array(table: pa.Table, format_: str) -> pa.Array:
    """Return the text of each row as large strings, the parts of a conversation or a pair joined; null where one is
    missing or is not UTF-8.

    Raises `KonomiError` where the table lacks a column of the format or a text column holds no texts.
    """
    import pyarrow as pa

    names = FORMATS[format_]
    for name in names:
        if name not in table.column_names:
            hint = did_you_mean(name, table.column_names)
            raise KonomiError(f"the source's rows have no column {name}, which the format {format_} needs; {hint}")
    if format_ == "text":
        return _strings(table.column("text"))
    columns = [table.column(name).to_pylist() for name in names]
    joined = [None if None in parts else BETWEEN.join(map(said, parts)) for parts in zip(*columns, strict=True)]
    return pa.array(joined, pa.large_string())


def _strings(column: pa.ChunkedArray) -> pa.Array:
    """Return the strings of a column, null for what is not UTF-8."""
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_.is_null(column.type):
        return pa.nulls(len(column), pa.large_string())
    if not (is_.is_string(column.type) or is_.is_large_string(column.type) or is_.is_string_view(column.type)):
        raise KonomiError(f"the source's column text holds {column.type}; expected strings")
    whole = column.cast(pa.large_string()).combine_chunks()
    texts = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        decoded = [_decoded(value) for value in texts.view(pa.large_binary()).to_pylist()]
        return pa.array(decoded, pa.large_string())
    return texts


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def said(part: Any) -> str:
    """Return a string, or what a list of messages says, calls of tools included.

    >>> said([{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}])
    '1+1?\\n\\n2'
    """
    if isinstance(part, str):
        return part
    return BETWEEN.join(filter(None, map(_message, part)))


def _message(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):  # parts of several kinds; only texts can be judged
        content = "\n".join(str(part.get("text") or "") for part in content)
    calls = message.get("tool_calls")
    return "\n".join(filter(None, [content, json.dumps(calls, ensure_ascii=False, sort_keys=True) if calls else ""]))


def prompts(table: pa.Table, format_: str) -> list[str] | None:
    """Return the prompt of each row, None for a format that has none."""
    if PROMPT not in FORMATS[format_]:
        return None
    return [said(prompt) if prompt is not None else "" for prompt in table.column(PROMPT).to_pylist()]


def useless(table: pa.Table, format_: str) -> list[str | None]:
    """Return for each row why a model cannot learn from its answers, or None; nothing for texts, which have none."""
    if format_ == "text":
        return []
    columns = [table.column(name).to_pylist() for name in FORMATS[format_]]
    rows = (dict(zip(FORMATS[format_], values, strict=True)) for values in zip(*columns, strict=True))
    return [None if None in row.values() else _fault(row, format_) for row in rows]


def _fault(row: Mapping[str, Any], format_: str) -> str | None:
    if format_ == "messages":
        answers = [message for message in row["messages"] if message.get("role") == "assistant"]
        if not answers:
            return "no answer"
        return "empty answer" if _any_empty(map(_message, answers)) else None
    if format_ == "prompt_completion":
        return "empty answer" if _any_empty([said(row["completion"])]) else None
    if _any_empty([said(row["chosen"]), said(row["rejected"])]):
        return "empty answer"
    return "chosen equals rejected" if _same(row["chosen"], row["rejected"]) else None


def _any_empty(answers: Iterable[str]) -> bool:
    return any(not answer.strip() for answer in answers)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    return bool(one == other)
