"""How sure a figure is: 95 % intervals computed from rows, one an item, and differences paired by item.

A `Formula` says how a figure comes from rows, so that the same words serve the task that measures it and the
comparison of two runs, which needs the rows of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Z = 1.959963984540054
"""The .975 quantile of the normal distribution: intervals are of 95 %."""
RESAMPLES = 2000
"""Bootstrap resamples: the ends of an interval are then known to about a twentieth of its width."""
SEED = 0
CHUNK = 4_000_000
"""Largest number of indices drawn at once, which bounds the memory of a bootstrap (32 MB)."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Formula:
    """A figure as a function of rows: `scale` · Σ `numerator` / Σ `denominator`, or the exponential of it.

    >>> rows = [{"item": "a", "score": 6.0, "tokens": 3}, {"item": "b", "score": 2.0, "tokens": 1}]
    >>> estimate(rows, Formula("score", "tokens")).value
    2.0
    """

    numerator: str
    """Column; a row where it is missing or None is left out."""
    denominator: str = ""
    """Column; without one the rows are counted, and the figure is a mean."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Only rows with these values (`{"group": "japanese"}`)."""
    scale: float = 1.0
    exponential: bool = False
    """Take the exponential at the end (a perplexity out of nats)."""
    proportion: bool = False
    """The numerator is 0 or 1 and the figure a share: its interval is Wilson's."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; the interval is None where too few items can tell."""

    value: float
    low: float | None
    high: float | None
    n: int
    """Items that it was computed from."""


