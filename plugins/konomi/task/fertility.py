"""How many tokens a tokenizer makes of held-out text, by language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from konomi.faults import Fault
from konomi.fields import artifacts
from konomi.registry import register
from konomi.report import Block, Tokens
from konomi.store import Artifact
from konomi.task import Metric, Result, Subject

SHOWN_CHARACTERS = 80
"""Length of the text that is shown cut into tokens."""
FIGURES = {
    "characters_per_token": ("characters", "tokens", "characters", "higher"),
    "bytes_per_token": ("bytes", "tokens", "bytes", "higher"),
    "byte_fallback_share": ("fallback", "tokens", "", "lower"),
    "unknown_share": ("unknown", "tokens", "", "lower"),
    "character_coverage": ("covered", "characters", "", "higher"),
}
"""Numerator, denominator, unit, and which way is better, of each metric."""


@register("task", "fertility")
@dataclass(frozen=True)
class Fertility:
    """Tokenise held-out text: characters and bytes per token, and how much falls back to single bytes.

    The more characters a token holds, the less a text costs to train on and to generate; fertility is its inverse
    (Rust+ 2021, section 3; measured in characters because Japanese has no spaces). Byte fallback counts the tokens
    that stand for part of a character; coverage is the share of characters that need none and are not unknown.
    Intervals are bootstrapped over documents; one row a document.

    >>> from pathlib import Path
    >>> task = Fertility(data={"japanese": Artifact("curate", "text", "3f2a", Path("store/curate"))})
    >>> list(task.check())
    []
    """

    data: dict[str, Artifact] = artifacts("text")
    """Artifacts of held-out text, each under the name of its language."""
    limit: int | None = None
    """Largest number of documents of each language; null takes the whole test split."""

    headline: ClassVar[tuple[str, ...]] = ("characters_per_token",)

    def check(self) -> Iterable[Fault]:
        if not self.data:
            yield Fault("data", "there is no text to measure on", "data.LANGUAGE='${artifact:STAGE}'")
        if self.limit is not None and self.limit < 1:
            yield Fault("limit", f"{self.limit} documents are none; expected 1 or more, or null for all")

    def evaluate(self, subject: Subject, *, limit: int | None = None) -> Result:
        from konomi.report.intervals import Formula
        from konomi.task._byte_fallback import byte_fallback_ids
        from konomi.task._held_out import held_out, smaller

        fallback = byte_fallback_ids(subject.tokenizer)
        rows: list[dict[str, Any]] = []
        metrics: dict[str, Metric] = {}
        for language, artifact in self.data.items():
            texts = [row["text"] for row in held_out(artifact, ["text"], smaller(limit, self.limit))]
            found = _rows(subject.tokenizer, language, texts, fallback)
            for name, (numerator, denominator, unit, better) in FIGURES.items():
                formula = Formula(numerator, denominator, {"group": language})
                metrics[f"{language}/{name}"] = Metric.of(found, formula, unit=unit, better=better)
            rows += found
        return Result(rows, metrics)

    def side_by_side(self, results: Mapping[str, Result], references: Mapping[str, str]) -> Iterable[Block]:
        from konomi.task._side_by_side import bars

        for language in self.data:
            name = f"{language}/characters_per_token"
            # models that share a tokenizer share a bar and a row
            alike = {
                ", ".join(other for other in results if _same(results[model], results[other], language)): model
                for model in results
            }
            entries = {label: results[model].metrics[name] for label, model in alike.items()}
            note = "Higher is better: the same text costs fewer tokens. 95 % intervals over documents."
            yield bars(f"Characters per token, {language}", entries, unit="characters", note=note)
            rows = {label: _first(results[model], language)["cut"] for label, model in alike.items()}
            text = _first(next(iter(results.values())), language)["cut_text"]
            note = "A dot is a further byte of the character before it."
            yield Tokens(f"The same text cut into tokens, {language}", rows, note=note, text=text)


def _rows(tokenizer: Any, language: str, texts: list[str], fallback: frozenset[int]) -> list[dict[str, Any]]:
    from konomi.logps import plain_tokens
    from konomi.task._held_out import digest, distinct

    tokens = plain_tokens(tokenizer, texts)
    hashes = [digest(text) for text in texts]
    names = distinct(f"{language}/{name}" for name in hashes)
    unknown = tokenizer.unk_token_id
    known: dict[str, bool] = {}
    rows: list[dict[str, Any]] = []
    for name, hashed, text, ids in zip(names, hashes, texts, tokens, strict=True):
        if new := sorted(set(text) - known.keys()):
            for character, alone in zip(new, plain_tokens(tokenizer, new), strict=True):
                known[character] = not any(id_ in fallback or id_ == unknown for id_ in alone)
        rows.append(
            {
                "item": name,
                "seed": None,
                "prompt_hash": hashed,
                "output": "",
                "score": len(text) / max(len(ids), 1),
                "group": language,
                "characters": len(text),
                "bytes": len(text.encode("utf-8", "surrogatepass")),
                "tokens": len(ids),
                "fallback": sum(id_ in fallback for id_ in ids),
                "unknown": 0 if unknown is None else ids.count(unknown),
                "covered": sum(known[character] for character in text),
                "cut": None if rows else _cut(tokenizer, text[:SHOWN_CHARACTERS]),
                "cut_text": None if rows else text[:SHOWN_CHARACTERS],
            }
        )
    return rows


def _cut(tokenizer: Any, text: str) -> list[str]:
    """Return the tokens of a text as the characters that they stand for, `·` for what is only part of one."""
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    pieces, reached = [], 0
    for id_, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        inside = end <= reached and start < end
        pieces.append("·" if inside else text[max(start, reached) : end] or tokenizer.decode([id_]))
        reached = max(reached, end)
    return pieces


def _first(result: Result, language: str) -> Mapping[str, Any]:
    return next(row for row in result.rows if row["group"] == language)


def _same(result: Result, other: Result, language: str) -> bool:
    """Tell whether two models cut every text into as many tokens, and the first one into the same."""
    counts = [[row["tokens"] for row in each.rows if row["group"] == language] for each in (result, other)]
    return counts[0] == counts[1] and _first(result, language)["cut"] == _first(other, language)["cut"]
