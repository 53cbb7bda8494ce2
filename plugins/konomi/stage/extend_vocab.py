"""A longer vocabulary for a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError
from konomi.fields import artifact, artifacts, choice
from konomi.job import Job
from konomi.registry import register
from konomi.report import Note, Table, Tokens
from konomi.stage import Cost
from konomi.store.artifact import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from konomi.embedding_init import EmbeddingInit
    from konomi.model import Model
    from konomi.vocab import Extension, Vocab
    from konomi.vocab._contract import Cuts
    from konomi.vocab._fertility import Fertility

COLUMNS = [
    "text",
    "characters a token before",
    "characters a token after",
    "tokens after : before",
    "split characters before",
    "split characters after",
]
PART = "·"
"""How the report writes a token that is a part of a character."""
RELOADED = "the saved tokenizer is the one that was checked"


@register("stage", "extend_vocab")
@dataclass(frozen=True)
class ExtendVocab:
    """Add vocabulary entries for a language to a model, start their rows, and prove that nothing else changed.

    Texts of the language then take fewer tokens. What was promised is checked on held-out texts, and a model that
    breaks a promise is not published: every text is cut as before or into longer pieces, ASCII text bit for bit as
    before, texts come back from their tokens, every new piece can occur, the saved tokenizer is the one that was
    checked, and the rows of old entries keep every bit. The new rows still have to be trained.

    Source: Swallow (arXiv 2404.17790), its vocabulary expansion.
    """

    data: Artifact = artifact("text")
    """Texts of the language; the pieces are learnt from the train split, the test split is measured."""
    model: Model = choice("model", "hub")
    """The model to extend."""
    vocab: Vocab = choice("vocab", "continued_bpe")
    """How pieces are learnt and added."""
    embedding_init: EmbeddingInit = choice("embedding_init", "mean_of_subwords")
    """What the rows of the new entries start as."""
    pad_to_multiple_of: int = 64
    """The number of rows is rounded up to a multiple of this, for the matrix units; 1 leaves it."""
    measure: dict[str, Artifact] = artifacts("text", optional=True)
    """Further texts, by name, to measure and to check on: `measure.english='${artifact:english}'`."""
    held_out: int = 2000
    """Largest number of documents of each test split to measure and to check on; 0 takes all."""

    SMOKE_DOCUMENTS: ClassVar[int] = 200
    """Documents of a split that a smoke run reads."""
    SMALL_GAIN: ClassVar[float] = 0.9
    """Ratio of tokens above which the report advises against: a tokenizer that writes Japanese well was left as it was
    by Gemma-2-Llama-Swallow, while Llama 2's took 0.56 of its tokens after Swallow's extension."""
    SHOWN_PIECES: ClassVar[int] = 12

    @property
    def makes(self) -> str:
        return "model"

    def check(self) -> Iterable[Fault]:
        if self.pad_to_multiple_of < 1:
            yield Fault("pad_to_multiple_of", f"{self.pad_to_multiple_of} is below 1", "type pad_to_multiple_of=1")
        if self.held_out < 0:
            yield Fault("held_out", f"{self.held_out} is below 0", "type held_out=0 to take all")
        if isinstance(self.data, Artifact) and self.data.stage in self.measure:
            what = f"data is {self.data.stage} and is measured anyway; expected another name"
            yield Fault(f"measure.{self.data.stage}", what)

    def cost(self) -> Cost:
        return Cost(parameters=self.model.parameters())

    def run(self, job: Job) -> None:
        """Extend tokenizer and model, check both, and save them."""
        from transformers import AutoTokenizer

        from konomi.stage._card import card
        from konomi.vocab._contract import Cuts, breaches, changed_on_reload

        base = self.model.tokenizer()
        held_out = self._held_out(job)
        limit = self.SMOKE_DOCUMENTS if job.smoke else None
        train = islice(_texts(self.data, "train"), limit)
        extension = self.vocab.extend(base, job.progress(train, unit="documents"))
        cuts = Cuts.of(base, extension, [text for texts in held_out.values() for text in texts])
        promises = breaches(cuts)
        self._keep(job, promises)
        rows = self._extend_model(job, base, extension)
        extension.tokenizer.save_pretrained(job.out)
        reloaded = AutoTokenizer.from_pretrained(job.out)
        promises[RELOADED] = list(changed_on_reload(cuts, reloaded))
        self._keep(job, promises)

        measured = _measured(cuts, {name: len(texts) for name, texts in held_out.items()})
        own = measured[self.data.stage]
        figures: dict[str, Any] = {
            "vocabulary": {"before": len(base), "after": len(extension.tokenizer)},
            "new_entries": len(extension.new_ids),
            "token_ratio": own.ratio,
            "fertility": {name: one.figures() for name, one in measured.items()},
            "unused_on_held_out": sum(not own.uses[id_] for id_ in extension.new_ids),
            "rows": rows,
            "checked_texts": len(cuts.texts),
            "broken_promises": sum(map(len, promises.values())),
        }
        job.figures(**figures)
        self._show(job, base, extension, held_out[self.data.stage], measured, promises)
        flat = {name: figures[name] for name in ("new_entries", "token_ratio")}
        (job.out / "README.md").write_text(card(job, flat), encoding="utf-8")

    def _held_out(self, job: Job) -> dict[str, list[str]]:
        limit = self.SMOKE_DOCUMENTS if job.smoke else self.held_out or None
        texts = {}
        for name, data in {self.data.stage: self.data, **self._measured_too()}.items():
            texts[name] = list(islice(_texts(data, "test"), limit))
            if not texts[name]:
                raise KonomiError(
                    f"{data.stage} has no test split to measure on ({data.path}/data/test-*.parquet); the stage that"
                    " makes it has to hold some documents out"
                )
        return texts

    def _measured_too(self) -> dict[str, Artifact]:
        """Return the further texts; `measure.NAME=null` takes one out of a recipe."""
        return {name: data for name, data in self.measure.items() if isinstance(data, Artifact)}

    def _keep(self, job: Job, promises: Mapping[str, list[str]]) -> None:
        """Raise `KonomiError` where something breaks a promise."""
        broken = [f"- {promise}: {len(lines)} breaches, {lines[0]}" for promise, lines in promises.items() if lines]
        if broken:
            said = f"{job.name}: the extended vocabulary breaks a promise, so nothing is published"
            raise KonomiError("\n".join([said, *broken]))

    def _extend_model(self, job: Job, base: PreTrainedTokenizerFast, extension: Extension) -> dict[str, Any]:
        from konomi.stage._embeddings import extend_model

        job.check_stop()
        model = self.model.load()
        resized = extend_model(
            model,
            extension,
            self.embedding_init,
            entries=max(base.get_vocab().values()) + 1,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        job.check_stop()
        model.save_pretrained(job.out)
        return asdict(resized)

    def _show(
        self,
        job: Job,
        base: PreTrainedTokenizerFast,
        extension: Extension,
        texts: list[str],
        measured: Mapping[str, _Measured],
        promises: Mapping[str, list[str]],
    ) -> None:
        own = measured[self.data.stage]
        job.show(Note(_advice(own, self.data.stage, len(extension.new_ids), self.SMALL_GAIN), "Is it worth it?"))
        job.show(
            Table(
                "Tokens that a text takes, before and after",
                COLUMNS,
                [one.row(name) for name, one in measured.items()],
                "On held-out documents. A split character is spread over several tokens.",
            ),
            _cut_sentence(base, extension.tokenizer, texts),
            _pieces(base, extension, own.uses, self.SHOWN_PIECES),
            Table(
                "What was promised",
                ["promise", "breaches"],
                [[promise, len(lines)] for promise, lines in promises.items()],
            ),
        )


@dataclass(frozen=True)
class _Measured:
    """One text's tokens before and after."""

    before: Fertility
    after: Fertility
    uses: Counter[int]
    """How often each id of the extended vocabulary occurs."""

    @property
    def ratio(self) -> float:
        return round(self.after.tokens / max(self.before.tokens, 1), 4)

    def figures(self) -> dict[str, Any]:
        return {"before": self.before.figures(), "after": self.after.figures(), "token_ratio": self.ratio}

    def row(self, name: str) -> list[Any]:
        before, after = self.before, self.after
        shares = [f"{1 - one.coverage:.1%}" for one in (before, after)]
        speeds = [round(one.characters_per_token, 2) for one in (before, after)]
        return [name, *speeds, round(self.ratio, 3), *shares]


