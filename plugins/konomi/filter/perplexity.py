"""How well a language model predicts a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from konomi.faults import Fault
from konomi.fields import choice, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa

    from konomi.model import Model

LARGEST_NATS = 700.0
"""Of a token's mean cost; its exponential is still a number."""


@register("filter", "perplexity")
@dataclass(frozen=True)
class Perplexity(ByLimits):
    """Measure each text by a causal language model, and drop what it finds too strange, or too easy.

    CCNet (Wenzek+ 2020) parts a crawl into thirds by the perplexity of an n-gram model learnt from Wikipedia; any
    causal model serves here. The scores are `perplexity`, exp of the mean cost of a token (1 for a text without
    tokens), `bits_per_character`, which can be compared between tokenizers, and `tokens`, how many were read. Texts
    longer than the window are read in windows that overlap by half. Batches are padded, so the last digits of a score
    are the batch's.

    >>> [fault.where for fault in Perplexity(most=10.0, least=20.0, window=1).check()]
    ['window', 'most']
    """

    model: Model = choice("model", "hub")
    """The language model; its folder or name on the hub is `model.name_or_path`, its precision `model.dtype`."""
    most: float | None = decides(None)
    """Largest perplexity; unset drops nothing."""
    least: float | None = decides(None)
    """Least perplexity, below which a text is a list or a template; unset drops nothing."""
    window: int = 1024
    """Tokens read at once; a model whose context is shorter takes its own."""
    most_tokens: int = 4096
    """Tokens at the beginning of a text that are read; 0 reads all."""
    batch_tokens: int = 8192
    """Tokens in a batch, padding included."""

    def check(self) -> Iterable[Fault]:
        for name in ("window", "batch_tokens"):
            if getattr(self, name) < 2:
                yield Fault(name, f"{getattr(self, name)} tokens hold nothing to predict; expected 2 or more")
        if self.most_tokens < 0:
            yield Fault("most_tokens", f"{self.most_tokens} is below 0", "most_tokens=0 reads whole texts")
        if self.most is not None and self.least is not None and self.most < self.least:
            yield Fault("most", f"{self.most} is below least {self.least}: every text would be dropped")

    def limits(self) -> list[Limit]:
        return [Limit("perplexity", self.least, self.most)]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._models import beginnings, loaded
        from konomi.logps import document_nats, plain_tokens

        if not len(texts):
            none = np.zeros(0)
            return Annotation({"perplexity": none, "bits_per_character": none, "tokens": none.astype(np.int64)})
        model, tokenizer = loaded(self.model)
        seen = beginnings(texts, self.most_tokens)
        whole = plain_tokens(tokenizer, seen)
        read = [ids[: self.most_tokens or None] for ids in whole]
        nats = np.array(document_nats(model, tokenizer, read, window=self.window, batch_tokens=self.batch_tokens))
        tokens = np.array([len(ids) for ids in read], dtype=np.int64)
        characters = np.array([len(text) for text in seen]) * tokens / np.maximum([len(ids) for ids in whole], 1)
        return Annotation(
            {
                "perplexity": np.exp(np.minimum(nats / np.maximum(tokens, 1), LARGEST_NATS)),
                "bits_per_character": nats / np.log(2) / np.maximum(characters, 1),
                "tokens": tokens,
            }
        )
