"""Rows of a data artifact as tokens, in batches, with what is dropped counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError
from konomi.stage._options import OnError

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from konomi.store import Artifact
    from konomi.trainer._render import Pair

BATCH = 256
"""Rows that the tokenizer, which uses all cores, is handed at once."""

Tokens = tuple[list[int], list[int] | None]
"""Token ids, and which are trained; None where all are."""


@dataclass
class Counts:
    """What was read of one part."""

    documents: int = 0
    characters: int = 0
    tokens: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """Return the counts as the manifest keeps them."""
        figures: dict[str, Any] = {"documents": self.documents, "characters": self.characters, "tokens": self.tokens}
        if self.dropped:
            figures["dropped"] = dict(sorted(self.dropped.items()))
        return figures


@dataclass(frozen=True)
class Where:
    """A row of an artifact."""

    stage: str
    path: Path
    row: int

    def __str__(self) -> str:
        return f"{self.stage}: {self.path.name}, row {self.row}"


class BadRow(KonomiError):
    """A row that cannot be used; the message says why, without saying where."""


@dataclass
class Reader:
    """Reads one part of the data as tokens."""

    tokenizer: PreTrainedTokenizerFast
    template: str | None
    on_error: OnError
    limit: int | None
    """Rows to read at most of each split, None for all."""

    def batches(self, data: Artifact, split: str) -> Iterator[list[tuple[Where, dict[str, Any]]]]:
        """Yield the rows of a split, some at a time."""
        import pyarrow.parquet as pq

        read = 0
        for path in data.shards(split):
            row = 0
            for batch in pq.ParquetFile(path).iter_batches(BATCH):
                rows = batch.to_pylist()
                if self.limit is not None:
                    rows = rows[: self.limit - read]
                if rows:
                    yield [(Where(data.stage, path, row + index), value) for index, value in enumerate(rows)]
                row += len(rows)
                read += len(rows)

    def count(self, data: Artifact, split: str) -> int:
        """Return the number of rows that will be read of a split."""
        import pyarrow.parquet as pq

        rows = int(sum(pq.read_metadata(path).num_rows for path in data.shards(split)))
        return rows if self.limit is None else min(rows, self.limit)

    def documents(self, data: Artifact, split: str, counts: Counts) -> Iterator[Tokens]:
        """Yield the documents of a split: texts, conversations, or prompts with completions."""
        read = {"text": self._texts, "messages": self._messages, "prompt_completion": self._completions}[data.makes]
        for batch in self.batches(data, split):
            for ids, trained in read(batch, counts):
                counts.documents += 1
                counts.tokens += len(ids)
                yield ids, trained

    def pairs(self, data: Artifact, split: str, counts: Counts) -> Iterator[tuple[Where, dict[str, Any], Pair]]:
        """Yield the preferences of a split, with their rows."""
        from konomi.trainer._render import pair

        for batch in self.batches(data, split):
            for where, row in batch:
                with self._row(where, counts) as usable:
                    _check_answers(row, "chosen", "rejected")
                    if row["chosen"] == row["rejected"]:
                        raise BadRow("the chosen answer equals the rejected one")
                    made = pair(self.tokenizer, row, self.template)
                    if not made.chosen or not made.rejected:
                        raise BadRow("an answer has no tokens of its own: both answers begin alike and one ends there")
                    usable.append(made)
                if usable:
                    counts.documents += 1
                    counts.characters += sum(_characters(row.get(name)) for name in ("prompt", "chosen", "rejected"))
                    counts.tokens += len(usable[0].prompt) + len(usable[0].chosen) + len(usable[0].rejected)
                    yield where, row, usable[0]

    def _texts(self, batch: Sequence[tuple[Where, Mapping[str, Any]]], counts: Counts) -> Iterator[Tokens]:
        texts = []
        for where, row in batch:
            with self._row(where, counts):
                if not isinstance(row.get("text"), str):
                    raise BadRow(f"expected a string under `text`, found {type(row.get('text')).__name__}")
                if row["text"].strip():
                    texts.append(row["text"])
                else:
                    counts.dropped["empty"] += 1
        if not texts:
            return
        # a text that spells out a special token is text: it must not end a document
        found = self.tokenizer(texts, return_attention_mask=False, split_special_tokens=True, verbose=False)
        end = self.tokenizer.eos_token_id
        for text, ids in zip(texts, found["input_ids"], strict=True):
            counts.characters += len(text)
            yield (ids if ids[-1] == end else [*ids, end]), None

    def _messages(self, batch: Sequence[tuple[Where, Mapping[str, Any]]], counts: Counts) -> Iterator[Tokens]:
        from konomi.trainer._render import conversations

        assert self.template is not None
        usable = []
        for where, row in batch:
            with self._row(where, counts):
                _check_conversation(row.get("messages"))
                usable.append((where, row["messages"]))
        if not usable:
            return
        rendered = conversations(self.tokenizer, [messages for _, messages in usable], self.template)
        for (where, messages), (ids, trained) in zip(usable, rendered, strict=True):
            with self._row(where, counts):
                if not any(trained):
                    raise BadRow("nothing in the conversation is trained; expected a message of the role `assistant`")
                counts.characters += _characters(messages)
                yield ids, trained

    def _completions(self, batch: Sequence[tuple[Where, Mapping[str, Any]]], counts: Counts) -> Iterator[Tokens]:
        from konomi.trainer._render import completion

        for where, row in batch:
            made: list[Tokens] = []
            with self._row(where, counts):
                _check_answers(row, "completion")
                made.append(completion(self.tokenizer, row, self.template))
                counts.characters += _characters(row["prompt"]) + _characters(row["completion"])
            yield from made

    def _row(self, where: Where, counts: Counts) -> _Guard:
        return _Guard(where, self.on_error, counts)


class _Guard(list[Any]):
    """Turns what is wrong with a row into an error that says where, or into a count."""

    def __init__(self, where: Where, on_error: OnError, counts: Counts) -> None:
        super().__init__()
        self.where, self.on_error, self.counts = where, on_error, counts

    def __enter__(self) -> _Guard:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, KonomiError):
            return False
        if self.on_error is OnError["raise"]:
            raise KonomiError(f"{self.where}: {error}; mend the row, or set on_error=drop") from error
        self.counts.dropped[str(error)] += 1
        return True


def is_conversational(row: Mapping[str, Any]) -> bool:
    """Tell whether a row's texts are lists of messages."""
    return any(isinstance(row.get(name), list) for name in ("messages", "prompt", "completion", "chosen"))


def _check_conversation(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadRow("expected a list of messages under `messages`, each with a role and a content")
    for message in messages:
        if message.get("role") == "assistant" and not message.get("tool_calls") and _blank(message.get("content")):
            raise BadRow("an answer of the assistant is empty: a model would learn to say nothing")


def _check_answers(row: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name not in row:
            raise BadRow(f"there is no column `{name}`; the columns are {', '.join(row)}")
        if _blank(row[name]):
            raise BadRow(f"`{name}` is empty: a model would learn to say nothing")


def _blank(value: Any) -> bool:
    if isinstance(value, list):
        return not value or all(_blank(message.get("content")) and not message.get("tool_calls") for message in value)
    return not isinstance(value, str) or not value.strip()


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    messages: Iterable[Any] = value if isinstance(value, list) else ()
    return sum(len(message.get("content") or "") for message in messages)