def _texts(data: Artifact, split: str) -> Iterator[str]:
    import pyarrow.parquet as pq

    for shard in data.shards(split):
        for batch in pq.ParquetFile(shard).iter_batches(columns=["text"]):
            yield from batch.column("text").to_pylist()


def _measured(cuts: Cuts, documents: Mapping[str, int]) -> dict[str, _Measured]:
    """Return the measures by name; `documents` says how many of the texts, in order, are of each name."""
    from konomi.vocab._fertility import Meter

    before, after = Meter(cuts.base), Meter(cuts.extension.tokenizer)
    measured = {}
    start = 0
    for name, count in documents.items():
        part = slice(start, start + count)
        uses = Counter(id_ for ids in cuts.after[part] for id_ in ids)
        texts = cuts.texts[part]
        sums = before.measure(texts, cuts.before[part]), after.measure(texts, cuts.after[part])
        measured[name] = _Measured(*sums, uses)
        start += count
    return measured


def _advice(own: _Measured, name: str, entries: int, small_gain: float) -> str:
    before, after = own.before.characters_per_token, own.after.characters_per_token
    said = (
        f"With {entries} new entries, {name} takes {own.ratio:.2f} of the tokens that it took: {after:.2f} characters a"
        f" token instead of {before:.2f}."
    )
    if own.ratio > small_gain:
        return (
            f"{said} That is a small gain. The rows of new entries have to be trained, so it may be better to leave"
            " the tokenizer as it is."
        )
    return f"{said} The new rows are a first guess; the model has to be trained on the language to use them well."


