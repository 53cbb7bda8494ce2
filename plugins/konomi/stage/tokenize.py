"""Text into rows of tokens, once for all trainings on it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.fields import NOT_IN_KEY, artifacts, choice
from konomi.job import Job
from konomi.registry import register
from konomi.report import Block, Samples, Table
from konomi.stage._options import OnError, Packing, TooLong

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from konomi.model import Model
    from konomi.stage._documents import Counts, Reader
    from konomi.stage._packing import Piece, Row, TokenFile
    from konomi.store import Artifact


@register("stage", "tokenize")
@dataclass(frozen=True)
class Tokenize:
    """Turn texts, conversations or preferences into the token ids that a training reads.

    Texts end with the tokenizer's end token; of a conversation only what the assistant says is trained; preferences
    become a prompt and two answers, as TRL's DPOTrainer cuts them. Several parts (languages, say) are mixed document
    by document.

    `packing=bfd` puts whole documents together so that rows fill well and keeps them from seeing one another (Ding+
    2024); `wrapped` fills rows to the last token, cuts documents at their ends and lets them see one another (GPT-3's
    way; on a CPU it trains about a quarter faster); `none` gives each document a row of its own.
    """

    model: Model = choice("model", "hub")
    """The model whose tokenizer is used; its weights are not read."""
    data: dict[str, Artifact] = artifacts("text", "messages", "prompt_completion", "preference")
    """What to tokenise, by names of your own (`{english: …, japanese: …}`); all of one format."""
    max_length: int = 1024
    """Tokens of a row, or of a prompt with its answer."""
    packing: Packing = Packing.bfd
    """How documents share rows."""
    too_long: TooLong | None = None
    """What to do with documents above `max_length`; by default texts are split, and answers and pairs dropped."""
    repeat: dict[str, float] = field(default_factory=dict)
    """How often to take each document of a part, by the part's name: 2 is twice, 0.5 every second one; 1 by default."""
    shuffle: bool = True
    """Mix the documents of all parts before packing."""
    seed: int = 0
    """Seed of the mixing, and of which documents a broken `repeat` takes."""
    chat_template: str | None = field(default=None, metadata=NOT_IN_KEY)
    """Path of a Jinja template that marks what the assistant says, or `plain`; by default the tokenizer's own. What the
    file holds is in the key, not where it is."""
    on_error: OnError = OnError["raise"]
    """What a row that cannot be used (an empty answer, equal answers) does: stop the stage, or go, counted."""

    SMOKE_ROWS: ClassVar[int] = 256
    """Rows of each part that a smoke run reads."""

    @property
    def makes(self) -> str:
        formats = {data.makes for data in self.data.values()}
        return "token_pairs" if formats == {"preference"} else "tokens"

    def check(self) -> Iterable[Fault]:
        from konomi.stage import _chat_template

        formats = sorted({data.makes for data in self.data.values()})
        if not self.data:
            yield Fault("data", "there is nothing to tokenise", "data: {english: '${artifact:english}'}")
        if len(formats) > 1:
            what = f"the parts are of different formats, {' and '.join(formats)}; expected one"
            yield Fault("data", what, "tokenise each in a stage of its own")
        if self.max_length < 2:
            yield Fault("max_length", f"{self.max_length} tokens hold nothing to predict", "max_length=1024")
        for name in self.repeat:
            if name not in self.data:
                yield Fault(f"repeat.{name}", f"there is no part {name}", did_you_mean(name, self.data))
            elif self.repeat[name] < 0:
                yield Fault(f"repeat.{name}", f"{self.repeat[name]}; expected 0 or more", f"repeat.{name}=1")
        if (longest := self._context()) and longest < self.max_length:
            what = f"{self.max_length} tokens are more than the {longest} that the model can read"
            yield Fault("max_length", what, f"max_length={longest}")
        yield from self._check_length()
        yield from _chat_template.faults(self.chat_template)

    def _check_length(self) -> Iterator[Fault]:
        if self.makes == "token_pairs":
            if self.repeat:
                yield Fault("repeat", "pairs are not mixed by share", "leave repeat out, train for more epochs")
            if self.packing is not Packing.bfd:
                yield Fault("packing", f"{self.packing.value}: pairs are not packed", "leave packing out")
        if self.too_long is TooLong.split and self.data and not self._texts:
            yield Fault(
                "too_long", "split: the second half of an answer has no prompt", "too_long=cut or too_long=drop"
            )
        if self.too_long is not None and self.packing is Packing.wrapped and self.makes == "tokens":
            what = f"{self.too_long.value}: with packing=wrapped no document is too long, it goes on in the next row"
            yield Fault("too_long", what, "leave too_long out, or take packing=bfd")

    def _context(self) -> int | None:
        """Return how many tokens the model can read, where it says so."""
        return self.model.context() if hasattr(self.model, "context") else None

    @property
    def _texts(self) -> bool:
        return {data.makes for data in self.data.values()} == {"text"}

    def depends(self) -> Mapping[str, Any]:
        import hashlib

        from konomi.stage import _chat_template

        found: dict[str, Any] = {name: importlib.metadata.version(name) for name in ("tokenizers",)}
        if not self._texts:
            found |= {name: importlib.metadata.version(name) for name in ("trl", "jinja2")}
            template = _chat_template.read(self.chat_template)
            found["chat_template"] = None if template is None else hashlib.sha256(template.encode()).hexdigest()
        return found

    def run(self, job: Job) -> None:
        from konomi.stage._documents import Reader
        from konomi.stage._language_model import CHAT_TEMPLATE, tokenizer_digest
        from konomi.stage._pairs import write_pairs

        tokenizer = self.model.tokenizer()
        if tokenizer.eos_token is None:
            raise KonomiError(
                f"{job.name}: the tokenizer has no end token, so that no document could end; set eos_token in its"
                " tokenizer_config.json"
            )
        if (longest := self._context()) and longest < self.max_length:
            raise KonomiError(
                f"{job.name}: max_length={self.max_length} tokens are more than the {longest} that the model can read;"
                f" type {job.name}.max_length={longest}"
            )
        template = self._template(tokenizer)
        reader = Reader(tokenizer, template, self.on_error, self.SMOKE_ROWS if job.smoke else None)
        if template is not None:
            job.out.mkdir(parents=True, exist_ok=True)
            (job.out / CHAT_TEMPLATE).write_text(template, encoding="utf-8")
        job.figures(tokenizer=tokenizer_digest(tokenizer), max_length=self.max_length)
        if self.makes == "token_pairs":
            write_pairs(job, reader, self.data, self.max_length, self.too_long or TooLong.drop)
        else:
            self._write_tokens(job, reader)

    def _template(self, tokenizer: PreTrainedTokenizerFast) -> str | None:
        """Return the chat template where the data has conversations."""
        from konomi.stage import _chat_template
        from konomi.stage._documents import Reader, is_conversational
        from konomi.trainer._render import training_template

        probe = Reader(tokenizer, None, self.on_error, limit=1)
        firsts = [row for data in self.data.values() for batch in probe.batches(data, "train") for _, row in batch]
        if not any(map(is_conversational, firsts)):
            return None
        return training_template(tokenizer, _chat_template.read(self.chat_template))

    def _write_tokens(self, job: Job, reader: Reader) -> None:
        from konomi.stage._documents import Counts
        from konomi.stage._packing import write_rows

        counts = {name: Counts() for name in self.data}
        held_out = {name: Counts() for name in self.data}
        figures: dict[str, Any] = {"packing": self.packing.value}
        for split, counted in (("train", counts), ("test", held_out)):
            files = [
                self._tokenised(job, reader, name, split, counted[name], job.work / "tokens" / f"{split}-{index}")
                for index, name in enumerate(self.data)
            ]
            written = write_rows(job.out / "data", split, self._rows(split, files, counted), files)
            prefix = "" if split == "train" else "test_"
            figures |= {f"{prefix}rows": written.rows, f"{prefix}tokens": written.tokens}
            figures[f"{prefix}trained_tokens"] = written.trained
            if split == "train":
                samples = self._samples(reader.tokenizer, files)
                if not written.rows:
                    raise KonomiError(f"{job.name}: no row is left to train on; what was dropped: {_dropped(counts)}")
            for file in files:
                file.close()
        figures["truncated"] = sum(part.dropped["cut"] + part.dropped["too long"] for part in counts.values())
        figures["documents"] = sum(part.documents for part in counts.values())
        figures["characters"] = sum(part.characters for part in counts.values())
        figures["parts"] = {name: part.figures() for name, part in counts.items()}
        job.figures(**figures)
        job.show(table(counts, held_out), samples)

    def _tokenised(self, job: Job, reader: Reader, name: str, split: str, counts: Counts, path: Path) -> TokenFile:
        """Tokenise a split of a part onto the disk."""
        from konomi.stage._packing import TokenFile

        file = TokenFile(path)
        found = reader.documents(self.data[name], split, counts)
        total = reader.count(self.data[name], split)
        for ids, trained in job.progress(found, total=total, unit=f" documents of {name}"):
            file.add(ids, trained)
        return file

    def _rows(self, split: str, files: Sequence[TokenFile], counts: Mapping[str, Counts]) -> Iterator[Row]:
        """Yield packed rows; held-out documents are taken once each, in order."""
        import numpy as np

        from konomi.stage._packing import Piece, cut, pack

        random = np.random.default_rng(self.seed)
        documents: list[Piece] = []
        for index, (name, file) in enumerate(zip(self.data, files, strict=True)):
            part = [Piece(index, start, stop) for start, stop in file.documents()]
            if split == "train":
                share = self.repeat.get(name, 1.0)
                whole, rest = divmod(round(share * len(part)), len(part)) if part else (0, 0)
                some = sorted(random.permutation(len(part))[:rest].tolist())
                part = part * whole + [part[at] for at in some]
            documents += self._fitting(part, file, counts[name])
        if split == "train" and self.shuffle:
            documents = [documents[at] for at in random.permutation(len(documents)).tolist()]
        fitting = cut(documents, self.max_length, self._too_long) if self._bounded else documents
        return pack(fitting, self.max_length, self.packing)

    @property
    def _too_long(self) -> TooLong:
        return self.too_long or (TooLong.split if self._texts else TooLong.drop)

    @property
    def _bounded(self) -> bool:
        """Whether a document must end within its row."""
        return self.packing is not Packing.wrapped

    def _fitting(self, part: list[Piece], file: TokenFile, counts: Counts) -> list[Piece]:
        """Return the documents that stay, with those counted that are cut or dropped for their length."""
        if not self._bounded or self._too_long is TooLong.split:
            return part
        trained = file.arrays()[1]
        kept = []
        for piece in part:
            if len(piece) > self.max_length:
                learnable = trained[piece.start + 1 : piece.start + self.max_length].any()
                if self._too_long is TooLong.drop or not learnable:
                    counts.dropped["too long"] += 1
                    continue
                counts.dropped["cut"] += 1
            kept.append(piece)
        return kept

    def _samples(self, tokenizer: PreTrainedTokenizerFast, files: Sequence[TokenFile]) -> Samples:
        """Return a document of each of the first two parts, and what of it is learned."""
        shown = []
        for name, file in list(zip(self.data, files, strict=True))[:2]:
            ids, trained = file.arrays()
            for start, stop in file.documents()[:1] if len(self.data) > 1 else file.documents()[:2]:
                stop = min(stop, start + self.max_length)
                whole = ids[start:stop]
                learned = whole[trained[start:stop].astype(bool)]
                shown.append(
                    {
                        "part": name,
                        "text": tokenizer.decode(whole.tolist()),
                        "learned": tokenizer.decode(learned.tolist()),
                    }
                )
        return Samples("What is read, and what is learned", shown)


def table(counts: Mapping[str, Counts], held_out: Mapping[str, Counts]) -> Block:
    """Return what was read of each part."""
    columns = [
        "part",
        "documents",
        "characters",
        "tokens",
        "characters per token",
        "held-out documents",
        "dropped or cut",
    ]
    rows = [
        [
            name,
            part.documents,
            part.characters,
            part.tokens,
            round(part.characters / part.tokens, 3) if part.tokens else None,
            held_out[name].documents,
            ", ".join(f"{count} {reason}" for reason, count in sorted(part.dropped.items())) or "none",
        ]
        for name, part in counts.items()
    ]
    return Table("Tokens", columns, rows)


def _dropped(counts: Mapping[str, Counts]) -> str:
    words = [f"{count} {reason} ({name})" for name, part in counts.items() for reason, count in part.dropped.items()]
    return ", ".join(words) or "nothing, the data is empty"
