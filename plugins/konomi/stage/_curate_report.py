"""What a curation shows: the funnel, the reasons, the scores and their limits, and texts to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from konomi.report import Bars, Block, Histogram, Note, Samples, Table
from konomi.report.figures import size
from konomi.stage._tally import Scores, Tally

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_REASONS = 12
MOST_HISTOGRAMS = 6
MOST_SAMPLES = 4
"""Of one step."""
BINS = 30
SHOWN_CHARACTERS = 400
USUAL, LONG_TAIL = 95, 3
"""A score whose largest value is 3 times its 95th percentile is drawn up to that percentile, or past its limit."""


@dataclass(frozen=True)
class Cluster:
    """A kept document and the copies that were dropped for it."""

    documents: int
    kept: str
    other: str
    """The least similar of the dropped ones."""
    similarity: float


@dataclass(frozen=True)
class Dropped:
    """A dropped document."""

    row: int
    """Its number in the source."""
    reason: str
    text: str


@dataclass(frozen=True)
class Seen:
    """Texts that were picked out to be looked at."""

    dropped: Mapping[str, list[Dropped]]
    """Some by step."""
    clusters: list[Cluster]
    """The largest."""
    kept: list[str]


@dataclass(frozen=True)
class Written:
    """What went into the artifact."""

    splits: dict[str, int]
    """Rows of each split."""
    replaced: list[str]
    """Columns of the source whose place one of the stage's took."""
    bytes: int
    """Size of the files."""


def blocks(
    tally: Tally, steps: Sequence[str], written: Written, seen: Seen, unread: Mapping[str, int]
) -> Iterator[Block]:
    """Yield what there is to see; `unread` is what the source itself left out, by reason."""
    yield _funnel(tally, steps, written.splits)
    if unread:
        rows = ", ".join(f"{count} for {reason}" for reason, count in sorted(unread.items()))
        yield Note(f"The source left out {sum(unread.values())} rows that it could not read: {rows}.")
    if written.replaced:
        names = ", ".join(written.replaced)
        yield Note(f"Columns of the source that were replaced by this stage's of the same name: {names}.")
    if tally.reasons:
        yield _reasons(tally)
    for column, words in tally.words.items():
        most = words.most_common(MOST_REASONS)
        labels = [cut(word) or "(none)" for word, _ in most]
        yield Bars(column, labels, [count for _, count in most], unit="documents", note=f"{len(words)} different ones.")
    if tally.scores:
        yield _score_table(tally.scores)
        yield from _histograms(tally.scores)
    for step, sample in seen.dropped.items():
        texts = [{"reason": item.reason, "text": cut(item.text)} for item in sample]
        yield Samples(f"Dropped by {step}", texts[:MOST_SAMPLES])
    if seen.clusters:
        yield Samples("The largest clusters of duplicates", list(map(_cluster, seen.clusters)))
    yield Samples("Kept", [{"text": cut(text)} for text in seen.kept])


def summary(tally: Tally, written: Written, unread: Mapping[str, int]) -> str:
    """Return the line that the run prints."""
    lost = sum(unread.values())
    told = f"{tally.documents} → {sum(written.splits.values())} documents"
    return f"{told}; {lost} rows could not be read and were left out" if lost else told


def figures(tally: Tally, steps: Sequence[str], written: Written, unread: Mapping[str, int]) -> dict[str, Any]:
    """Return what the manifest records."""
    return {
        "documents": tally.documents,
        "kept": sum(written.splits.values()),
        **written.splits,
        "dropped": {step: tally.dropped[step] for step in steps},
        "reasons": {": ".join(key): count for key, count in sorted(tally.reasons.items())},
        "rewritten": dict(tally.rewritten),
        "computed": dict(tally.computed),
        "unread": dict(unread),
        "characters": tally.characters,
        "bytes": tally.bytes,
        "bytes_written": written.bytes,
    }


