"""How well a model predicts held-out text, by language, beside what counting characters would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.fields import artifacts
from konomi.registry import register
from konomi.report import Bars, Block, Note, Table
from konomi.store import Artifact
from konomi.task import Metric, Result, Subject

if TYPE_CHECKING:
    from konomi.report.intervals import Formula

BASELINES = ("unigram", "bigram")


@register("task", "perplexity")
@dataclass(frozen=True)
class Perplexity:
    """Predict held-out text: perplexity per token, and bits per character and byte, which tokenizers cannot flatter.

    Bits per character are Σ −log₂ p(token) / Σ characters over the test documents of a language (Cotterell+ 2018,
    section 2), so that models with different vocabularies can be set side by side. Every token of a document is paid
    for, the first one too: it is predicted after the tokenizer's beginning-of-text token, after its end-of-text token
    where there is no other, and charged log V where there is neither. The end of a document is not scored. A document
    longer than the window is read in windows that overlap by half, and each token is scored once, by the first window
    that holds it.

    Beside the model stand a character unigram and bigram learned from the *train* split of the same artifact, smoothed
    after Witten and Bell (1991). Intervals are bootstrapped over documents; one row a document.

    >>> from pathlib import Path
    >>> task = Perplexity(data={"japanese": Artifact("curate", "text", "3f2a", Path("store/curate"))})
    >>> list(task.check())
    []
    """

    data: dict[str, Artifact] = artifacts("text")
    """Artifacts of held-out text, each under the name of its language."""
    limit: int | None = None
    """Largest number of documents of each language; null takes the whole test split."""
    window: int = 2048
    """Tokens read at once; a model whose context is shorter takes its own. Beyond what a model was trained on at once,
    its context is a promise that it may not keep."""
    batch_tokens: int = 4096
    """Tokens in a batch, padding included."""
    ngram_characters: int = 20_000_000
    """Characters of the train split that the unigram and the bigram learn from; 0 leaves them out."""

    headline: ClassVar[tuple[str, ...]] = ("bits_per_character",)

    def check(self) -> Iterable[Fault]:
        if not self.data:
            yield Fault("data", "there is no text to measure on", "data.LANGUAGE='${artifact:STAGE}'")
        for name in ("window", "batch_tokens"):
            if getattr(self, name) < 2:
                yield Fault(name, f"{getattr(self, name)} tokens hold nothing to predict; expected 2 or more")
        if self.limit is not None and self.limit < 1:
            yield Fault("limit", f"{self.limit} documents are none; expected 1 or more, or null for all")
        if self.ngram_characters < 0:
            yield Fault("ngram_characters", f"{self.ngram_characters} is less than 0; 0 leaves the baselines out")

    def evaluate(self, subject: Subject, *, limit: int | None = None) -> Result:
        from konomi.task._held_out import held_out, smaller

        rows: list[dict[str, Any]] = []
        metrics: dict[str, Metric] = {}
        shown: list[Block] = []
        for language, artifact in self.data.items():
            texts = [row["text"] for row in held_out(artifact, ["text"], smaller(limit, self.limit))]
            found = self._rows(subject, language, texts)
            self._add_baselines(found, texts, artifact)
            rows += found
            metrics |= _metrics(found, language)
            shown += _warnings(found, language, subject.name)
        return Result(rows, metrics, shown)

    def _rows(self, subject: Subject, language: str, texts: Sequence[str]) -> list[dict[str, Any]]:
        from konomi.logps import document_nats, plain_tokens
        from konomi.task._held_out import digest, distinct

        tokens = plain_tokens(subject.tokenizer, texts)
        costs = document_nats(
            subject.model,
            subject.tokenizer,
            tokens,
            window=self.window,
            batch_tokens=self.batch_tokens,
            progress=subject.progress,
        )
        hashes = [digest(text) for text in texts]
        names = distinct(f"{language}/{name}" for name in hashes)
        unknown = subject.tokenizer.unk_token_id
        return [
            {
                "item": name,
                "seed": None,
                "prompt_hash": hashed,
                "output": "",
                "score": nats,
                "group": language,
                "characters": len(text),
                "bytes": len(text.encode("utf-8", "surrogatepass")),
                "tokens": len(ids),
                "bits": nats / log(2),
                "unknown": 0 if unknown is None else ids.count(unknown),
            }
            for name, hashed, text, ids, nats in zip(names, hashes, texts, tokens, costs, strict=True)
        ]

    def _add_baselines(self, rows: Sequence[dict[str, Any]], texts: Sequence[str], artifact: Artifact) -> None:
        from konomi.task._ngram import learn_from

        ngrams = learn_from(artifact, self.ngram_characters)
        if ngrams is not None:
            for row, text in zip(rows, texts, strict=True):
                row["unigram_bits"], row["bigram_bits"] = ngrams.bits(text)

    def side_by_side(self, results: Mapping[str, Result], references: Mapping[str, str]) -> Iterable[Block]:
        from konomi.task._side_by_side import comparisons

        for language in self.data:
            yield _bars(results, language)
        pairs = comparisons(list(results), references)
        if pairs:
            yield from _differences(results, pairs, list(self.data))
        yield from _beaten(results, list(self.data))


def _per_character(language: str, column: str = "bits") -> Formula:
    from konomi.report.intervals import Formula

    return Formula(column, "characters", where={"group": language})


def _metrics(rows: Sequence[Mapping[str, Any]], language: str) -> dict[str, Metric]:
    from konomi.report.intervals import Formula

    where = {"group": language}
    found = {
        "perplexity": Metric.of(rows, Formula("score", "tokens", where, exponential=True), unit="", better="lower"),
        "bits_per_character": Metric.of(rows, _per_character(language), unit="bits", better="lower"),
        "bits_per_byte": Metric.of(rows, Formula("bits", "bytes", where), unit="bits", better="lower"),
    }
    for name in BASELINES:
        if f"{name}_bits" in rows[0]:
            formula = _per_character(language, f"{name}_bits")
            found[f"{name}_bits_per_character"] = Metric.of(rows, formula, unit="bits", better="")
    return {f"{language}/{name}": metric for name, metric in found.items()}


def _warnings(rows: Sequence[Mapping[str, Any]], language: str, model: str) -> list[Block]:
    unknown, tokens = sum(row["unknown"] for row in rows), sum(row["tokens"] for row in rows)
    if not unknown:
        return []
    text = (
        f"{unknown} of {tokens} tokens of {language} are unknown to the tokenizer of {model}. It pays once for whatever"
        " they hid, so its bits per character look better than they are."
    )
    return [Note(text, "Unknown tokens flatter")]


def _bars(results: Mapping[str, Result], language: str) -> Bars:
    from konomi.task._side_by_side import bars

    entries = {name: result.metrics[f"{language}/bits_per_character"] for name, result in results.items()}
    n = next(iter(entries.values())).n
    first = next(iter(results.values()))
    for baseline in BASELINES:
        if (key := f"{language}/{baseline}_bits_per_character") in first.metrics:
            entries[f"character {baseline}"] = first.metrics[key]
    note = (
        "Lower is better. The unigram and the bigram count characters of the training text; a model that does not beat"
        f" them has learned little. {n} documents; 95 % intervals over documents."
    )
    return bars(f"Bits per character, {language}", entries, unit="bits", note=note)


def _differences(
    results: Mapping[str, Result], pairs: Sequence[tuple[str, str]], languages: Sequence[str]
) -> Iterable[Block]:
    from konomi.report.intervals import verdict
    from konomi.task._side_by_side import difference

    table, weak = [], []
    for name, other in pairs:
        found = {
            language: difference(results[name], results[other], f"{language}/bits_per_character")
            for language in languages
        }
        table.append([f"{name} − {other}", *(verdict(each, "lower") for each in found.values())])
        weak += [
            f"{name} does not beat {other} on {language}: {verdict(each, 'lower')}."
            for language, each in found.items()
            if each is None or each.sign != "lower"
        ]
    note = "Negative is better. 95 % intervals over the documents that both models read."
    yield Table("Differences in bits per character, document by document", ["models", *languages], table, note)
    if weak:
        yield Note(" ".join(weak), "No gain in bits per character")


def _beaten(results: Mapping[str, Result], languages: Sequence[str]) -> Iterable[Note]:
    """Say of each model which baselines it does not beat for certain."""
    lines = []
    for name, result in results.items():
        for language in languages:
            lost = [
                f"a character {baseline} ({result.metrics[f'{language}/{baseline}_bits_per_character'].value:.2f})"
                for baseline in BASELINES
                if f"{language}/{baseline}_bits_per_character" in result.metrics
                and not _beats(result, language, baseline)
            ]
            if lost:
                own = result.metrics[f"{language}/bits_per_character"].value
                lines.append(f"{name} does not beat {' or '.join(lost)} on {language}, with {own:.2f} bits.")
    if lines:
        yield Note(" ".join(lines), "No better than counting characters")


def _beats(result: Result, language: str, baseline: str) -> bool:
    from konomi.report.intervals import paired_difference

    counted = [{**row, "bits": row.get(f"{baseline}_bits")} for row in result.rows]
    found = paired_difference(result.rows, counted, _per_character(language))
    return found is not None and found.sign == "lower"
