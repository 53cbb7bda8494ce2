"""Runs side by side: what was asked of each, what came out, and how sure the differences are.

Figures of evaluations are compared item by item, so that what makes an item easy or hard for both runs cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError, did_you_mean
from konomi.report import Bars, Block, Lines, Note, Table
from konomi.report._runs import Figure, Run, find
from konomi.report.intervals import Difference, paired_difference, verdict, written

CHARTS = 12
"""Largest number of figures that are drawn; the tables hold them all."""
COLUMNS = 4
"""Columns of a table beside the first, so that it fits a terminal and a phone."""
POINTS = 3
"""Values of a number, from which on a curve says more than bars."""


@dataclass(frozen=True)
class Compared:
    """One figure of one run, set against the baseline's."""

    run: str
    figure: str
    difference: Difference | None
    """None where the baseline lacks the figure; without an interval where the items cannot be paired."""


@dataclass(frozen=True)
class Comparison:
    """Several runs, one of them the baseline."""

    runs: Mapping[str, Run]
    """By label: the overrides in which they differ."""
    baseline: str
    settings: Sequence[str]
    """Overrides in which the runs differ (and `recipe`, where they differ in that)."""
    figures: Sequence[Figure]
    """Figures that are not the same in all runs, as the first run that has them gives them."""
    same: Sequence[str]
    """Figures that are the same in all runs."""
    differences: Sequence[Compared]

    def blocks(self) -> list[Block]:
        """Return what there is to see, for a page or a terminal."""
        return [self._runs(), *self._curves(), *self._bars(), *self._tables(), *self._notes()]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "baseline": self.baseline,
            "settings": {key: {label: _setting(run, key) for label, run in self.runs.items()} for key in self.settings},
            "runs": [_run_json(label, run) for label, run in self.runs.items()],
            "same": list(self.same),
            "differences": [_difference_json(each) for each in self.differences],
            "notes": [note.text for note in self._notes()],
        }

    def _runs(self) -> Table:
        rows = [
            [
                label,
                *(_setting(run, key) for key in self.settings),
                f"{run.made} of {run.stages}",
                round(run.seconds, 1),
                "finished" if run.exit == 0 else f"ended with exit code {run.exit}",
            ]
            for label, run in self.runs.items()
        ]
        return Table("Runs", ["run", *self.settings, "stages made", "seconds", "end"], rows)

    def _tables(self) -> Iterator[Table]:
        """Yield what each group of figures came to, then how far each run is from the baseline."""
        note = "In brackets the 95 % interval, where the run kept the items that the figure came from."
        apart = "Run minus baseline; in brackets the 95 % interval over the items that both answered, if any."
        found = {(each.run, each.figure): each.difference for each in self.differences}
        for group, figures in self._grouped().items():
            labels = [label for label, run in self.runs.items() if any(f.key in run.figures for f in figures)]
            others = [label for label in labels if label != self.baseline]
            cells = {(label, f.key): _cell(self.runs[label].figures.get(f.key)) for label in labels for f in figures}
            words = {
                (label, f.key): verdict(found[label, f.key], f.better, f.unit) if (label, f.key) in found else ""
                for label in others
                for f in figures
            }
            if len(labels) == 2 and others and self.baseline in labels:
                rows = [[f.name, *(cells[label, f.key] for label in labels), words[others[0], f.key]] for f in figures]
                told = f"{note} The difference is {others[0]} minus {self.baseline}, over the items that both answered."
                yield Table(group, ["figure", *labels, "difference"], rows, told)
                continue
            yield from _spread(group, labels, figures, cells, note)
            if others:
                yield from _spread(f"{group}: difference from {self.baseline}", others, figures, words, apart)

    def _grouped(self) -> dict[str, list[Figure]]:
        groups: dict[str, list[Figure]] = {}
        for figure in self.figures:
            groups.setdefault(figure.group, []).append(figure)
        return groups

    def _bars(self) -> Iterator[Bars]:
        for figure in self._drawn():
            found = {label: own for label, run in self.runs.items() if (own := run.figures.get(figure.key))}
            yield Bars(
                figure.key,
                list(found),
                [own.value for own in found.values()],
                [own.value if own.low is None else own.low for own in found.values()],
                [own.value if own.high is None else own.high for own in found.values()],
                unit=figure.unit,
                note=f"{figure.better} is better".capitalize() if figure.better else "",
            )

    def _curves(self) -> Iterator[Lines]:
        """Yield each figure over the number that takes most values, a curve for each value of the other settings."""
        values = {key: {_number(_setting(run, key)) for run in self.runs.values()} for key in self.settings}
        numeric = max(
            (key for key in values if None not in values[key]), key=lambda key: len(values[key]), default=None
        )
        if numeric is None:
            return
        others = [key for key in self.settings if key != numeric]
        for figure in self._drawn():
            series: dict[str, list[tuple[float, float]]] = {}
            for run in self.runs.values():
                at, own = _number(_setting(run, numeric)), run.figures.get(figure.key)
                name = ", ".join(f"{key}={_setting(run, key)}" for key in others) or figure.name
                if at is not None and own is not None:
                    series.setdefault(name, []).append((at, own.value))
            if any(len({at for at, _ in points}) >= POINTS for points in series.values()):
                ordered = {name: sorted(points) for name, points in series.items()}
                yield Lines(f"{figure.key} by {numeric}", ordered, x=numeric, y=figure.unit or figure.name)

    def _drawn(self) -> list[Figure]:
        """Return the figures worth drawing: those of which one end is better, for others may not be on one scale."""
        return [figure for figure in self.figures if figure.better][:CHARTS]

    def _notes(self) -> list[Note]:
        notes = []
        if self.same:
            groups = {key.rpartition(" · ")[0] for key in self.same} - self._grouped().keys()
            wholly = f" (all of {', '.join(sorted(groups))})" if groups else ""
            total = len(self.same) + len(self.figures)
            notes.append(Note(f"{len(self.same)} of {total} figures{wholly}.", "The same in all runs"))
        if self.figures and not any(figure.n or figure.better for figure in self.figures):
            text = (
                "These runs measured nothing on held-out items, so only what their last stage counted is set side by"
                " side; losses of different kinds are not on one scale. Hold rows out where the data is made"
                " (`test_share=0.1`), or end with an `evaluate` stage."
            )
            notes.append(Note(text, "Nothing was held out"))
        tests = sum(each.difference is not None and each.difference.low is not None for each in self.differences)
        if tests > 1:
            text = (
                f"{tests} differences are shown with intervals of 95 %, none of which takes account of the others:"
                " about one in twenty looks real by chance alone."
            )
            notes.append(Note(text, "Many comparisons"))
        alone = {each.run: each.difference.unmatched for each in self.differences if each.difference}
        if any(alone.values()):
            listed = ", ".join(f"{run}: {count}" for run, count in alone.items() if count)
            notes.append(Note(f"Items that only one of the two runs has, left out ({listed}).", "Not the same items"))
        gone = [f"{label}: {what}." for label, run in self.runs.items() for what in run.missing]
        if gone:
            notes.append(Note(" ".join(gone), "What could not be read"))
        return notes


