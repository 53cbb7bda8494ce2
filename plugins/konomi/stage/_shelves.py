"""Where a curation keeps what later ones can use again, each on a shelf of its own.

rows-…          the source's rows in shards, by what shapes them
scores-NAME-…   what a filter found, by the rows, by what rewrote them before, and by the filter without its limits
duplicates-…    what a deduplicator found, by all that, by the documents that were left, and by the deduplicator
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from konomi.dedup import Dedup
from konomi.faults import KonomiError
from konomi.filter import Filter
from konomi.job import Job
from konomi.recipe import keys
from konomi.source import Source
from konomi.stage._curation import Documents
from konomi.stage._judging import Step
from konomi.store.shelf import Shelf

LAYOUT = 2
"""Raised whenever the files on the shelves change their form."""


class Shelves:
    """Finds the shelves of one curation; `texts` is what shapes the texts as they stand at a point of it."""

    def __init__(self, job: Job, source: Source, *, drop_unreadable: bool) -> None:
        self.job = job
        own = _parts(source)
        self._scores: list[Any] = []
        self._texts: dict[str, Any] | None = own and {"layout": LAYOUT, "source": own, "drop": drop_unreadable}

    def rows(self) -> Shelf:
        """Return the shelf of the source's rows."""
        return self.job.shelf("rows", self._texts)

    def steps(self, filters: Mapping[str, Filter]) -> list[Step]:
        """Return the filters in order, each with its shelf."""
        return [self._step(name, filter_) for name, filter_ in filters.items()]

    def _step(self, name: str, filter_: Filter) -> Step:
        own = _parts(filter_, deciding=not hasattr(filter_, "annotate"))
        shelf = self.job.shelf(f"scores-{name}", self._with({"name": name, "filter": own}) if own else None)
        self._scores.append([name, own])
        if getattr(filter_, "rewrites", True):
            self._texts = self._with({"rewritten": own}) if own else None
        return Step(name, filter_, shelf)

    def duplicates(self, documents: Documents, by: str, dedup: Dedup) -> Shelf:
        """Return the shelf of what a deduplicator finds among the documents that are left.

        It may go by the scores of the filters before it (`keep_by`), so these are in the key.
        """
        own = _parts(dedup)
        known = own is not None and all(parts is not None for _, parts in self._scores)
        more = {"left": documents.digest(), "scores": self._scores, "dedup": own}
        found = self._with(more) if known else None
        return self.job.shelf(f"duplicates-{by}", found)

    def cut(self, documents: Documents, dedup: Dedup) -> None:
        """Note that a deduplicator has cut passages out of the texts."""
        own = _parts(dedup)
        self._texts = self._with({"cut": own, "left": documents.digest()}) if own else None

    def _with(self, more: dict[str, Any]) -> dict[str, Any] | None:
        return None if self._texts is None else {"texts": self._texts, **more}


def _parts(plugin: Any, *, deciding: bool = True) -> dict[str, Any] | None:
    """Return what shapes a plugin's result; None for an object that is no registered plugin, whose results nobody can
    find again."""
    try:
        return keys.parts(plugin, deciding=deciding)
    except KonomiError:
        return None
