"""What is wrong with a recipe, said so that a person can mend it.

A `Fault` is one mistake; `Faults` carries all of them at once, so that nobody finds them one run at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One mistake: where it stands, what was found there, and what to type."""

    where: str
    """Config path (`align.loss.beta`), file and row, or command-line override."""
    what: str
    """What was found and what was expected."""
    hint: str = ""
    """What to type, or the nearest match."""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    {self.hint}" if self.hint else text


class KonomiError(Exception):
    """An error that a person can cause and mend; the command line shows it without a traceback."""


class Faults(KonomiError):
    """Every fault of a recipe, in one list (exit code 2)."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(dict.fromkeys(faults))
        super().__init__("\n".join(f"- {fault}" for fault in self.faults))

    def __reduce__(self) -> tuple[type[Faults], tuple[list[Fault]]]:
        return type(self), (self.faults,)

    @classmethod
    def check(cls, faults: Iterable[Fault]) -> None:
        """Raise where there is a fault."""
        if found := list(faults):
            raise cls(found)


class Stopped(KonomiError):
    """The work was asked to stop (a signal, a deadline) and can go on with the same command (exit code 75)."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was most likely meant to be, or None.

    >>> nearest("lerning_rate", ["learning_rate", "max_steps"])
    'learning_rate'
    """
    import difflib

    known = list(known)
    folded = {candidate.lower(): candidate for candidate in reversed(known)}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean X?" where there is a near match, else the list of what is known."""
    known = sorted(known)
    match = nearest(word, known)
    listed = ", ".join(known) if known else "nothing"
    return f"did you mean {match}? (known: {listed})" if match else f"known: {listed}"
