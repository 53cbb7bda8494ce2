"""A person at a desk: a folder with a few recipes, what is typed there, and what comes back."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from konomi.cli import main
from konomi.store import Store

SMALL = """# Rows of a file.
defaults:
  - konomi
  - stage@curate: curate
  - override /filter@curate.filter: []
  - override /dedup@curate.dedup: none
  - _self_
curate: {source: {path: rows.jsonl}}
"""
TRAIN = """# Rows of a file, tokenized, and a model trained on them for one step.
defaults:
  - small
  - stage@tokens: tokenize
  - stage@train: pretrain
  - override /trainer@train.trainer: tiny
  - _self_
tokens: {model: {name_or_path: model}, data: {rows: "${artifact:curate}"}, max_length: 16}
train: {model: {name_or_path: model}, data: "${artifact:tokens}", trainer: {max_steps: 1}}
"""
PAIRS = """# Pairs of answers, and a model aligned on them.
defaults:
  - konomi
  - stage@pairs: curate
  - stage@tokens: tokenize
  - stage@align: align
  - override /filter@pairs.filter: []
  - override /dedup@pairs.dedup: none
  - _self_
pairs: {source: {path: pairs.jsonl}}
tokens: {model: {name_or_path: model}, data: {pairs: "${artifact:pairs}"}, max_length: 16}
align: {model: {name_or_path: model}, data: "${artifact:tokens}"}
"""
RECIPES = {"small": SMALL, "train": TRAIN, "pairs": PAIRS}
ROWS = "".join(f'{{"text": "the words of row {number}"}}\n' for number in range(8))
PAIR_ROWS = '{"prompt": "q", "chosen": "good", "rejected": "bad"}\n' * 4
PROJECT = '[tool.konomi]\nrecipes = "recipes"\nconf = "conf"\n'


@dataclass(frozen=True)
class Case:
    """What is typed, what stands in the folder, and what must come back."""

    name: str
    """What was done, in words."""
    words: tuple[str, ...]
    """What is typed after `konomi`."""
    says: tuple[str, ...]
    """Parts that the answer must have: what is wrong, where, what to type."""
    code: int = 2
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """Files of the folder, written over those that are there."""
    prepare: Callable[[Desk], None] | None = None
    """What else is done to the folder."""
    slow: bool = False

    @property
    def id(self) -> str:
        return self.name.replace(" ", "_")


def table(*cases: Case) -> pytest.MarkDecorator:
    """Return the parametrisation of a test over cases."""
    return pytest.mark.parametrize("case", [_param(case) for case in cases])


def _param(case: Case) -> object:
    assert case.says or case.code == 0, f"{case.name}: what is the message?"
    return pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.slow else [])


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    said: str


@dataclass
class Desk:
    """A folder to type in."""

    folder: Path
    store: Store
    monkeypatch: pytest.MonkeyPatch
    model: Callable[[], Path]
    """Returns a whole, tiny model, to be copied or linked, not changed."""

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def type(self, *words: str) -> Answer:
        """Type a command, as the console script would take it."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                code = main(list(words))
            except SystemExit as end:
                code = int(end.code or 0)
        return Answer(code, out.getvalue())

    def made(self) -> list[str]:
        """Return the stages that were published; fails where something is left half-written."""
        for part in ("tmp", "trash"):
            folder = self.store.root / part
            assert not folder.is_dir() or not list(folder.iterdir()), f"{part} holds {list(folder.iterdir())}"
        objects = self.store.root / "objects"
        listed = [path.name for path in objects.iterdir()] if objects.is_dir() else []
        assert sorted(listed) == self.store.made()
        return [str(self.store.manifest(key)["stage"]) for key in listed]

    def check(self, case: Case) -> Answer:
        """Type a case and compare the answer."""
        for name, content in case.files.items():
            self.write(name, content)
        if case.prepare is not None:
            case.prepare(self)
        answer = self.type(*case.words)
        assert "Traceback" not in answer.said
        assert answer.code == case.code, answer.said
        for part in case.says:
            assert part in answer.said, answer.said
        assert self.made() == [] or case.words[0] == "run"
        return answer
