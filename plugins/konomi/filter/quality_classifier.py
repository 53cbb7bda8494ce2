"""The quality of a text, as a model has learnt it from examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register
from konomi.store.artifact import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@register("filter", "quality_classifier")
@dataclass(frozen=True)
class QualityClassifier(ByLimits):
    """Drop a text that is more like the bad pile than the good one that a model was trained on.

    A linear model over the hashed n-grams of words or characters, each text the mean of its n-grams: fastText's
    classifier (Joulin+ 2017) without its hidden layer, as DCLM (Li+ 2024) filters by. Train one with
    `konomi run quality_classifier good.path=… bad.path=…`. The score is the probability of the good pile, both piles
    being given the same weight.

    >>> [fault.what for fault in QualityClassifier(model="no/such/folder").check()]
    ['there is no folder no/such/folder']
    """

    model: Any = field(
        default=None, metadata={"artifact": ("quality_classifier", "str"), "optional": False, **NOT_IN_KEY}
    )
    """What the stage `quality_classifier` left: `${artifact:STAGE}`, the name or key of an artifact (`konomi tag`), or
    the path of its folder. What the files hold is in the key."""
    least: float = decides(0.5)
    """Least probability of the good pile."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter._quality_classifier import faults

        if not 0 <= self.least <= 1:
            yield Fault("least", f"{self.least} is no probability", "give a number from 0 (any) to 1")
        if isinstance(self.model, Artifact):
            return  # it may not have been made yet
        if not isinstance(self.model, str) or not self.model:
            hint = "train one: konomi run quality_classifier good.path=… bad.path=…"
            yield Fault("model", "names no quality classifier", hint)
        else:
            yield from faults(self._folder(), "model")

    def depends(self) -> Mapping[str, Any]:
        return {} if isinstance(self.model, Artifact) else {"model": self._content()}

    def _folder(self) -> Path:
        return Path(self.model.path if isinstance(self.model, Artifact) else self.model).expanduser()

    def _content(self) -> list[str]:
        from konomi.filter._quality_classifier import SETTINGS, WEIGHTS
        from konomi.store.content import file_hash

        return [file_hash(self._folder() / name) for name in (WEIGHTS, SETTINGS)]

    def limits(self) -> list[Limit]:
        return [Limit("probability", least=self.least)]

    def annotate(self, texts: pa.Array) -> Annotation:
        from konomi.filter._quality_classifier import load

        model = load(str(self._folder()), "".join(self._content()))
        return Annotation({"probability": model.probabilities(texts)})
