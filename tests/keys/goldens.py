"""What each built-in plugin makes of a small fixed input: words and numbers, with the version that it declares.

python -m tests.keys.goldens --renew     after a plugin's bytes were changed on purpose and its version was raised

Words, ids and whole numbers are kept as a digest, broken numbers as they are, because their last digits are the
processor's. What depends on a library's version is compared only under that version, which is in the key too.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from konomi import registry

from . import golden_data, golden_filters, golden_models  # noqa: F401 (they enter their outputs)
from .golden import GOLDENS

FILE = Path(__file__).with_name("goldens.json")


WITHOUT: dict[str, str] = {
    "filter/compression": "the sizes are zlib's, whose version is in the key",
    "language/any": "data; what filters make of it is in filter",
    "language/en": "data; what filters make of it is in filter",
    "language/ja": "data; what filters make of it is in filter",
    "compute/local": "launches; shapes no byte",
    "engine/local": "carries out; shapes no byte",
    "engine/ray": "carries out; shapes no byte",
    "stage/export": "writes what stage/curate selects: tests/stage/test_export.py compares their bytes",
    "compute/ddp": "launches; its number of processes is in the global batch",
    "dedup/semdedup": "the encoder's and faiss' arithmetic; its walk is in tests/dedup/test_semdedup.py",
    "model/tiny": "its weights are torch's, seeded",
    "model/hub": "what it loads is hashed",
    "model/sequence_classifier": "what it loads is hashed",
    "filter/perplexity": "torch's arithmetic; compared with plain forward passes in tests/filter",
    "filter/classifier": "torch's arithmetic; compared with plain forward passes in tests/filter",
    "peft/none": "does nothing",
    "peft/lora": "the layers are PEFT's",
    "trainer/sft": "compared step by step with TRL's own in tests/trainer",
    "trainer/dpo": "compared step by step with TRL's own in tests/trainer",
    "stage/base": "torch's and TRL's arithmetic; its packing is in stage/tokenize",
    "stage/pretrain": "torch's and TRL's arithmetic; its weights are in token_weighting",
    "stage/sft": "torch's and TRL's arithmetic; its weights are in token_weighting",
    "stage/align": "torch's and TRL's arithmetic; its losses are in loss",
    "stage/reference": "compared with plain forward passes in tests/stage/test_reference.py",
    "stage/extend_vocab": "its parts are in vocab/continued_bpe and embedding_init/mean_of_subwords",
    "stage/evaluate": "its rows are the tasks'",
}  # fmt: skip
"""Plugins without a golden output, and why."""


def parts(value: Any, numbers: list[float]) -> Any:
    """Return a value without its broken numbers, which go into `numbers` in their order."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        numbers.append(float(f"{value:.6g}"))
        return "number"
    if isinstance(value, Mapping):
        return {str(name): parts(value[name], numbers) for name in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [parts(item, numbers) for item in value]
    assert value is None or isinstance(value, (str, int)), type(value)
    return value


def output(id_: str) -> dict[str, Any]:
    """Return a plugin's output now, as it stands in the file."""
    make, under = GOLDENS[id_]
    numbers: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(parts(make(Path(folder)), numbers), ensure_ascii=False, sort_keys=True)
    version = registry.get_entry(*id_.split("/")).version
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"version": version, "under": {name: _version(name) for name in under}, "digest": digest, "numbers": numbers}


def _version(name: str) -> str:
    if name == "unicode":
        return unicodedata.unidata_version
    return platform.python_version() if name == "python" else importlib.metadata.version(name)


def held() -> dict[str, dict[str, Any]]:
    """Return what the file holds."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def main() -> None:
    renewed = {id_: output(id_) for id_ in sorted(GOLDENS)}
    before = held() if FILE.exists() else {}
    for id_, now in renewed.items():
        if before.get(id_) != now:
            print(id_, "renewed")
    if "--renew" in sys.argv:
        lines = [f" {json.dumps(id_)}: {json.dumps(now)}" for id_, now in renewed.items()]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