@dataclass(frozen=True)
class Difference(Estimate):
    """A figure of one run minus that of another, over the items that both have."""

    unmatched: int = 0
    """Items that only one of the two has."""

    @property
    def sign(self) -> str:
        """`higher` or `lower` where the interval excludes zero, `same` where nothing differs, else `unclear`."""
        if self.low is None or self.high is None:
            return "unclear"
        if self.low == self.high == 0:
            return "same"
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "unclear"


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927, "Probable inference", JASA 22).

    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low, high = (centre - half) / (1 + Z * Z / n), (centre + half) / (1 + Z * Z / n)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def paired_wilson(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """Return the interval of a difference of two proportions of the same items (Newcombe 1998, method 10).

    The two Wilson intervals are combined by squares, with the correlation that the paired table shows. Statistics in
    Medicine 17, 2635-2650.

    >>> [round(end, 4) for end in paired_wilson(36, 12, 2, 0)]
    [0.0569, 0.3404]
    """
    n = both + only_a + only_b + neither
    with_a, with_b = both + only_a, both + only_b
    share_a, share_b = with_a / n, with_b / n
    (low_a, high_a), (low_b, high_b) = wilson(with_a, n), wilson(with_b, n)
    margins = with_a * (n - with_a) * with_b * (n - with_b)
    excess: float = both * neither - only_a * only_b
    if excess > 0:  # Newcombe's continuity correction, which never turns the sign of the correlation
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(margins) if margins else 0.0

    def apart(first: float, second: float) -> float:
        return math.sqrt(max(first * first - 2 * phi * first * second + second * second, 0.0))

    difference = share_a - share_b
    return (
        difference - apart(share_a - low_a, high_b - share_b),
        difference + apart(high_a - share_a, share_b - low_b),
    )


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Return the percentile interval of Σ numerators / Σ denominators over resampled items (Efron 1979).

    >>> bootstrap_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    (2.0, 2.0)
    """
    return _percentiles(_ratios(_arrays(numerators, denominators), resamples, seed)[0])


def estimate(rows: Iterable[Row], formula: Formula) -> Estimate:
    """Return a figure and its interval; the rows of one item (several samples of an answer) are taken together.

    Raises `ValueError` where no row serves, or the denominators sum to zero.
    """
    items = totals(rows, formula)
    if not items:
        raise ValueError(f"no row has {formula.numerator}" + (f" where {dict(formula.where)}" if formula.where else ""))
    numerators, denominators = [n for n, _ in items.values()], [d for _, d in items.values()]
    if not sum(denominators):
        raise ValueError(f"the {formula.denominator} of {len(items)} items sum to zero")
    value = _finish(sum(numerators) / sum(denominators), formula)
    if _is_share(items, formula):
        low, high = wilson(sum(numerators), len(items))
    elif len(items) < 2:
        return Estimate(value, None, None, len(items))
    else:
        low, high = bootstrap_ratio(numerators, denominators)
    return Estimate(value, _finish(low, formula), _finish(high, formula), len(items))


def paired_difference(rows_a: Iterable[Row], rows_b: Iterable[Row], formula: Formula) -> Difference | None:
    """Return the figure of `rows_a` minus that of `rows_b` over the items that both have; None where there is none.

    Items, not runs, are resampled, so what makes an item easy or hard for both cancels. Shares of items that were
    asked once take Newcombe's interval for paired proportions instead, which holds where few items differ.

    >>> a = [{"item": str(i), "right": 1} for i in range(20)]
    >>> b = [{"item": str(i), "right": i % 2} for i in range(20)]
    >>> found = paired_difference(a, b, Formula("right", proportion=True))
    >>> found.value, found.n, found.sign
    (0.5, 20, 'higher')
    """
    items_a, items_b = totals(rows_a, formula), totals(rows_b, formula)
    common = [item for item in items_a if item in items_b]
    unmatched = len(items_a) + len(items_b) - 2 * len(common)
    pairs_a, pairs_b = ({item: items[item] for item in common} for items in (items_a, items_b))
    weights = [sum(weight for _, weight in pairs.values()) for pairs in (pairs_a, pairs_b)]
    if not common or not all(weights):
        return None
    scores = [sum(score for score, _ in pairs.values()) for pairs in (pairs_a, pairs_b)]
    value = _finish(scores[0] / weights[0], formula) - _finish(scores[1] / weights[1], formula)
    if _is_share(pairs_a, formula) and _is_share(pairs_b, formula):
        low, high = (formula.scale * end for end in paired_wilson(*_paired_table(pairs_a, pairs_b)))
    elif pairs_a == pairs_b:  # the same numbers to the last bit: the same model, not a close one
        low = high = 0.0
    elif len(common) < 2:
        return Difference(value, None, None, len(common), unmatched)
    else:
        columns = [*zip(*pairs_a.values(), strict=True), *zip(*pairs_b.values(), strict=True)]
        ratios_a, ratios_b = _ratios(_arrays(*columns), RESAMPLES, SEED)
        low, high = _percentiles(_finish(ratios_a, formula) - _finish(ratios_b, formula))
    return Difference(value, low, high, len(common), unmatched)


def totals(rows: Iterable[Row], formula: Formula) -> dict[str, tuple[float, float]]:
    """Return the numerator and the denominator of each item, summed over its rows, in the order of the rows."""
    found: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row.get(formula.numerator) is None or any(row.get(k) != v for k, v in formula.where.items()):
            continue
        weight = float(row[formula.denominator]) if formula.denominator else 1.0
        score, so_far = found.get(row["item"], (0.0, 0.0))
        found[row["item"]] = (score + float(row[formula.numerator]), so_far + weight)
    return found


def written(value: float, low: float | None = None, high: float | None = None, unit: str = "") -> str:
    """Return a figure and its interval as a short text.

    >>> written(2.3456, 2.30, 2.40), written(-2.04, -2.5, -1.6, "%"), written(0.5)
    ('2.346 [2.300, 2.400]', '-2.040 % [-2.500, -1.600]', '0.500')
    """
    largest = max(abs(number) for number in (value, low, high) if number is not None)
    places = 3 if largest < 10 else 2 if largest < 100 else 1 if largest < 1000 else 0
    text = f"{value:.{places}f}" + (f" {unit}" if unit else "")
    return text if low is None or high is None else f"{text} [{low:.{places}f}, {high:.{places}f}]"


def verdict(found: Difference | None, better: str, unit: str = "") -> str:
    """Return a difference in words; `better` is `higher`, `lower`, or "" where neither is.

    >>> verdict(Difference(-0.2, -0.3, -0.1, 40), "lower")
    '-0.200 [-0.300, -0.100]: better'
    """
    if found is None:
        return "not comparable"
    if found.low is None:
        return "the same" if found.value == 0 else f"{found.value:+.4g} {unit}".strip()  # no items to be sure with
    words = {"unclear": "no difference shown", "same": "the same"}
    if better:
        words |= {better: "better", "lower" if better == "higher" else "higher": "worse"}
    return f"{written(found.value, found.low, found.high, unit)}: {words.get(found.sign, found.sign)}"


def _is_share(items: Mapping[str, tuple[float, float]], formula: Formula) -> bool:
    """Tell whether Wilson's interval holds: every item asked once (repeated answers are not independent)."""
    return formula.proportion and all(weight == 1 and score in (0, 1) for score, weight in items.values())


def _paired_table(a: Mapping[str, tuple[float, float]], b: Mapping[str, tuple[float, float]]) -> list[int]:
    outcomes = [(a[item][0], b[item][0]) for item in a]
    return [outcomes.count(case) for case in ((1, 1), (1, 0), (0, 1), (0, 0))]


def _finish(ratio: Any, formula: Formula) -> Any:
    """Apply what a formula does to the ratio; works on numbers and on arrays."""
    import numpy as np

    scaled = formula.scale * ratio
    if not formula.exponential:
        return scaled
    return np.exp(scaled) if isinstance(scaled, np.ndarray) else math.exp(scaled)


def _arrays(*columns: Sequence[float]) -> list[np.ndarray]:
    import numpy as np

    return [np.asarray(column, dtype=np.float64) for column in columns]


def _ratios(columns: list[np.ndarray], resamples: int, seed: int) -> list[np.ndarray]:
    """Return the resampled ratios of each (numerator, denominator) pair of columns, all from the same resamples."""
    import numpy as np

    n = len(columns[0])
    # RandomState, because its stream is frozen for good while that of default_rng may change with numpy
    draw = np.random.RandomState(seed)
    found: list[list[np.ndarray]] = [[] for _ in range(len(columns) // 2)]
    for start in range(0, resamples, size := max(1, CHUNK // n)):
        index = draw.randint(0, n, size=(min(size, resamples - start), n))
        sums = [column[index].sum(axis=1) for column in columns]
        for pair, ratios in enumerate(found):
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios.append(sums[2 * pair] / sums[2 * pair + 1])
    return [np.concatenate(ratios) for ratios in found]


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    """Return the middle 95 %; a resample without weight (nothing but empty items) has no ratio and is left out."""
    import numpy as np

    low, high = np.percentile(values[np.isfinite(values)], [2.5, 97.5])
    return float(low), float(high)