def compare(folders: Sequence[Path], *, baseline: str | None = None) -> Comparison:
    """Compare the runs in and below folders, each with the baseline.

    The baseline is a label, a run's name or its folder, or else the first run that has any figures.

    Raises `KonomiError` where a folder holds no run or the baseline is none of them.
    """
    found = find(folders)
    settings = _settings(found)
    runs = _labelled(found, settings)
    chosen = _baseline(runs, baseline)
    keys = list(dict.fromkeys(key for run in found for key in run.figures))
    whole = [run for run in found if run.figures]
    same = [key for key in keys if len(whole) > 1 and len({_value(run, key) for run in whole}) == 1]
    figures = [next(run.figures[key] for run in found if key in run.figures) for key in keys if key not in same]
    differences = [
        Compared(label, figure.key, _difference(run.figures[figure.key], runs[chosen].figures.get(figure.key)))
        for label, run in runs.items()
        for figure in figures
        if label != chosen and figure.key in run.figures
    ]
    return Comparison(runs, chosen, settings, figures, same, differences)


def _settings(runs: Sequence[Run]) -> list[str]:
    keys = ["recipe", *dict.fromkeys(key for run in runs for key in run.overrides)]
    return [key for key in keys if len({_setting(run, key) for run in runs}) > 1]


