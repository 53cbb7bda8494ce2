"""Training of a quality classifier from two piles of texts that lie in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from konomi.filter._quality_classifier import Classifier, Settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BLOCK = 256
"""Texts that are read and hashed at once."""
DAMPING = 0.01
"""What the sums of squared gradients begin with: n-grams of few texts then move little. Without it they are learnt by
heart: with a fifth of the labels wrong, the area under the curve fell from 0.88 to 0.71 on English pages with planted
spam, and from 0.87 to 0.83 on Japanese ones with wrong characters."""


class Watch(Protocol):
    """Goes through blocks, and may leave in between."""

    def __call__(self, items: Iterable[Any], *, total: int, unit: str) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Piles:
    """n texts of both piles."""

    texts: pa.ChunkedArray
    """Large strings, mapped from a file."""
    good: NDArray[np.bool_]
    held_out: NDArray[np.bool_]

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
        """Yield the rows by the block, with their texts."""
        import pyarrow as pa

        for start in range(0, len(rows), BLOCK):
            own = rows[start : start + BLOCK]
            yield own, pa.concat_arrays(self.texts.take(pa.array(own)).chunks)


def train(
    piles: Piles, settings: Settings, *, epochs: int, learning_rate: float, seed: int, watch: Watch
) -> tuple[Classifier, list[float]]:
    """Return the model, and the mean loss of each epoch in nats; both piles weigh the same, whatever their sizes."""
    import numpy as np

    from konomi.filter._quality_classifier_kernel import learn

    rows = np.flatnonzero(~piles.held_out)
    share = float(piles.good[rows].mean())
    importance = np.where(piles.good, 0.5 / share, 0.5 / (1 - share))
    size = 1 << settings.bits
    weights, gradients = np.zeros(size, np.float32), np.zeros(size, np.float32)
    squares, bias = np.full(size, DAMPING, np.float32), np.array([0.0, DAMPING])
    draw, losses = np.random.default_rng(seed), []
    for _ in range(epochs):
        order, loss = draw.permutation(rows), 0.0
        for own, texts in watch(piles.blocks(order), total=-(-len(order) // BLOCK), unit="block"):
            targets = piles.good[own].astype(np.float64)
            loss += learn(
                *settings.features(texts), targets, importance[own], weights, squares, gradients, bias, learning_rate
            )
        losses.append(loss / len(rows))
    return Classifier(settings, weights, float(bias[0])), losses


def held_out_logits(model: Classifier, piles: Piles) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the logits of the texts that were held out, and which of them are of the good pile."""
    import numpy as np

    rows = np.flatnonzero(piles.held_out)
    return np.concatenate([model.logits(texts) for _, texts in piles.blocks(rows)]), piles.good[rows]


def area_under_curve(logits: NDArray[np.float64], good: NDArray[np.bool_]) -> float:
    """Return the chance that a good text has the higher logit of a pair, ties being half (Mann and Whitney 1947).

    >>> import numpy as np
    >>> area_under_curve(np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    import numpy as np

    _, places, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    count = int(good.sum())
    return float((ranks[good].sum() - count * (count + 1) / 2) / (count * (len(good) - count)))


@dataclass(frozen=True)
class Telling:
    """An n-gram that moves the texts of a pile."""

    text: str
    weight: float
    push: float
    """By how much it moves the logit of its pile's average text."""


def most_telling(model: Classifier, piles: Piles, count: int) -> dict[bool, list[Telling]]:
    """Return the n-grams that move the average training text of each pile most towards its own side."""
    import numpy as np

    from konomi.filter._quality_classifier_kernel import add_shares

    found = {}
    for side in (True, False):
        rows = np.flatnonzero(~piles.held_out & (piles.good == side))
        shares = np.zeros(1 << model.settings.bits)
        for _, texts in piles.blocks(rows):
            add_shares(*model.settings.features(texts), shares)
        push = model.weights * shares / len(rows) * (1 if side else -1)
        top = np.argsort(-push, kind="stable")[:count]
        wanted = top[push[top] > 0]
        named = _names(model.settings, piles, rows, wanted)
        found[side] = [Telling(named[one], float(model.weights[one]), float(push[one])) for one in wanted.tolist()]
    return found


def _names(settings: Settings, piles: Piles, rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> dict[int, str]:
    """Return the first n-gram of the texts that falls to each wanted feature."""
    import numpy as np

    named: dict[int, str] = {}
    for _, texts in piles.blocks(rows):
        features, starts, stops = settings.features(texts)
        left = np.setdiff1d(wanted, list(named))
        if not len(left):
            break
        places = np.flatnonzero(np.isin(features, left))
        for one, first in zip(*np.unique(features[places], return_index=True), strict=True):
            named[int(one)] = _ngram(settings, texts, starts, stops, int(places[first]))
    return named


def _ngram(settings: Settings, texts: pa.Array, starts: NDArray[np.int64], stops: NDArray[np.int64], place: int) -> str:
    """Return the text of the n-gram that stands at a place of the features of some texts."""
    import numpy as np

    from konomi.filter._places import start_of

    size, row = (int(one[0]) for one in np.nonzero((starts <= place) & (place < stops)))
    text, first = texts[row].as_buffer().to_pybytes().decode("utf-8", "ignore"), place - int(starts[size, row])
    last = first + size
    end = start_of(text, last, settings.cut) + int(settings.cut(texts[row : row + 1]).lengths[last])
    return " ".join(text[start_of(text, first, settings.cut) : end].split())
