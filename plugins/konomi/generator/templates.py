"""Labelled data into instructions, by templates."""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError, did_you_mean
from konomi.generator import ITEM, Made
from konomi.patterns import compiled, fits, occurs
from konomi.registry import register

if TYPE_CHECKING:
    from konomi.generator._template import Template


class Makes(StrEnum):
    """Format of the rows."""

    messages = "messages"
    prompt_completion = "prompt_completion"
    preference = "preference"


@register("generator", "templates")
@dataclass(frozen=True)
class Templates:
    """Turn labelled rows into instructions by natural-language templates (FLAN: Wei+ 2022, section 2.1).

    Of about ten templates that word one task differently, each row draws one. An answer has one or several styles,
    written as templates too: tuning data mixes them, preference data prefers one to the others. Whatever is drawn
    depends on the row and the seed alone, not on the rows around it.

    >>> haiku = Templates(prompts=["Write about {season}.", "{season|upper_first}?"], answers={"plain": "{poem}"})
    >>> [row] = haiku.generate([{"season": "autumn", "poem": "A crow on a branch."}], seed=0)
    >>> row["messages"]
    [{'role': 'user', 'content': 'Autumn?'}, {'role': 'assistant', 'content': 'A crow on a branch.'}]
    """

    makes: Makes = Makes.messages
    """Format of the rows: `messages`, `prompt_completion`, or `preference`."""
    prompts: list[str] = field(default_factory=list)
    """Wordings of the task: `{column}` stands for a column of the seed, `{column|first_line}` for what a transform
    makes of it."""
    answers: dict[str, str] = field(default_factory=dict)
    """Template of the answer, by the name of its style."""
    preferred: str = ""
    """Style that preference data prefers."""
    preferred_pattern: str = ""
    """Regular expression that finds the preferred style in an answer, and no other; what is made is checked with it."""
    share: dict[str, float] = field(default_factory=dict)
    """How often a style is drawn, relative to the others; styles that are not named count 1."""
    turned: list[dict[str, str]] = field(default_factory=list)
    """Templates that turn the task round, each with a `prompt` and an `answer` of its own (FLAN has up to three)."""
    system: str = ""
    """Template of a system message; empty for none."""
    conversational: bool = True
    """Write prompts and answers as messages; else as plain strings (`messages` are always messages)."""
    per_seed: int = 1
    """Rows made of each seed, each with another template."""
    where: dict[str, str] = field(default_factory=dict)
    """Only seeds whose columns match these regular expressions, as a whole."""
    max_prompt_characters: int = 0
    """Seeds with a longer prompt are passed over; 0 takes all."""
    max_answer_characters: int = 0
    """Seeds with a longer answer are passed over; 0 takes all."""

    def check(self) -> Iterable[Fault]:
        yield from self._wrong_templates()
        yield from self._wrong_styles()
        for name in ("max_prompt_characters", "max_answer_characters"):
            if getattr(self, name) < 0:
                yield Fault(name, f"{getattr(self, name)} is below 0")
        if not 1 <= self.per_seed <= max(1, len(self.prompts) + len(self.turned)):
            what = f"{self.per_seed} rows of a seed need as many templates; there are {len(self.prompts)}"
            yield Fault("per_seed", what, "add wordings to prompts, or lower per_seed")
        for name, pattern in [("preferred_pattern", self.preferred_pattern), *_items("where", self.where)]:
            try:
                compiled(pattern)
            except KonomiError as error:
                yield Fault(name, str(error))

    @property
    def needs(self) -> Sequence[str]:
        """Columns that a seed must have; those of templates that are wrong are left out."""
        from konomi.generator._template import Template

        found = list(self.where)
        for _, text in self._texts():
            try:
                found += Template.parse(text).columns
            except KonomiError:
                continue
        return list(dict.fromkeys(found))

    def depends(self) -> Mapping[str, Any]:
        return {"unicode": unicodedata.unidata_version}  # which letters are capitals, and what a pattern's \w is

    def generate(self, seeds: Iterable[Mapping[str, Any]], *, seed: int) -> Made:
        if faults := list(self.check()):
            raise KonomiError("\n".join(map(str, faults)))
        return Made(lambda passed_over: self._make(seeds, seed, passed_over))

    def _make(
        self, seeds: Iterable[Mapping[str, Any]], seed: int, passed_over: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        for row in seeds:
            item = str(row.get(ITEM) or json.dumps(row, sort_keys=True, default=str, ensure_ascii=False))
            draw = _Draw(seed, item)
            order = draw.order("template", len(self.prompts) + len(self.turned))
            for number, index in enumerate(order[: self.per_seed]):
                try:
                    made = self._matching(row, index, draw, number)
                except _Unfit as unfit:
                    passed_over[str(unfit)] = passed_over.get(str(unfit), 0) + 1
                    continue
                own = item if self.per_seed == 1 else f"{item}-{number}"
                yield {**made, "template": index, **({"item": own} if ITEM in row else {})}

    def _matching(self, row: Mapping[str, Any], index: int, draw: _Draw, number: int) -> dict[str, Any]:
        """Return one row; raises `_Unfit` where the seed does not serve."""
        for name, pattern in sorted(self.where.items()):
            if not fits(pattern, str(row.get(name) or "")):
                raise _Unfit(f"`{name}` does not match `where`")
        turned = self.turned[index - len(self.prompts)] if index >= len(self.prompts) else None
        prompt = _render(turned["prompt"] if turned else self.prompts[index], row)
        if 0 < self.max_prompt_characters < len(prompt):
            raise _Unfit("prompt too long")
        system = _render(self.system, row) if self.system else ""
        if turned:
            return self._row(system, prompt, "turned", _render(turned["answer"], row))
        answers = {style: _render(text, row) for style, text in sorted(self.answers.items())}
        if self.preferred_pattern:
            preferred = {style for style, text in answers.items() if occurs(self.preferred_pattern, text)}
            if preferred != {self.preferred}:
                raise _Unfit("preferred_pattern does not tell the styles apart")
        if self.makes is Makes.preference:
            others = [style for style in answers if style != self.preferred]
            other = draw.one(f"rejected {number}", others, [1.0] * len(others))
            return self._pair(system, prompt, other, answers[self.preferred], answers[other])
        style = draw.one(f"style {number}", list(answers), [self.share.get(name, 1.0) for name in answers])
        return self._row(system, prompt, style, answers[style])

    def _row(self, system: str, prompt: str, style: str, answer: str) -> dict[str, Any]:
        self._measure(answer)
        if self.makes is Makes.messages:
            return {"messages": _asking(system, prompt) + _saying(answer), "style": style}
        if self.conversational:
            return {"prompt": _asking(system, prompt), "completion": _saying(answer), "style": style}
        return {"prompt": _plain(system, prompt), "completion": answer, "style": style}

    def _pair(self, system: str, prompt: str, other: str, chosen: str, rejected: str) -> dict[str, Any]:
        self._measure(chosen, rejected)
        if chosen == rejected:
            raise _Unfit("both answers are the same")
        pair: dict[str, Any] = {"prompt": _plain(system, prompt), "chosen": chosen, "rejected": rejected}
        if self.conversational:
            pair = {"prompt": _asking(system, prompt), "chosen": _saying(chosen), "rejected": _saying(rejected)}
        return {**pair, "rejected_style": other}

    def _measure(self, *answers: str) -> None:
        if any(0 < self.max_answer_characters < len(answer) for answer in answers):
            raise _Unfit("answer too long")

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield every template with the option that it stands in."""
        yield from ((f"prompts.{index}", text) for index, text in enumerate(self.prompts))
        yield from _items("answers", self.answers)
        for index, pair in enumerate(self.turned):
            yield from _items(f"turned.{index}", pair)
        if self.system:
            yield "system", self.system

    def _wrong_templates(self) -> Iterator[Fault]:
        from konomi.generator._template import Template

        if not self.prompts:
            yield Fault("prompts", "there is not one template", "type generator=docstrings, or prompts=['{column} …']")
        if not self.answers:
            yield Fault("answers", "there is no template of an answer", "type answers={plain: '{column}'}")
        for where, text in self._texts():
            try:
                found = Template.parse(text).columns
                if not found and where.startswith(("prompts", "answers")):
                    yield Fault(where, f"names no column: every row would have {text!r}", "write {column} into it")
            except KonomiError as error:
                yield Fault(where, str(error))
        for index, pair in enumerate(self.turned):
            if pair.keys() != {"prompt", "answer"}:
                yield Fault(f"turned.{index}", f"has {', '.join(pair) or 'nothing'}; expected a prompt and an answer")

    def _wrong_styles(self) -> Iterator[Fault]:
        named = {"preferred": self.preferred} if self.preferred else {}
        for where, style in {**named, **{f"share.{name}": name for name in self.share}}.items():
            if style not in self.answers:
                yield Fault(where, f"there is no style {style}", did_you_mean(style, self.answers))
        if any(value < 0 for value in self.share.values()) or (
            self.answers and not any(self.share.get(style, 1.0) > 0 for style in self.answers)
        ):
            yield Fault("share", "shares are at least 0, and one is above it")
        if self.preferred_pattern and not self.preferred:
            yield Fault("preferred_pattern", "belongs to a preferred style, and there is none", "type preferred=STYLE")
        if self.makes is Makes.messages and not self.conversational:
            yield Fault("conversational", "messages are always conversations", "type makes=prompt_completion")
        if self.makes is not Makes.preference:
            return
        if len(self.answers) < 2 or not self.preferred:
            what = "a preference needs two styles in answers, and the name of the better one"
            yield Fault("preferred", what, "type preferred=STYLE")
        for where, given in (("share", self.share), ("turned", self.turned)):
            if given:
                yield Fault(where, "has no meaning for preferences", f"leave {where} out")


@dataclass(frozen=True)
class _Draw:
    """Chance that depends on a seed and a row, and on nothing else."""

    seed: int
    item: str

    def number(self, what: str) -> int:
        import hashlib

        return int.from_bytes(hashlib.sha256(f"{self.seed}\0{what}\0{self.item}".encode()).digest()[:8], "big")

    def order(self, what: str, count: int) -> list[int]:
        return sorted(range(count), key=lambda index: self.number(f"{what} {index}"))

    def one(self, what: str, names: Sequence[str], weights: Sequence[float]) -> str:
        point = self.number(what) / 2**64 * sum(weights)
        for name, weight in zip(names, weights, strict=True):
            point -= weight
            if point < 0:
                return name
        return names[-1]


class _Unfit(Exception):
    """A seed gives no row; the message is the reason that it is counted under."""


@functools.lru_cache(maxsize=1024)
def _parse(text: str) -> Template:
    from konomi.generator._template import Template

    return Template.parse(text)


def _render(text: str, row: Mapping[str, Any]) -> str:
    rendered = _parse(text).render(row)
    if rendered is None:
        raise _Unfit("a column is empty")
    return rendered


def _asking(system: str, prompt: str) -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": prompt}]


def _saying(answer: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": answer}]


def _plain(system: str, prompt: str) -> str:
    return f"{system}\n\n{prompt}" if system else prompt


def _items(where: str, named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from ((f"{where}.{name}", text) for name, text in named.items())
