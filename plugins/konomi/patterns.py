"""Regular expressions that a recipe gives, over texts that anybody wrote: bounded in time.

A pattern such as `(a+)+$` takes Python's `re` years on thirty letters. `regex` reads the same language and can be told
to give up.
"""

from __future__ import annotations

import functools
from typing import Any

from konomi.faults import KonomiError

SECONDS = 5.0
"""Time that one pattern may take on one text."""


@functools.cache
def compiled(pattern: str, dotall: bool = False) -> Any:
    """Return a compiled pattern; raises `KonomiError` where it is none."""
    import regex

    try:
        return regex.compile(pattern, regex.DOTALL if dotall else 0)
    except regex.error as error:
        raise KonomiError(f"{pattern!r} is no regular expression: {error}") from error


def occurs(pattern: str, text: str) -> bool:
    """Tell whether a pattern occurs in a text; raises `KonomiError` where that takes too long."""
    return _matched(compiled(pattern).search, pattern, text)


def fits(pattern: str, text: str) -> bool:
    """Tell whether a pattern describes a whole text, lines and all; raises `KonomiError` where that takes too long."""
    return _matched(compiled(pattern, dotall=True).fullmatch, pattern, text)


def _matched(match: Any, pattern: str, text: str) -> bool:
    try:
        return match(text, timeout=SECONDS) is not None
    except TimeoutError as error:
        raise KonomiError(
            f"the pattern {pattern!r} takes more than {SECONDS:g} s on a text of {len(text)} characters; write it"
            " without a repetition inside a repetition"
        ) from error
