"""Several sources as one, in shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.fields import NOT_IN_KEY, UNKNOWN, choices
from konomi.registry import register
from konomi.source import FORMATS, Rows, Source

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.source._mixing import Count


class Measure(Enum):
    """What weights are shares of."""

    characters = "characters"
    tokens = "tokens"
    rows = "rows"


class Stopping(Enum):
    """When a mix by weights ends; the names are those of `datasets.interleave_datasets`."""

    first_exhausted = "first_exhausted"
    all_exhausted = "all_exhausted"
    all_exhausted_without_replacement = "all_exhausted_without_replacement"


@register("source", "mix")
@dataclass(frozen=True)
class Mix:
    """Mix the rows of several sources in shares, so that any beginning of the mix has them too.

    With `weights`, each source gives its share of the characters (or rows), to within one row at every place. Without,
    every source is read to its end, `epochs` times, and its share is what that comes to (it is read through once to
    measure it). What is next follows from what was given so far and from nothing random: the same mix every time. The
    column `source` says where a row is from; a column that one source lacks is null in its rows.

    >>> import pathlib, tempfile
    >>> from konomi.source.files import Files
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("ja", "en"):
    ...     _ = (folder / f"{name}.txt").write_text("\\n".join(f"{name}{number}" for number in range(4)))
    >>> from konomi.source._options import TextUnit
    >>> sources = {name: Files(path=str(folder / f"{name}.txt"), text_unit=TextUnit.line) for name in ("ja", "en")}
    >>> rows = Mix(sources=sources, weights={"ja": 2, "en": 1}, rows=6).load()
    >>> [row["text"] for table in rows for row in table.to_pylist()]
    ['ja0', 'en0', 'ja1', 'ja2', 'en1', 'ja3']
    """

    sources: dict[str, Source] = choices("source")
    """What to mix: `source.sources=[english,japanese]`, by names of presets or of sources."""
    weights: dict[str, float] = field(default_factory=dict)
    """Share of each source, in any unit: `source.weights.english=3 source.weights.japanese=7`. None for all: every
    source is read to its end."""
    measure: Measure = Measure.characters
    """What weights are shares of: `characters` of text, `tokens` of the `tokenizer`, or `rows`."""
    tokenizer: str = field(default="", metadata=NOT_IN_KEY)
    """What tokens are counted by: a folder or a repository of the hub with a `tokenizer.json`, which is in the key."""
    epochs: dict[str, float] = field(default_factory=dict)
    """How many times a source is read, 1 where it is not named. A part of a time takes rows by a hash."""
    stopping: Stopping = Stopping.first_exhausted
    """When a mix by weights ends: with the `first_exhausted` source; or when each was read, `all_exhausted` (those that
    ended before begin anew) or `all_exhausted_without_replacement` (they are missing from there on)."""
    rows: int = 0
    """Most rows; 0 sets no limit."""
    characters: int = 0
    """Characters of text after which the mix ends, with the row that reaches them; 0 sets no limit."""
    column: str = "source"
    """Column that says which source a row is from; empty adds none."""
    seed: int = 0
    """What the rows of a part of an epoch are chosen by."""

    def check(self) -> Iterable[Fault]:
        if not self.sources:
            yield Fault("sources", "there is nothing to mix", "type 'sources=[…,…]' with names of sources or presets")
        for option in ("weights", "epochs"):
            for name, value in getattr(self, option).items():
                if name not in self.sources:
                    yield Fault(f"{option}.{name}", "there is no such source", did_you_mean(name, self.sources))
                elif not 0 <= value < float("inf"):
                    yield Fault(f"{option}.{name}", f"{value}; expected at least 0")
        if self.weights and (unsaid := [name for name in self.sources if name not in self.weights]):
            hint = f"type {' '.join(f'weights.{name}=…' for name in unsaid)}; 0 leaves it out"
            yield Fault("weights", f"{', '.join(unsaid)} has none, and {', '.join(self.weights)} has one", hint)
        if self.sources and not any(self._is_read(name) for name in self.sources):
            yield Fault("weights", "no source is left to read", "give one a weight and epochs above 0")
        for name in ("rows", "characters"):
            if getattr(self, name) < 0:
                yield Fault(name, f"{getattr(self, name)} is below 0")
        yield from self._check_tokenizer()
        yield from self._check_columns()

    def _check_tokenizer(self) -> Iterator[Fault]:
        from konomi.source._mixing import tokenizer_file

        if self.measure is not Measure.tokens:
            if self.tokenizer:
                yield Fault("tokenizer", f"is not used, because measure={self.measure.name}", "type measure=tokens")
        elif not self.tokenizer:
            yield Fault("tokenizer", "nothing says what a token is", "type tokenizer=ORG/NAME or tokenizer=FOLDER")
        else:
            try:
                tokenizer_file(self.tokenizer)
            except KonomiError as error:
                yield Fault("tokenizer", str(error))

    def _check_columns(self) -> Iterator[Fault]:
        formats = {name: source.format() for name, source in self.sources.items() if source is not None}
        known = {name: format_ for name, format_ in formats.items() if format_ != UNKNOWN}
        if len(set(known.values())) > 1:
            listed = ", ".join(f"{name} gives {format_}" for name, format_ in known.items())
            yield Fault("sources", f"only rows of one format can be mixed: {listed}", "say gives=… of those that could")
        for name, source in self.sources.items():
            columns = source.columns_known() if hasattr(source, "columns_known") else None
            if self.column and self.column in (columns or ()):
                what = f"the source {name} has a column {self.column} of its own"
                yield Fault("column", what, f"type column={self.column}_name, or column= for none")

    def format(self) -> str:
        return next((source.format() for source in self.sources.values()), "text")

    def columns_known(self) -> Sequence[str] | None:
        """Return the columns of all sources, where all know theirs."""
        found = [
            source.columns_known() if hasattr(source, "columns_known") else None for source in self.sources.values()
        ]
        if not found or any(columns is None for columns in found):
            return None
        names = dict.fromkeys(name for columns in found for name in columns or ())
        return [*names, *([self.column] if self.column else [])]

    def depends(self) -> Mapping[str, Any]:
        from konomi.source._mixing import tokenizer_file
        from konomi.store.content import file_hash

        counts = self.measure is Measure.tokens and self.tokenizer
        return {"tokenizer": file_hash(tokenizer_file(self.tokenizer)) if counts else None}

    def load(self) -> Rows:
        return Rows(partial(self._read, {name: source.load() for name, source in self._live().items()}))

    def _is_read(self, name: str) -> bool:
        return self.epochs.get(name, 1) > 0 and (not self.weights or self.weights.get(name, 0) > 0)

    def _live(self) -> dict[str, Source]:
        return {name: source for name, source in self.sources.items() if self._is_read(name)}

    def _read(self, loaded: Mapping[str, Iterable[pa.Table]], dropped: dict[str, int]) -> Iterator[pa.Table]:
        from konomi.source._mixing import Stream, limited, merged, with_weights

        needed = FORMATS[self.format()]
        count = self._count()
        streams = [
            Stream(name, rows, self.epochs.get(name, 1), count, needed, self.seed) for name, rows in loaded.items()
        ]
        if self.weights:
            weighted, stopping = [(stream, self.weights[stream.name]) for stream in streams], self.stopping
        else:
            weighted, stopping = with_weights(streams), Stopping.all_exhausted_without_replacement
        mixed = merged(weighted, stopping.name, self.column)
        yield from limited(mixed, needed, self.rows, self.characters)
        for name, rows in loaded.items():
            for reason, count in getattr(rows, "dropped", {}).items():
                dropped[f"{name}: {reason}"] = count

    def _count(self) -> Count | None:
        from konomi.source._mixing import characters, tokenizer_file, tokens

        if self.measure is Measure.tokens:
            return tokens(tokenizer_file(self.tokenizer))
        return None if self.measure is Measure.rows else characters
