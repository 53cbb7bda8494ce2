"""What models write: the same prompts to each, and how often the answer is in a style that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError
from konomi.fields import artifact
from konomi.patterns import compiled, occurs
from konomi.registry import register
from konomi.report import Block, Note, Samples, Table
from konomi.store import Artifact
from konomi.task import Metric, NotApplicable, Result, Subject

if TYPE_CHECKING:
    from konomi.task._decode import Answer
    from konomi.task._prompts import Text

PROMPT_COLUMN = {"messages": "messages", "preference": "prompt", "prompt_completion": "prompt"}
LONGEST_CONTEXT = 1 << 20
"""Tokens that a model which names no context is taken to read."""


@register("task", "generation")
@dataclass(frozen=True)
class Generation:
    """Write an answer to each of the same prompts, and count those that match a pattern.

    Prompts are those of the recipe, then the held-out ones of an artifact, each once. A prompt of the recipe becomes a
    user's turn where the model has a chat template, and plain text where it has none; messages given to a model without
    a template are read as their contents, one below another. Temperature 0 is greedy decoding; above it, answers are
    drawn with the Gumbel-max trick from a random stream that belongs to the prompt, so that all models meet the same
    chance. Shares have Wilson intervals, or are bootstrapped over prompts where each is answered more than once; one
    row an answer.

    >>> task = Generation(prompts=["Once upon a time"], pattern="^[A-Z].*[.]$")
    >>> list(task.check())
    []
    """

    data: Artifact | None = artifact("messages", "preference", "prompt_completion", optional=True)
    """Artifact whose held-out prompts are answered, besides those below."""
    prompts: list[str] = field(default_factory=list)
    """Prompts of the recipe."""
    plain: bool = False
    """Give the prompts of the recipe as plain text even to a model with a chat template."""
    limit: int | None = 64
    """Largest number of prompts; null takes all."""
    max_new_tokens: int = 64
    """Tokens behind which an answer is cut off."""
    temperature: float = 0.0
    """0 takes the likeliest token each time; 1 samples from the model as it is."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that hold this mass (Holtzman+ 2020)."""
    samples: int = 1
    """Answers to each prompt; more than one needs a temperature."""
    seed: int = 0
    """Shapes the random streams, one for each prompt and sample."""
    pattern: str | None = None
    """Regular expression of the preferred style, searched for in the answer without its surrounding blanks."""
    batch_size: int = 16
    """Answers written at once."""
    shown: int = 6
    """Prompts whose answers the report shows, all models side by side."""

    headline: ClassVar[tuple[str, ...]] = ("style",)

    def check(self) -> Iterable[Fault]:
        if self.data is None and not self.prompts:
            hint = "data='${artifact:STAGE}', or prompts=['Once upon a time']"
            yield Fault("prompts", "there is nothing to answer", hint)
        for name in ("max_new_tokens", "samples", "batch_size", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield Fault(name, f"{value} is less than 1")
        if self.temperature < 0:
            yield Fault("temperature", f"{self.temperature} is less than 0; 0 is greedy, 1 samples the model as it is")
        if not 0 < self.top_p <= 1:
            yield Fault("top_p", f"{self.top_p} is no mass; expected more than 0 and at most 1")
        if self.temperature == 0 and self.samples > 1:
            yield Fault("samples", f"{self.samples} greedy answers to one prompt are the same", "temperature=0.7")
        if self.temperature == 0 and self.top_p < 1:
            yield Fault("top_p", "greedy decoding takes no heed of it", "temperature=0.7")
        try:
            compiled(self.pattern or "")
        except KonomiError as error:
            yield Fault("pattern", str(error))

    def evaluate(self, subject: Subject, *, limit: int | None = None) -> Result:
        from konomi.logps import context_length
        from konomi.task._decode import Request, answers
        from konomi.task._held_out import digest, smaller
        from konomi.task._prompts import canonical

        room = context_length(subject.model, LONGEST_CONTEXT) - self.max_new_tokens
        if room < 1:
            raise NotApplicable(
                f"its context of {room + self.max_new_tokens} tokens has no room for a prompt and max_new_tokens ="
                f" {self.max_new_tokens}; lower max_new_tokens"
            )
        prompts = self._prompts(smaller(limit, self.limit))
        ids = [self._ids(subject.tokenizer, text, of_recipe) for text, of_recipe in prompts]
        cut = sum(len(each) > room for each in ids)
        wanted, places = [], []
        for place, (text, _) in enumerate(prompts):
            for sample in range(self.samples):
                stream = int(digest(canonical(text), str(self.seed + sample)), 16) >> 1
                wanted.append(Request(ids[place][-room:], stream))
                places.append((place, sample))
        written = answers(
            subject,
            wanted,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            batch_size=self.batch_size,
        )
        rows = [
            self._row(subject.tokenizer, prompts[place][0], sample, answer)
            for (place, sample), answer in zip(places, written, strict=True)
        ]
        text = f"{cut} of {len(ids)} prompts were longer than the {room} tokens that fit; they lost their beginning."
        return Result(rows, self._metrics(rows), [Note(text, f"Long prompts, {subject.name}")] if cut else [])

    def _prompts(self, limit: int | None) -> list[tuple[Text, bool]]:
        """Return the prompts, each once, with whether the recipe gave it."""
        from konomi.task._held_out import batches, held_out
        from konomi.task._prompts import canonical

        found: dict[str, tuple[Text, bool]] = {prompt: (prompt, True) for prompt in self.prompts}
        if self.data is not None and (limit is None or len(found) < limit):
            column = PROMPT_COLUMN[self.data.makes]
            held_out(self.data, [column], 1)
            for batch in batches(self.data, "test", [column]):
                for row in batch:
                    text = before_the_answer(row[column]) if column == "messages" else row[column]
                    found.setdefault(canonical(text), (text, False))
                if limit is not None and len(found) >= limit:
                    break
        return list(found.values())[:limit]

    def _ids(self, tokenizer: Any, text: Text, of_recipe: bool) -> list[int]:
        from konomi.logps import first_context
        from konomi.task._prompts import chat_ids, messages

        if tokenizer.chat_template is not None and not (isinstance(text, str) and (self.plain or not of_recipe)):
            return chat_ids(tokenizer, messages(text, "user"), add_generation_prompt=True)
        if not isinstance(text, str):
            text = "\n\n".join(str(message["content"]) for message in text)
        ids: list[int] = tokenizer(text, verbose=False)["input_ids"]
        while ids and ids[-1] == tokenizer.eos_token_id:  # a tokenizer that ends every text would end the answer too
            ids = ids[:-1]
        context = first_context(tokenizer)
        if not ids and context is None:
            raise NotApplicable("its tokenizer has no token to begin an empty prompt with")
        return ids or [context]  # type: ignore[list-item]

    def _row(self, tokenizer: Any, text: Text, sample: int, answer: Answer) -> dict[str, Any]:
        from konomi.task._held_out import digest
        from konomi.task._prompts import canonical, readable

        output = str(tokenizer.decode(answer.tokens, skip_special_tokens=True))
        style = None if self.pattern is None else int(occurs(self.pattern, output.strip()))
        hashed = digest(canonical(text))
        return {
            "item": hashed,
            "seed": self.seed + sample if self.temperature else None,
            "prompt_hash": hashed,
            "output": output,
            "score": None if style is None else float(style),
            "style": style,
            "prompt": readable(text),
            "tokens": len(answer.tokens),
            "finished": int(answer.finished),
        }

    def _metrics(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
        from konomi.report.intervals import Formula

        found = {} if self.pattern is None else {"style": Metric.of(rows, Formula("style", proportion=True))}
        found["finished"] = Metric.of(rows, Formula("finished", proportion=True), better="")
        found["answer_tokens"] = Metric.of(rows, Formula("tokens"), unit="tokens", better="")
        return found

    def side_by_side(self, results: Mapping[str, Result], references: Mapping[str, str]) -> Iterable[Block]:
        from konomi.report.intervals import verdict
        from konomi.task._side_by_side import bars, cell, difference, steps

        written = _first_answers(results)
        prompts = list(dict.fromkeys(row["prompt"] for row in next(iter(results.values())).rows))[: self.shown]
        yield Samples(
            "The same prompts, answered by each model",
            [
                {"prompt": prompt, **{model: own.get(prompt, "") for model, own in written.items()}}
                for prompt in prompts
            ],
            note=f"Sampled at temperature {self.temperature}." if self.temperature else "Greedy decoding.",
        )
        if self.pattern is None:
            return
        shares = {name: result.metrics["style"] for name, result in results.items()}
        n = max(metric.n for metric in shares.values())
        note = f"Share of answers to {n} prompts that match {self.pattern!r}; 95 % intervals."
        yield bars("Answers in the preferred style", shares, note=note)
        table = [
            [
                f"{origin} → {name}",
                cell(before.metrics, "style"),
                cell(result.metrics, "style"),
                verdict(difference(result, before, "style"), "higher"),
            ]
            for name, result, origin, before in steps(results, references)
        ]
        if table:
            columns = ["step", "share before", "share after", "difference, prompt by prompt"]
            yield Table("Preferred style before and after", columns, table)


def before_the_answer(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a conversation up to its last answer, which is what the model is asked to write.

    >>> before_the_answer([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    [{'role': 'user', 'content': 'Hi'}]
    """
    last = max((at for at, message in enumerate(conversation) if message["role"] == "assistant"), default=None)
    return conversation[:last]


def _first_answers(results: Mapping[str, Result]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, result in results.items():
        for row in result.rows:
            found.setdefault(name, {}).setdefault(row["prompt"], row["output"])
    return found