def _setting(run: Run, key: str) -> str:
    return run.recipe if key == "recipe" else run.overrides.get(key, "")


def _labelled(runs: Sequence[Run], settings: Sequence[str]) -> dict[str, Run]:
    """Return the runs by the settings in which they differ; runs that were asked the same get their folder too."""
    short = {key: _shortest(key, settings) for key in settings}
    labels = [", ".join(f"{short[key]}={_setting(run, key)}" for key in settings if _setting(run, key)) for run in runs]
    found: dict[str, Run] = {}
    for label, run in zip(labels, runs, strict=True):
        plain = label or (run.name if len(runs) == 1 else f"{run.recipe} as it is")
        found[plain if labels.count(label) == 1 else f"{plain} ({run.folder})"] = run
    return found


def _shortest(key: str, keys: Sequence[str]) -> str:
    """Return the end of a dotted key that no other key ends with.

    >>> _shortest("align.loss.beta", ["align.loss.beta", "align.loss"])
    'beta'
    """
    parts = key.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1))
    return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in keys) == 1), key)


def _spread(
    title: str, labels: Sequence[str], figures: Sequence[Figure], cells: Mapping[tuple[str, str], str], note: str
) -> Iterator[Table]:
    """Yield a table with a column for each run, or, for many runs, tables with a column for each of a few figures."""
    if len(labels) <= COLUMNS:
        rows = [[figure.name, *(cells[label, figure.key] for label in labels)] for figure in figures]
        yield Table(title, ["figure", *labels], rows, note)
        return
    parts = [figures[start : start + COLUMNS] for start in range(0, len(figures), COLUMNS)]
    for number, part in enumerate(parts, start=1):
        rows = [[label, *(cells[label, figure.key] for figure in part)] for label in labels]
        named = title if len(parts) == 1 else f"{title} ({number} of {len(parts)})"
        yield Table(named, ["run", *(figure.name for figure in part)], rows, note)


def _baseline(runs: Mapping[str, Run], wanted: str | None) -> str:
    if wanted is None:
        return next((label for label, run in runs.items() if run.figures), next(iter(runs)))
    for label, run in runs.items():
        if wanted in (label, run.name, run.folder.name, str(run.folder)):
            return label
    raise KonomiError(f"no run is called {wanted}; {did_you_mean(wanted, runs)}")


def _value(run: Run, key: str) -> float | None:
    figure = run.figures.get(key)
    return figure.value if figure else None


def _difference(figure: Figure, baseline: Figure | None) -> Difference | None:
    if baseline is None:
        return None
    if figure.source is not None and figure.source == baseline.source:
        return Difference(0.0, 0.0, 0.0, figure.n)
    if figure.formula is not None and figure.formula == baseline.formula:
        found = paired_difference(figure.rows(), baseline.rows(), figure.formula)
        if found is not None:
            return found
    return Difference(figure.value - baseline.value, None, None, 0)


def _cell(figure: Figure | None) -> str:
    return "" if figure is None else written(figure.value, figure.low, figure.high, figure.unit)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _run_json(label: str, run: Run) -> dict[str, Any]:
    return {
        "label": label,
        "name": run.name,
        "folder": str(run.folder),
        "recipe": run.recipe,
        "overrides": dict(run.overrides),
        "exit": run.exit,
        "seconds": run.seconds,
        "stages_made": run.made,
        "missing": list(run.missing),
        "figures": {key: _figure_json(figure) for key, figure in run.figures.items()},
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    names: Iterable[str] = ("value", "low", "high", "n", "unit", "better")
    return {name: getattr(figure, name) for name in names}


def _difference_json(compared: Compared) -> dict[str, Any]:
    found = compared.difference
    described: dict[str, Any] = {"run": compared.run, "figure": compared.figure}
    if found is None:
        return {**described, "value": None}
    names: Iterable[str] = ("value", "low", "high", "n", "unmatched", "sign")
    return {**described, **{name: getattr(found, name) for name in names}}
