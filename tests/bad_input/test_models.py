"""Models and tokenizers that are wrong: told at the plan where a look at the files tells, else in a line of the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .desk import Case, Desk, table

PLAN, RUN = ("plan", "train"), ("run", "train")
TOKENIZE = ("run", "train", "until=tokens")


def copied(*changes: Callable[[Path], None]) -> Callable[[Desk], None]:
    """Return what puts a copy of the whole model on the desk, changed."""

    def prepare(desk: Desk) -> None:
        folder = desk.folder / "model"
        shutil.copytree(desk.model(), folder)
        for change in changes:
            change(folder)

    return prepare


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def holding(name: str, content: str | bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode()) and None


def saying(name: str, **values: Any) -> Callable[[Path], None]:
    """Return what changes values of a JSON file; None takes one away."""

    def change(folder: Path) -> None:
        held = json.loads((folder / name).read_text()) | values
        kept = {key: value for key, value in held.items() if value is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG = "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
SLOW = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}


def model(name: str, *changes: Callable[[Path], None], words: tuple[str, ...] = PLAN, code: int = 2, says: tuple[str, ...] = ()) -> Case:
    return Case(name, words, says, code, prepare=copied(*changes))


CASES = (
    Case("a model that is not there", PLAN, ()),
    Case("a model's folder that is not there", (*PLAN, "tokens.model.name_or_path=./modl", "train.model.name_or_path=./modl"), ()),
    Case("a model that is a file", (*PLAN, "train.model.name_or_path=rows.jsonl", "tokens.model.name_or_path=rows.jsonl"), ()),
    Case("no model", (*PLAN, "train.model.name_or_path=null", "tokens.model.name_or_path=''"), ()),
    Case("a model of the hub while offline", (*PLAN, "train.model.name_or_path=owner/name", "tokens.model.name_or_path=owner/name"), ()),
    Case("a model with a name that is none", (*PLAN, "train.model.name_or_path=日本語/モデル", "tokens.model.name_or_path=日本語/モデル"), ()),
    Case("a revision while offline", (*PLAN, "train.model.name_or_path=owner/name", "train.model.revision=v9", "until=train"), ()),
    model("a revision of a folder", words=(*PLAN, "train.model.revision=main")),
    model("a model without its configuration", without(CONFIG)),
    model("a configuration that is no JSON", holding(CONFIG, "{")),
    model("a configuration in broken UTF-8", holding(CONFIG, b"\xff")),
    model("a configuration that is a list", holding(CONFIG, "[]")),
    model("a configuration that is empty", holding(CONFIG, "")),
    model("an architecture that there is none of", saying(CONFIG, model_type="konomi9")),
    model("a configuration without its type", saying(CONFIG, model_type=None, architectures=None)),
    model("a model that is not causal", saying(CONFIG, **SLOW), words=RUN, code=1),
    model("an adapter in place of a model", without(CONFIG, WEIGHTS), holding("adapter_config.json", "{}")),
    model("weights that are not there", without(WEIGHTS)),
    model("weights in a pickle only", without(WEIGHTS), holding("pytorch_model.bin", b"x")),
    model("weights that are cut", cut(WEIGHTS, 2000)),
    model("weights of no bytes", holding(WEIGHTS, b"")),
    model("weights of eight bytes", holding(WEIGHTS, b"\xff" * 8)),
    model("weights with a header that is no JSON", holding(WEIGHTS, b"\x04" + b"\0" * 7 + b"{{{{")),
    model("weights with a header that is a list", holding(WEIGHTS, b"\x02" + b"\0" * 7 + b"[]")),
    model("weights that are a pointer of Git LFS", holding(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
    model("weights of another shape", saying(CONFIG, hidden_size=32), words=RUN, code=1),
    model("weights of fewer blocks", saying(CONFIG, num_hidden_layers=2), words=RUN, code=1),
    model("no tokenizer", without(TOKENIZER, TOKENIZER_CONFIG)),
    model("a tokenizer that is no JSON", holding(TOKENIZER, "{"), words=TOKENIZE, code=1),
    model("a tokenizer that is empty", holding(TOKENIZER, ""), words=TOKENIZE, code=1),
    model("a tokenizer that is other JSON", holding(TOKENIZER, "{}"), words=TOKENIZE, code=1),
    model("a tokenizer's configuration that is no JSON", holding(TOKENIZER_CONFIG, "{"), words=TOKENIZE, code=1),
    model("a tokenizer of a class that there is none of", saying(TOKENIZER_CONFIG, tokenizer_class="KonomiTokenizer"), words=TOKENIZE, code=0),
    model("a tokenizer with Python code only", saying(TOKENIZER_CONFIG, auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own"), without(TOKENIZER), holding("own.py", "1 / 0"), words=TOKENIZE, code=1),
    model("a tokenizer of SentencePiece that is none", without(TOKENIZER), holding("tokenizer.model", b"none"), words=TOKENIZE, code=1),
    model("a tokenizer without a padding token", saying(TOKENIZER_CONFIG, pad_token=None), words=TOKENIZE, code=0),
    model("a tokenizer without an end token", saying(TOKENIZER_CONFIG, eos_token=None), words=TOKENIZE, code=1),
    model("a tokenizer larger than the model", saying(CONFIG, vocab_size=100), words=RUN, code=1),
    model("rows longer than the model can read", words=(*RUN, "tokens.max_length=128"), code=1),
    model("code of the model's own", saying(CONFIG, auto_map={"AutoModelForCausalLM": "own.Own"}, model_type="own"), holding("own.py", "1 / 0")),
    model("a chat template that is not there", words=(*PLAN, "tokens.chat_template=chat.jinja")),
    Case("conversations without a chat template", ("run", "train", "until=tokens", "source.path=c.jsonl"), (), 1, {"c.jsonl": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 4}, copied()),
    Case("a chat template that is no Jinja", ("run", "train", "until=tokens", "source.path=c.jsonl", "tokens.chat_template=t.jinja"), (), 1, {"t.jinja": "{% for", "c.jsonl": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 4}, copied()),
    model("a model as a stage that makes none", words=(*PLAN, "train.model.name_or_path=${artifact:curate}")),
    model("a dtype that there is none of", words=(*PLAN, "train.model.dtype=float8")),
    model("an attention that there is none of", words=(*RUN, "train.model.attn_implementation=flashy"), code=1),
    model("flash attention that is not installed", words=(*RUN, "train.model.attn_implementation=flash_attention_2"), code=1),
)


@pytest.fixture(autouse=True, scope="module")
def _torch() -> None:
    """Import it once, before a test is timed."""
    import torch  # noqa: F401


@table(*CASES)
def test_a_model_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)
