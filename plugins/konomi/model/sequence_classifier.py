"""A model that gives a text labels or a grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import KonomiError
from konomi.model._contents import CLASSIFIER, Head
from konomi.model.hub import Hub
from konomi.registry import register
from konomi.store.artifact import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@register("model", "sequence_classifier")
@dataclass(frozen=True)
class SequenceClassifier(Hub):
    """Load a sequence classifier and its tokenizer, of a folder or of the hub, for the filter `classifier`.

    It is found, checked and hashed as `hub` does it; it generates no text, and no other use of a model takes it.

    >>> [fault.what for fault in SequenceClassifier(name_or_path="./no/such/model").check()]
    ['there is no folder ./no/such/model']
    """

    HEAD: ClassVar[Head] = CLASSIFIER

    def load(self, **kwargs: Any) -> PreTrainedModel:
        """Return the model on the CPU; a decoder learns which token pads, to find the last of a text."""
        model = super().load(**kwargs)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = self.tokenizer().pad_token_id
        return model

    def labels(self) -> Sequence[str] | None:
        """Return what the model's outputs are called; None where its files are not there yet."""
        from konomi.model._contents import read_config
        from konomi.model._location import locate

        if isinstance(self.name_or_path, Artifact):
            folder: Path | None = Path(self.name_or_path.path)
        else:
            try:
                folder = locate(self.name_or_path, self.revision).folder
            except KonomiError:
                return None
        config = read_config(folder) if folder else None
        if not isinstance(config, dict):
            return None
        named = config.get("id2label")
        if not isinstance(named, dict):
            return [f"LABEL_{number}" for number in range(config.get("num_labels", 2))]
        return [str(named[number]) for number in sorted(named, key=int)]
