"""Log-probabilities of tokens under a causal model, in batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

MAX_LOGITS = 1 << 27
"""Logits held at once, which bounds the memory of a batch (512 MB in float32)."""


class Progress(Protocol):
    """Wraps a long loop: shows it, and leaves it where a stop was asked for."""

    def __call__(self, items: Sequence[Any], *, unit: str) -> Iterator[Any]: ...


def unwatched(items: Sequence[Any], *, unit: str) -> Iterator[Any]:
    """Iterate and show nothing."""
    yield from items


def token_logps(
    model: PreTrainedModel,
    sequences: Sequence[Sequence[int]],
    *,
    batch_tokens: int,
    progress: Progress = unwatched,
) -> list[np.ndarray]:
    """Return log p(x_t | x_<t), t = 1 …, of each sequence: natural logarithms, one fewer than it has tokens.

    A sequence stands alone in its row, padded on the right and masked; attention to what follows is impossible in a
    causal model, so padding changes nothing but the shape.
    """
    import numpy as np
    import torch

    found: list[np.ndarray] = [np.zeros(0)] * len(sequences)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    batches = list(by_length(sequences, min(batch_tokens, max(1, MAX_LOGITS // vocabulary))))
    for batch in progress(batches, unit="batch"):
        longest = max(len(sequences[row]) for row in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(batch):
            ids[place, : len(sequences[row])] = torch.tensor(sequences[row], dtype=torch.long)
            mask[place, : len(sequences[row])] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            for place, row in enumerate(batch):
                length = len(sequences[row])
                predicted = logits[place, : length - 1].float()
                chosen = predicted.gather(1, ids[place, 1:length, None])[:, 0]
                found[row] = (chosen - predicted.logsumexp(dim=1)).double().cpu().numpy()
    return found


def by_length(sequences: Sequence[Sequence[Any]], batch_tokens: int, *, shortest: int = 2) -> Iterator[list[int]]:
    """Yield the rows of each batch, longest sequences first, so that a batch that is too large fails at once.

    Sequences below `shortest` are passed over: one token predicts nothing.
    """
    order = sorted(range(len(sequences)), key=lambda row: (-len(sequences[row]), row))
    order = [row for row in order if len(sequences[row]) >= shortest]
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // len(sequences[order[start]]))
        yield order[start : start + count]
        start += count


def context_length(model: PreTrainedModel, at_most: int) -> int:
    """Return the tokens that the model reads at once, `at_most` where it names no length or a longer one."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(own, at_most) if own else at_most


def plain_tokens(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts alone; a text that spells out a special token (`</s>`) is text."""
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]
    return found


def first_context(tokenizer: Any) -> int | None:
    """Return the token that stands before a text: beginning of text, else end of text (documents are packed so)."""
    found: int | None = tokenizer.bos_token_id
    return tokenizer.eos_token_id if found is None else found


def windows(length: int, window: int) -> list[tuple[int, int]]:
    """Return the start of each window over a sequence and the first place that it scores; place 0 is never scored.

    >>> windows(10, 4)
    [(0, 1), (2, 4), (4, 6), (6, 8)]
    """
    found = [(0, 1)] if length > 1 else []
    step, reached = max(1, window // 2), window
    while reached < length:
        start = min(reached - window + step, length - window)
        found.append((start, reached))
        reached = start + window
    return found


def document_nats(
    model: PreTrainedModel,
    tokenizer: Any,
    documents: Sequence[Sequence[int]],
    *,
    window: int,
    batch_tokens: int,
    progress: Progress = unwatched,
) -> list[float]:
    """Return the cost of each document's tokens in nats, Σ -log p.

    The first token is predicted after the tokenizer's beginning-of-text token, after its end-of-text token where there
    is no other, and charged log V where there is neither. A document longer than the window is read in windows that
    overlap by half, and each token is scored once, by the first window that holds it.
    """
    context = first_context(tokenizer)
    window = context_length(model, window)
    pieces, owners, scored_from = [], [], []
    costs = [0.0] * len(documents)
    for row, ids in enumerate(documents):
        if ids and context is None:
            costs[row] = log(model.get_output_embeddings().weight.shape[0])
        sequence = [*([] if context is None else [context]), *ids]
        for start, first in windows(len(sequence), window):
            pieces.append(sequence[start : start + window])
            owners.append(row)
            scored_from.append(first - start)
    logps = token_logps(model, pieces, batch_tokens=batch_tokens, progress=progress)
    for row, first, piece in zip(owners, scored_from, logps, strict=True):
        costs[row] -= float(piece[first - 1 :].sum())
    return costs
