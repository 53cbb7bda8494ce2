"""A linear model over hashed n-grams: its features, its files, its scores."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.units import Unit, Units

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FORMAT = "quality_classifier"
"""Format of the artifact that the stage of this name leaves."""
MOST_NGRAMS, FEWEST_BITS, MOST_BITS = 5, 8, 28
"""Longest n-gram in units; bits of a feature's number, of which 28 are a gigabyte of weights."""
WEIGHTS, SETTINGS = "quality_classifier.safetensors", "quality_classifier.json"


@dataclass(frozen=True)
class Settings:
    """How texts become features."""

    unit: str
    ngrams: int
    bits: int

    def cut(self, texts: pa.Array) -> Units:
        """Return the units of texts; case and punctuation count, because they tell quality."""
        from konomi.units import cut, text_buffers

        return cut(*text_buffers(texts), Unit[self.unit], fold=False)

    def features(self, texts: pa.Array) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        """Return the features of n texts, and where those of each size of n-gram begin and end; shape (ngrams, n)."""
        import numpy as np

        units = self.cut(texts)
        parts, starts, stops, base = [], [], [], 0
        for size in range(1, self.ngrams + 1):
            hashes, ends = units.ngrams(size)
            parts.append((hashes >> np.uint64(64 - self.bits)).astype(np.uint32))
            starts.append(base + ends - np.diff(ends, prepend=0))
            stops.append(base + ends)
            base += len(hashes)
        return np.concatenate(parts), np.array(starts), np.array(stops)


@dataclass(frozen=True)
class Classifier:
    """A trained model."""

    settings: Settings
    weights: NDArray[np.float32]
    """Shape (2^bits,)."""
    bias: float

    def logits(self, texts: pa.Array) -> NDArray[np.float64]:
        """Return the logit of each of n texts; shape (n,)."""
        import numpy as np

        from konomi.filter._portions import portions
        from konomi.filter._quality_classifier_kernel import logits
        from konomi.units import text_buffers

        found = np.empty(len(texts))
        for own in portions(text_buffers(texts)[1]):
            logits(*self.settings.features(texts[own]), self.weights, self.bias, found[own])
        return found

    def probabilities(self, texts: pa.Array) -> NDArray[np.float64]:
        """Return the probability that each of n texts is of the good pile; shape (n,)."""
        return sigmoid(self.logits(texts))

    def save(self, folder: Path) -> None:
        """Write the model's two files."""
        from safetensors.numpy import save

        (folder / WEIGHTS).write_bytes(save({"weights": self.weights}))
        said = {**asdict(self.settings), "bias": self.bias}
        (folder / SETTINGS).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^-x), which no large number overflows.

    >>> import numpy as np
    >>> sigmoid(np.array([-1e9, 0.0, 1e9])).tolist()
    [0.0, 0.5, 1.0]
    """
    import numpy as np

    small = np.exp(-np.abs(logits))
    found: NDArray[np.float64] = np.where(logits >= 0, 1.0, small) / (1 + small)
    return found


def faults(folder: Path, where: str) -> Iterator[Fault]:
    """Yield what keeps a folder from being a quality classifier, without reading its weights."""
    hint = "train one: konomi run quality_classifier good.path=… bad.path=…"
    if not folder.is_dir():
        yield Fault(where, f"there is no folder {folder}", hint)
        return
    missing = [name for name in (WEIGHTS, SETTINGS) if not (folder / name).is_file()]
    if missing:
        yield Fault(where, f"{folder} has no {' and no '.join(missing)}", hint)


@functools.lru_cache(maxsize=8)
def load(folder: str, content: str) -> Classifier:
    """Return the model of a folder; `content` is its files' hash. Raises `KonomiError` where it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        said: dict[str, Any] = json.loads(Path(folder, SETTINGS).read_text(encoding="utf-8"))
        settings = Settings(Unit[said["unit"]].name, int(said["ngrams"]), int(said["bits"]))
        bias = float(said["bias"])
        weights = load_file(Path(folder, WEIGHTS))["weights"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise KonomiError(f"{folder} holds no quality classifier: {type(error).__name__}: {error}") from error
    sound = settings.bits in range(MOST_BITS + 1) and settings.ngrams in range(1, MOST_NGRAMS + 1)
    if not sound or weights.shape != (1 << settings.bits,) or weights.dtype != "float32":
        what = f"{WEIGHTS} has {weights.dtype} of shape {weights.shape}, {SETTINGS} says {settings}"
        raise KonomiError(f"{folder} holds no quality classifier: {what}")
    return Classifier(settings, weights, bias)