def _cut_sentence(base: PreTrainedTokenizerFast, extended: PreTrainedTokenizerFast, texts: list[str]) -> Tokens:
    from konomi.vocab._bpe import token_surfaces

    sentence = _sentence(texts)
    rows: dict[str, list[str]] = {}
    for label, tokenizer in (("before", base), ("after", extended)):
        surfaces = token_surfaces(tokenizer)
        ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
        rows[label] = [_text(surfaces[id_]) or PART for id_ in ids]
    return Tokens("One sentence, before and after", rows, text=sentence)


def _sentence(texts: list[str], shortest: int = 16, longest: int = 48) -> str:
    """Return the first held-out sentence of a good length to read that is not in ASCII, else a beginning."""
    for text in texts:
        for line in text.splitlines():
            for sentence in line.replace("。", "。\n").splitlines():
                sentence = sentence.strip()
                if shortest <= len(sentence) <= longest and sum(map(str.isascii, sentence)) * 4 < len(sentence):
                    return sentence
    return next(text.strip() for text in texts if text.strip())[:longest]


def _text(surface: bytes) -> str:
    """Return what a token stands for, "" where that is a part of a character."""
    try:
        return surface.decode()
    except UnicodeDecodeError:
        return ""


def _pieces(base: PreTrainedTokenizerFast, extension: Extension, uses: Mapping[int, int], shown: int) -> Table:
    """Return the new pieces that held-out texts use most, and the longest of them."""
    from konomi.vocab._bpe import token_surfaces

    old, new = token_surfaces(base), token_surfaces(extension.tokenizer)
    sources = dict(zip(extension.new_ids, extension.sources, strict=True))
    pieces = {id_: piece for id_ in extension.new_ids if uses[id_] and (piece := _text(new[id_]))}
    frequent = sorted(pieces, key=lambda id_: (-uses[id_], id_))[:shown]
    longest = sorted(pieces, key=lambda id_: (-len(pieces[id_]), -uses[id_], id_))[:shown]
    rows = []
    for id_ in dict.fromkeys((*frequent, *longest)):
        spelt = [_text(old[source]) for source in sources[id_]]
        was = " · ".join(spelt) if all(spelt) else f"{len(new[id_])} bytes" if not any(spelt) else "pieces and bytes"
        rows.append([pieces[id_], uses[id_], len(spelt), was])
    columns = ["piece", "uses in held-out texts", "tokens before", "was spelt"]
    return Table("New pieces: the most used, then the longest", columns, rows)
