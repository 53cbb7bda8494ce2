"""Models: where a causal language model, or for a filter a classifier, and its tokenizer come from.

model.tiny · model.hub · model.sequence_classifier
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class Model(Protocol):
    """Gives a model and its tokenizer; `parameters()` answers at plan time, None where it cannot be known."""

    def load(self, **kwargs: Any) -> PreTrainedModel:
        """Return the model on the CPU; `kwargs` go to `from_pretrained` or to the config (`vocab_size=…`)."""
        ...

    def tokenizer(self) -> PreTrainedTokenizerFast: ...

    def parameters(self) -> int | None: ...
