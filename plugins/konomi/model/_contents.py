"""What is wrong with the files of a model's folder, as far as a look at them tells, without transformers."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import Fault, KonomiError
from konomi.model._location import CONFIG, weights_header

INDEX = "model.safetensors.index.json"
LONGEST = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
"""Names under which configurations say how many tokens a model can read."""


@dataclass(frozen=True)
class Head:
    """What a model is loaded for, as transformers sorts its architectures."""

    auto: str
    """The class that loads it."""
    table: str
    """The table of the architectures that have it, in transformers' `modeling_auto.py`."""
    what: str
    hint: str


CAUSAL = Head(
    "AutoModelForCausalLM",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "causal language model",
    "choose one that generates text",
)
CLASSIFIER = Head(
    "AutoModelForSequenceClassification",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "sequence classifier",
    "choose one that classifies texts",
)


def damage(folder: Path, *, own_code: bool, head: Head) -> Iterator[Fault]:
    """Yield what keeps the folder's model from being loaded; `own_code` allows Python files that come with it."""
    for check in (_config(folder, own_code, head), _index(folder), _weights(folder), _tokenizer(folder)):
        yield from (Fault("name_or_path", what, hint) for what, hint in check)


def context(folder: Path) -> int | None:
    """Return how many tokens a folder's model can read, where its configuration says it."""
    config = read_config(folder)
    found = config.get("text_config", config) if isinstance(config, dict) else {}
    lengths = [found.get(name) for name in LONGEST] if isinstance(found, dict) else []
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def read_config(folder: Path) -> Any:
    """Return what the configuration holds; None where it cannot be read."""
    try:
        return json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _config(folder: Path, own_code: bool, head: Head) -> Iterator[tuple[str, str]]:
    config, file = read_config(folder), folder / CONFIG
    if not isinstance(config, dict):
        yield f"{file} is no JSON object", "fetch the model anew"
        return
    kind = config.get("model_type")
    if not isinstance(kind, str):
        yield f"{file} says no model_type", "a model of transformers says one, such as llama"
    elif "auto_map" in config and not own_code and kind not in types_with(head):
        hint = "it is a program: say model.trust_remote_code=true on the command line if you trust it"
        yield f"{folder} brings Python code of its own", hint
    elif not own_code and f'"{kind}"' not in _auto_source():
        hint = "a newer one may: pip install -U transformers"
        yield f"{file} says model_type {kind}, which the installed transformers does not know", hint
    elif not own_code and kind not in types_with(head):
        yield f"{file} says model_type {kind}, which is no {head.what}", head.hint


def _index(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield shards that the index of the weights names, and that are not there."""
    if not (folder / INDEX).exists():
        return
    try:
        named = set(json.loads((folder / INDEX).read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield f"{folder / INDEX} is no index of weights", "fetch the model anew"
        return
    for name in sorted(map(str, named)):
        if not (folder / name).exists():
            yield f"{folder / name} is not there, and {INDEX} names it", "fetch the model anew"


def _weights(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("*.safetensors")):
        try:
            ends = [tensor["data_offsets"][1] for _, tensor in weights_header(file)]
            expected = int.from_bytes(file.open("rb").read(8), "little") + 8 + max(ends, default=0)
            if (size := file.stat().st_size) < expected:
                yield f"{file} is cut: it has {size} bytes of {expected}", "fetch the model anew"
        except (KonomiError, OSError) as error:
            yield str(error), "fetch the model anew; from Git, type git lfs pull"


def _tokenizer(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield a tokenizer.json that is torn; it is too large to be parsed for a plan."""
    file = folder / "tokenizer.json"
    if file.is_file():
        text = file.read_bytes().strip()
        if not (text.startswith(b"{") and text.endswith(b"}")):
            yield f"{file} is no whole JSON object", "fetch the model anew; from Git, type git lfs pull"


@functools.cache
def _auto_source() -> str:
    """Return the source of transformers' tables of models; importing them takes seconds, reading them milliseconds."""
    spec = importlib.util.find_spec("transformers")
    roots = list(spec.submodule_search_locations or ()) if spec else []
    files = sorted(Path(roots[0], "models", "auto").glob("*auto*.py")) if roots else []
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@functools.cache
def types_with(head: Head) -> frozenset[str]:
    """Return the model types of transformers that have a head."""
    import re

    table = _auto_source().partition(f"{head.table} = ")[2].partition("\n)")[0]
    return frozenset(re.findall(r'\(\s*"([^"]+)"\s*,', table))
