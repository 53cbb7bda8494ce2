"""A first model out of nothing: a tokenizer and a short training, where there is no model to start from."""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.compute.local import Local
from konomi.faults import Fault, KonomiError
from konomi.fields import artifact, choice
from konomi.job import Job
from konomi.peft.none import NoPeft
from konomi.registry import register
from konomi.report import Table
from konomi.stage import Cost
from konomi.stage._options import OnError, Packing
from konomi.token_weighting.uniform import Uniform

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from konomi.model import Model
    from konomi.stage._documents import Reader
    from konomi.store import Artifact
    from konomi.trainer import TokenTrainer


@register("stage", "base")
@dataclass(frozen=True)
class Base:
    """Train a byte-pair tokenizer on texts, and a small model with it, from seeded weights.

    It stands in for a downloaded model where there is no network: what comes after it (a longer vocabulary, continual
    pretraining, tuning) needs a model that has learned something. The tokenizer is a BPE over characters (Sennrich+
    2016, section 3.2) that spells in bytes what it does not hold; the rows are filled to the last token.
    """

    data: Artifact = artifact("text")
    """Texts to train on; their test split is evaluated along the way."""
    model: Model = choice("model", "tiny")
    """Shape of the model; its vocabulary is the tokenizer's."""
    vocab_size: int = 2048
    """Tokens of the tokenizer, characters, bytes and special tokens among them."""
    max_length: int = 256
    """Tokens of a row."""
    trainer: TokenTrainer = choice("trainer", "sft")
    """TRL's SFTTrainer, with its arguments."""
    seed: int = 0
    """Seed of the weights and of the order of the rows."""

    SMOKE_DOCUMENTS: ClassVar[int] = 256
    """Texts that a smoke run reads."""

    @property
    def makes(self) -> str:
        return "model"

    @property
    def peft(self) -> NoPeft:
        """Every weight is new, so every weight is trained."""
        return NoPeft()

    @property
    def compute(self) -> Local:
        """The model is small; it is trained in this process."""
        return Local()

    def check(self) -> Iterable[Fault]:
        from konomi.stage import _tokenizer, _training

        yield from _training.faults(self, "tokens")
        fixed = len(_tokenizer.SPECIAL) + len(_tokenizer.BYTES) + len(_tokenizer.LETTERS)
        if self.vocab_size <= fixed:
            what = f"{self.vocab_size} tokens leave none beside the {fixed} that every vocabulary has"
            yield Fault("vocab_size", what, "vocab_size=2048")
        if self.max_length < 2:
            yield Fault("max_length", f"{self.max_length} tokens hold nothing to predict", "max_length=256")

    def depends(self) -> Mapping[str, Any]:
        return {"tokenizers": importlib.metadata.version("tokenizers"), "unicode": unicodedata.unidata_version}

    def key_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        from konomi.stage import _training

        return _training.key_fields(self, fields, micro_batch=False)

    def cost(self) -> Cost:
        return Cost(parameters=self.model.parameters())

    def run(self, job: Job) -> None:
        from transformers import set_seed

        from konomi.stage import _tokenizer, _training

        tokenizer = _tokenizer.train_bpe(self._texts(job), self.vocab_size)
        train, held_out = (self._rows(job, tokenizer, split) for split in ("train", "test"))
        set_seed(self.seed)
        ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model = self.model.load(vocab_size=len(tokenizer), **ends)
        setup = _training.prepare(self, job, tokenizer, train, held_out, model=model)
        job.show(_vocabulary(tokenizer))
        figures = {"vocabulary": len(tokenizer)}
        _training.carry_out(self, setup, lambda: self.trainer.train(setup, Uniform(), isolated=False), figures=figures)

    def _reader(self, job: Job, tokenizer: PreTrainedTokenizerFast) -> Reader:
        from konomi.stage._documents import Reader

        return Reader(tokenizer, None, OnError["raise"], self.SMOKE_DOCUMENTS if job.smoke else None)

    def _texts(self, job: Job) -> Iterator[str]:
        """Yield the texts that the tokenizer is trained on."""
        import pyarrow.parquet as pq

        read = 0
        for shard in self.data.shards("train"):
            for batch in pq.ParquetFile(shard).iter_batches(columns=["text"]):
                job.check_stop()
                for text in batch.column("text").to_pylist():
                    if job.smoke and read == self.SMOKE_DOCUMENTS:
                        return
                    read += 1
                    yield text

    def _rows(self, job: Job, tokenizer: PreTrainedTokenizerFast, split: str) -> Any:
        """Tokenise and pack a split; None where the data has none."""
        from konomi.stage import _training
        from konomi.stage._documents import Counts
        from konomi.stage._language_model import COLUMNS
        from konomi.stage._packing import Piece, TokenFile, pack, write_rows

        if not self.data.shards(split):
            return None
        file = TokenFile(job.work / "tokens" / split)
        reader = self._reader(job, tokenizer)
        found = reader.documents(self.data, split, Counts())
        for ids, trained in job.progress(found, total=reader.count(self.data, split), unit=" documents"):
            file.add(ids, trained)
        pieces = (Piece(0, start, stop) for start, stop in file.documents())
        folder = job.work / "packed"
        written = write_rows(folder, split, pack(pieces, self.max_length, Packing.wrapped), [file])
        file.close()
        if split == "train" and not written.rows:
            raise KonomiError(f"{job.name}: the texts of {self.data.stage} hold nothing to train on")
        return _training.rows(job, sorted(folder.glob(f"{split}-*.parquet")), COLUMNS, part=split)


def _vocabulary(tokenizer: PreTrainedTokenizerFast) -> Table:
    """Return the longest tokens that were learned."""
    tokens = {tokenizer.decode([index]) for index in range(len(tokenizer)) if index not in tokenizer.all_special_ids}
    longest = sorted(tokens, key=lambda token: (-len(token), token))[:12]
    return Table(
        "The longest tokens of the vocabulary", ["token", "characters"], [[token, len(token)] for token in longest]
    )
