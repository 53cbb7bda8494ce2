"""What a test of a trainer or of a training stage needs: a model of two small layers, its tokenizer, artifacts.

from konomi.testing.training import TinyModel, make_job, make_tokens

model = TinyModel()
data = make_tokens(tmp_path / "tokens", model.tokenizer(), texts, packing="bfd", max_length=32)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.job import Job
from konomi.store import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TEXTS = [
    "the cat sat on the mat",
    "a dog ran in the park and the cat ran too",
    "one two three four five six seven eight nine ten",
    "the quick brown fox jumps over the lazy dog",
    "to be or not to be",
    "she sells sea shells on the sea shore every day of the week",
]
"""Sentences to train on."""


@dataclass(frozen=True)
class TinyModel:
    """A Llama of two layers with seeded weights, over the bytes of UTF-8; it meets the contract of a model plugin."""

    seed: int = 0
    path: str | None = None
    """Folder to load both from, instead of making them."""

    def load(self, **kwargs: Any) -> PreTrainedModel:
        import torch
        from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

        if self.path is not None:
            return AutoModelForCausalLM.from_pretrained(self.path, **kwargs)
        tokenizer = self.tokenizer()
        shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = LlamaConfig(
            **{"vocab_size": len(tokenizer), "max_position_embeddings": 512, **shape, **ends, **kwargs}
        )
        state = torch.random.get_rng_state()
        torch.manual_seed(self.seed)
        model = LlamaForCausalLM(config)
        torch.random.set_rng_state(state)
        return model

    def tokenizer(self) -> PreTrainedTokenizerFast:
        from tokenizers import Tokenizer, decoders, pre_tokenizers
        from tokenizers.models import BPE
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        if self.path is not None:
            return AutoTokenizer.from_pretrained(self.path)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        backend = Tokenizer(BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>")

    def parameters(self) -> int | None:
        return None


def make_job(folder: Path, **options: Any) -> Job:
    """Return a job with folders of its own; `options` are fields of `konomi.job.Job`."""
    out, work = folder / "out", folder / "work"
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    given = {"name": "stage", "recipe": "recipe", "key": "0123456789abcdef", "quiet": True}
    return Job(out=out, work=work, **{**given, **options})


def make_artifact(
    folder: Path,
    makes: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    test: Sequence[Mapping[str, Any]] = (),
    results: Mapping[str, Any] | None = None,
    stage: str = "data",
) -> Artifact:
    """Write rows as an artifact, with a manifest that holds `results`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, some in (("train", rows), ("test", test)):
        if some:
            table = pa.Table.from_pylist([dict(row) for row in some])
            pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet", compression="zstd")
    (folder / "manifest.json").write_text(json.dumps({"results": dict(results or {})}), encoding="utf-8")
    return Artifact(stage=stage, makes=makes, key=f"key-of-{folder.name}", path=folder)


def make_tokens(
    folder: Path,
    model: TinyModel,
    texts: Iterable[str] = TEXTS,
    *,
    packing: str = "bfd",
    max_length: int = 48,
    test: Iterable[str] = (),
) -> Artifact:
    """Run a tokenize stage over texts and return what it leaves."""
    from konomi.stage._options import Packing
    from konomi.stage.tokenize import Tokenize

    data = make_artifact(
        folder / "texts", "text", [{"text": text} for text in texts], test=[{"text": text} for text in test]
    )
    stage = Tokenize(model=model, data={"texts": data}, max_length=max_length, packing=Packing[packing])
    job = make_job(folder / "tokens", name="tokens")
    stage.run(job)
    return as_artifact(job, "tokens")


def as_artifact(job: Job, makes: str) -> Artifact:
    """Return what a stage left in a job's folder as an artifact, with its figures in the manifest."""
    (job.out / "manifest.json").write_text(json.dumps({"results": job.results}), encoding="utf-8")
    return Artifact(stage=job.name, makes=makes, key=job.key, path=job.out)