def cut(text: str) -> str:
    """Return the beginning of a long text.

    >>> cut("あ" * 401)[-2:]
    'あ…'
    """
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _funnel(tally: Tally, steps: Sequence[str], splits: Mapping[str, int]) -> Table:
    rows: list[list[Any]] = [["read", tally.documents, 0, 0, "100 %", size(tally.bytes), ""]]
    left, bytes_ = tally.documents, tally.bytes
    for step in steps:
        left -= tally.dropped[step]
        bytes_ -= tally.dropped_bytes[step]
        share = f"{100 * left / max(tally.documents, 1):.1f} %"
        spent = f"{tally.seconds.get(step, 0.0):.2f}"
        rows.append([step, left, tally.dropped[step], tally.rewritten[step], share, size(bytes_), spent])
    held = " and ".join(f"{count} for {split}" for split, count in splits.items())
    note = (
        f"{tally.characters} characters were read. What is left: {held}. Bytes are those of the texts as they were"
        " read, seconds are added up over all workers."
    )
    columns = ["step", "left", "dropped", "rewritten", "share", "text", "seconds"]
    return Table("From what was read to what is kept", columns, rows, note)


def _reasons(tally: Tally) -> Bars:
    often = sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in often[MOST_REASONS:])
    labels = [f"{step}: {reason}" for (step, reason), _ in often[:MOST_REASONS]]
    counts = [count for _, count in often[:MOST_REASONS]]
    more = f"{rest} more were dropped for {len(often) - MOST_REASONS} other reasons." if rest else ""
    return Bars("Why documents were dropped", labels, counts, unit="documents", note=more)


def _score_table(scores: Mapping[str, Scores]) -> Table:
    import numpy as np

    rows = []
    for name, score in scores.items():
        low, middle, high = np.percentile(score.values, (5, 50, 95)) if score.values else (0, 0, 0)
        rows.append([name, round(low, 3), round(middle, 3), round(high, 3), score.threshold])
    return Table("Scores, kept as columns", ["score", "5 %", "median", "95 %", "limit"], rows)


def _histograms(scores: Mapping[str, Scores]) -> Iterator[Histogram]:
    """Yield the histograms of the scores whose limits part the most documents from the others."""
    drawn = [item for item in scores.items() if item[1].values]
    for name, score in sorted(drawn, key=lambda item: -_parted(item[1]))[:MOST_HISTOGRAMS]:
        yield _histogram(name, score)


def _parted(score: Scores) -> float:
    """Return the share of documents on the smaller side of the limit."""
    if score.threshold is None:
        return -1.0
    above = sum(value > score.threshold for value in score.values) / len(score.values)
    return min(above, 1 - above)


def _histogram(name: str, score: Scores) -> Histogram:
    import numpy as np

    values = np.array(score.values, dtype=np.float64)
    high, tail = _range(values, score.threshold or 0.0)
    counts, edges = np.histogram(np.minimum(values, high), BINS, range=(min(values.min(), 0.0), high))
    notes = [f"every {score.step}th document" if score.step > 1 else "", f"the last bin holds all above {high:.4g}"]
    note = "; ".join(filter(None, notes if tail else notes[:1]))
    return Histogram(name, [float(f"{edge:.5g}") for edge in edges], counts.tolist(), score.threshold, note=note)


def _range(values: NDArray[np.float64], threshold: float) -> tuple[float, bool]:
    """Return the right end of a histogram, and whether some values lie beyond it."""
    import numpy as np

    high, usual = float(values.max()), max(float(np.percentile(values, USUAL)), 2 * threshold)
    if usual > 0 and high > LONG_TAIL * usual:
        return usual, True
    return high if high > 0 else 1.0, False


def _cluster(cluster: Cluster) -> dict[str, str]:
    return {
        "documents": str(cluster.documents),
        "kept": cut(cluster.kept),
        f"dropped, similarity {cluster.similarity:.2f}": cut(cluster.other),
    }
