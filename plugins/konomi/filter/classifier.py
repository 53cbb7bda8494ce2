"""A text's labels or grade, by a model of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.fields import DECIDES, choice
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.model import Model

GRADE = "score"
"""Score of a model with one output."""
MULTI_LABEL = "multi_label_classification"


@register("filter", "classifier")
@dataclass(frozen=True)
class Classifier(ByLimits):
    """Measure each text by a sequence classifier, and drop it below or above limits.

    A model with one output grades: its output is `score` (FineWeb-Edu's, Penedo+ 2024, keeps a grade of 3 or more of
    5). One with several gives a probability for each label, a score under the label's name in small letters: by
    softmax, or each by itself where the model says `multi_label_classification`. A long text is judged by its
    beginning; one without tokens gets 0. Batches are padded, so the last digits of a score are the batch's.

    >>> Classifier(least={"score": 3.0}, most={"toxic": 0.5}).thresholds()
    {'score': 3.0, 'toxic': 0.5}
    """

    model: Model = choice("model", "sequence_classifier")
    """The classifier; its folder or name on the hub is `model.name_or_path`, its precision `model.dtype`."""
    least: dict[str, float] = field(default_factory=dict, metadata=DECIDES)
    """Least value of a score, by its name (`least.score=3`); empty drops nothing."""
    most: dict[str, float] = field(default_factory=dict, metadata=DECIDES)
    """Largest value of a score, by its name (`most.toxic=0.5`); empty drops nothing."""
    max_length: int = 512
    """Tokens of a text that are read, the tokenizer's special ones included; a model that can read fewer takes its own
    limit."""
    batch_tokens: int = 16384
    """Tokens in a batch, padding included."""

    def check(self) -> Iterable[Fault]:
        for name in ("max_length", "batch_tokens"):
            if getattr(self, name) < 1:
                yield Fault(name, f"{getattr(self, name)} tokens hold no text; expected 1 or more")
        if self.model is not None and not hasattr(self.model, "labels"):
            what = f"{type(self.model).__name__} gives a model that writes text, and no classifier"
            yield Fault("model", what, "choose model=sequence_classifier")
            return
        labels = self.model.labels() if self.model is not None else None
        for limits in ("least", "most") if labels else ():
            known = names(labels)
            for name in getattr(self, limits):
                if name not in known:
                    yield Fault(f"{limits}.{name}", f"the model has no score {name}", did_you_mean(name, known))

    def limits(self) -> list[Limit]:
        both = dict.fromkeys([*self.least, *self.most])
        return [Limit(name, self.least.get(name), self.most.get(name)) for name in both]

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        for limit in self.limits():
            if limit.score not in scores:
                raise KonomiError(f"the model has no score {limit.score}; {did_you_mean(limit.score, scores)}")
        return super().decide(scores)

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._models import beginnings, loaded

        model, tokenizer = loaded(self.model)
        columns = names([model.config.id2label[number] for number in range(model.config.num_labels)])
        length = min(self.max_length, _longest(model, tokenizer))
        values = np.zeros((len(texts), len(columns)))
        if len(texts):
            read = tokenizer(beginnings(texts, length), truncation=True, max_length=length, verbose=False)
            values[:] = _outputs(model, tokenizer, read, self.batch_tokens)
        return Annotation(dict(zip(columns, values.T.copy(), strict=True)))


def names(labels: Sequence[str]) -> list[str]:
    """Return the names of the scores, which are those of columns.

    >>> names(["LABEL_0"]), names(["Not toxic", "toxic", "TOXIC"])
    (['score'], ['not_toxic', 'toxic', 'toxic_2'])
    """
    if len(labels) == 1:
        return [GRADE]
    found: list[str] = []
    for label in labels:
        name = re.sub(r"\W+", "_", label.lower()).strip("_") or "label"
        found.append(name if name not in found else f"{name}_{1 + sum(one.startswith(name) for one in found)}")
    return found


def _longest(model: Any, tokenizer: Any) -> int:
    """Return how many tokens model and tokenizer allow; a tokenizer that does not know says an immense number."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    offset = (model.config.pad_token_id or 0) + 1 if model.config.model_type in OFFSET_POSITIONS else 0
    return int(min(own - offset if own else tokenizer.model_max_length, tokenizer.model_max_length))


OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm")
"""Architectures that count positions from behind the padding token's number: their table is that much longer."""


def _outputs(model: Any, tokenizer: Any, read: Any, batch_tokens: int) -> NDArray[np.float64]:
    """Return grades of shape (n, 1) or probabilities of shape (n, labels), in the order of the texts."""
    import numpy as np
    import torch

    from konomi.logps import by_length

    found = np.zeros((len(read["input_ids"]), model.config.num_labels))
    for rows in by_length(read["input_ids"], batch_tokens, shortest=1):
        batch = tokenizer.pad(
            {name: [values[row] for row in rows] for name, values in read.items()}, return_tensors="pt"
        )
        with torch.no_grad():
            logits = model(**batch.to(model.device)).logits.double()
        if logits.shape[1] > 1:
            separate = model.config.problem_type == MULTI_LABEL
            logits = logits.sigmoid() if separate else logits.softmax(dim=1)
        found[rows] = logits.cpu().numpy()
    return found
