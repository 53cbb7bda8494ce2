"""Models that judge texts, loaded once in a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

CHARACTERS_PER_TOKEN = 32
"""More than any prose has: English has about four."""

_held: dict[str, tuple[Any, Any]] = {}


def loaded(plugin: Any) -> tuple[Any, Any]:
    """Return a model plugin's model, on the accelerator where there is one, and its tokenizer.

    One is held at a time, by the plugin's options: a filter judges a whole shard before the next one does.
    """
    import torch

    key = repr(plugin)
    if key not in _held:
        _held.clear()
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        _held[key] = plugin.load().eval().to(device or "cpu"), plugin.tokenizer()
    return _held[key]


def beginnings(texts: pa.Array, tokens: int) -> list[str]:
    """Return what a tokenizer has to see of each text for so many tokens; 0 for all. It takes no half of a surrogate.

    Tokenizing a whole book for its first tokens would cost more than the model does.
    """
    import pyarrow as pa

    whole = (data.decode("utf-8", "replace") for data in texts.view(pa.large_binary()).to_pylist())
    return [text[: tokens * CHARACTERS_PER_TOKEN or None] for text in whole]
