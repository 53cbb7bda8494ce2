"""Texts as vectors, by a model of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder:
    """A model whose last hidden states are averaged over the tokens of a text."""

    def __init__(self, name: str, revision: str | None, max_tokens: int, batch_tokens: int) -> None:
        """Load model and tokenizer. Raises `KonomiError` where they cannot be."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(name, revision=revision)
            self.model: Any = AutoModel.from_pretrained(name, revision=revision, use_safetensors=True)
        except (OSError, ValueError, ImportError) as error:
            said = " ".join(str(error).split())[:400]
            raise KonomiError(f"{name}: the encoder cannot be loaded: {said}") from error
        self.device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        self.model.eval().to(self.device)
        longest = getattr(self.model.config, "max_position_embeddings", None) or max_tokens
        self.max_tokens, self.batch_tokens = min(max_tokens, longest, self.tokenizer.model_max_length), batch_tokens
        self.width = int(self.model.config.hidden_size)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape (n, width); zeros for a text without tokens."""
        import numpy as np
        import torch

        ids = self.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        found = np.zeros((len(texts), self.width), np.float32)
        for rows in self._batches([len(item) for item in ids]):
            longest = max(len(ids[row]) for row in rows)
            tokens = torch.zeros((len(rows), longest), dtype=torch.long)
            mask = torch.zeros((len(rows), longest), dtype=torch.long)
            for at, row in enumerate(rows):
                tokens[at, : len(ids[row])] = torch.tensor(ids[row])
                mask[at, : len(ids[row])] = 1
            with torch.inference_mode():
                hidden = self.model(
                    input_ids=tokens.to(self.device), attention_mask=mask.to(self.device)
                ).last_hidden_state
                weights = mask.to(self.device).unsqueeze(-1).to(hidden.dtype)
                mean = (hidden * weights).sum(1) / weights.sum(1)
                found[rows] = torch.nn.functional.normalize(mean.float(), dim=-1).cpu().numpy()
        return found

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Yield rows of like lengths, so many that a batch has no more than its tokens; texts without tokens never."""
        batch: list[int] = []
        for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: -lengths[row]):
            if batch and (len(batch) + 1) * lengths[batch[0]] > self.batch_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def is_folder(name: str) -> bool:
    """Tell a folder on this machine from a repository of the hub."""
    return Path(name).expanduser().is_dir()
