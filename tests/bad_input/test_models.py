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
    return lambda folder: (
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode()) and None
    )


def saying(name: str, **values: Any) -> Callable[[Path], None]:
    """Return what changes values of a JSON file; None takes one away."""

    def change(folder: Path) -> None:
        held = json.loads((folder / name).read_text()) | values
        kept = {key: value for key, value in held.items() if value is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
SLOW = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}


def model(
    name: str,
    *changes: Callable[[Path], None],
    words: tuple[str, ...] = PLAN,
    code: int = 2,
    says: tuple[str, ...] = (),
) -> Case:
    return Case(name, words, says, code, prepare=copied(*changes), slow=words[0] == "run")


# fmt: off
CASES = (
    Case("a model that is not there", PLAN, ("tokens.model.name_or_path: model is no folder and not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it",)),
    Case("a model's folder that is not there", (*PLAN, "tokens.model.name_or_path=./modl", "train.model.name_or_path=./modl"), ("tokens.model.name_or_path: there is no folder ./modl",)),
    Case("a model that is a file", (*PLAN, "train.model.name_or_path=rows.jsonl", "tokens.model.name_or_path=rows.jsonl"), ("tokens.model.name_or_path: rows.jsonl is a file; a model is a folder with config.json and *.safetensors",)),
    Case("no model", (*PLAN, "train.model.name_or_path=null", "tokens.model.name_or_path=''"), ("tokens.model.name_or_path: names no model", "type model.name_or_path=OWNER/NAME, or the path of a folder")),
    Case("a model of the hub while offline", (*PLAN, "train.model.name_or_path=owner/name", "tokens.model.name_or_path=owner/name"), ("tokens.model.name_or_path: owner/name is no folder and not in the hub's cache, and HF_HUB_OFFLINE is set;",)),
    Case("a model with a name that is none", (*PLAN, "train.model.name_or_path=日本語/モデル", "tokens.model.name_or_path=日本語/モデル"), ("tokens.model.name_or_path: 日本語/モデル is neither a folder nor the name of a repository: Repo id must use",)),
    Case("a revision while offline", (*PLAN, "train.model.name_or_path=owner/name", "train.model.revision=v9", "until=train"), ("tokens.model.name_or_path: model is no folder and not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it",)),
    model("a revision of a folder", words=(*PLAN, "train.model.revision=main"), says=("train.model.revision: main is given, and model is a folder, which has none",)),
    model("a model without its configuration", without(CONFIG), says=("tokens.model.name_or_path: model has no config.json",)),
    model("a configuration that is no JSON", holding(CONFIG, "{"), says=("tokens.model.name_or_path: model/config.json is no JSON object", "fetch the model anew")),
    model("a configuration in broken UTF-8", holding(CONFIG, b"\xff"), says=("tokens.model.name_or_path: model/config.json is no JSON object", "fetch the model anew")),
    model("a configuration that is a list", holding(CONFIG, "[]"), says=("tokens.model.name_or_path: model/config.json is no JSON object", "fetch the model anew")),
    model("a configuration that is empty", holding(CONFIG, ""), says=("tokens.model.name_or_path: model/config.json is no JSON object", "fetch the model anew")),
    model("an architecture that there is none of", saying(CONFIG, model_type="konomi9"), says=("tokens.model.name_or_path: model/config.json says model_type konomi9, which the installed transformers does", "a newer one may: pip install -U transformers")),
    model("a configuration without its type", saying(CONFIG, model_type=None, architectures=None), says=("tokens.model.name_or_path: model/config.json says no model_type", "a model of transformers says one, such as llama")),
    model("a model that is not causal", saying(CONFIG, **SLOW), says=("tokens.model.name_or_path: model/config.json says model_type t5, which is no causal language model", "choose one that generates text")),
    model("an adapter in place of a model", without(CONFIG, WEIGHTS), holding("adapter_config.json", "{}"), says=("tokens.model.name_or_path: model has an adapter (adapter_config.json)", "an adapter is not a model: merge it into its base first")),
    model("weights that are not there", without(WEIGHTS), says=("tokens.model.name_or_path: model has no *.safetensors, and other weight files can run code", "convert it: load it where you trust it, then save_pretrained(…)")),
    model("weights in a pickle only", without(WEIGHTS), holding("pytorch_model.bin", b"x"), says=("tokens.model.name_or_path: model has no *.safetensors, and other weight files can run code", "convert it: load it where you trust it, then save_pretrained(…)")),
    model("weights that are cut", cut(WEIGHTS, 2000), says=("tokens.model.name_or_path: model/model.safetensors is cut: it has 2000 bytes of 41576", "fetch the model anew")),
    model("weights of no bytes", holding(WEIGHTS, b""), says=("tokens.model.name_or_path: model/model.safetensors is no whole safetensors file: its header cannot be read", "fetch the model anew; from Git, type git lfs pull")),
    model("weights of eight bytes", holding(WEIGHTS, b"\xff" * 8), says=("tokens.model.name_or_path: model/model.safetensors is no safetensors file: its header would take", "fetch the model anew; from Git, type git lfs pull")),
    model("weights with a header that is no JSON", holding(WEIGHTS, b"\x04" + b"\0" * 7 + b"{{{{"), says=("tokens.model.name_or_path: model/model.safetensors is no whole safetensors file: its header cannot be read", "fetch the model anew; from Git, type git lfs pull")),
    model("weights with a header that is a list", holding(WEIGHTS, b"\x02" + b"\0" * 7 + b"[]"), says=("tokens.model.name_or_path: model/model.safetensors is no whole safetensors file: its header cannot be read", "fetch the model anew; from Git, type git lfs pull")),
    model("weights that are a pointer of Git LFS", holding(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), says=("tokens.model.name_or_path: model/model.safetensors is no safetensors file: its header would take", "fetch the model anew; from Git, type git lfs pull")),
    model("a shard that is not there", holding("model.safetensors.index.json", json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}})), says=("tokens.model.name_or_path: model/model-00002-of-00002.safetensors is not there, and", "fetch the model anew")),
    model("weights of another shape", saying(CONFIG, hidden_size=32), words=RUN, code=1, says=("model: the model cannot be loaded: the weights are of other shapes than its config.json and tokenizer say; run.log",)),
    model("weights of fewer blocks", saying(CONFIG, num_hidden_layers=2), words=RUN, code=1, says=("model: 9 weights are not in its files (model.layers.1.input_layernorm.weight, model.layers.1.mlp.down_proj.weight,",)),
    model("no tokenizer", without(TOKENIZER, TOKENIZER_CONFIG), says=("tokens.model.name_or_path: model has no tokenizer (tokenizer.json, tokenizer.model, tokenizer_config.json,",)),
    model("a tokenizer that is cut", cut(TOKENIZER, 1000), says=("tokens.model.name_or_path: model/tokenizer.json is no whole JSON object", "fetch the model anew; from Git, type git lfs pull")),
    model("a tokenizer that is empty", holding(TOKENIZER, ""), says=("tokens.model.name_or_path: model/tokenizer.json is no whole JSON object", "fetch the model anew; from Git, type git lfs pull")),
    model("a tokenizer that is other JSON", holding(TOKENIZER, "{}"), words=TOKENIZE, code=1, says=("model: the tokenizer cannot be loaded: KeyError: 'added_tokens'",)),
    model("a tokenizer's configuration that is no JSON", holding(TOKENIZER_CONFIG, "{"), words=TOKENIZE, says=("tokens.model.name_or_path: model/tokenizer_config.json cannot be read: JSONDecodeError: Expecting property name",)),
    model("a tokenizer of a class that there is none of", saying(TOKENIZER_CONFIG, tokenizer_class="KonomiTokenizer"), words=TOKENIZE, code=0),
    model(
        "a tokenizer with Python code only",
        saying(TOKENIZER_CONFIG, auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own"),
        without(TOKENIZER),
        holding("own.py", "1 / 0"),
        words=TOKENIZE,
        says=("tokens.model.name_or_path: model brings code of its own (tokenizer_config.json: auto_map)", "if you trust it as your own: tokens.model.trust_remote_code=true"),
    ),
    model("a tokenizer of SentencePiece that is none", without(TOKENIZER), holding("tokenizer.model", b"none"), words=TOKENIZE, code=1, says=("model: the tokenizer cannot be loaded: `tiktoken` is required to read a `tiktoken` file. Install it with `pip install",)),
    model("a tokenizer without a padding token", saying(TOKENIZER_CONFIG, pad_token=None), words=TOKENIZE, code=0),
    model("a tokenizer without an end token", saying(TOKENIZER_CONFIG, eos_token=None), words=TOKENIZE, code=1, says=("tokens: the tokenizer has no end token, so that no document could end; set eos_token in its tokenizer_config.json",)),
    model("a tokenizer larger than the model", saying(CONFIG, vocab_size=100), words=RUN, code=1, says=("model: the model cannot be loaded: the weights are of other shapes than its config.json and tokenizer say; run.log",)),
    model("rows longer than the model can read", words=(*PLAN, "tokens.max_length=128"), says=("tokens.max_length: 128 tokens are more than the 64 that the model can read", "max_length=64")),
    model("code of the model's own", saying(CONFIG, auto_map={"AutoModelForCausalLM": "own.Own"}, model_type="own"), holding("own.py", "1 / 0"), says=("tokens.model.name_or_path: model brings Python code of its own", "it is a program: say model.trust_remote_code=true on the command line")),
    model("a chat template that is not there", words=(*PLAN, "tokens.chat_template=chat.jinja"), says=("tokens.chat_template: there is no file chat.jinja", "chat_template=plain, or the path of a Jinja template")),
    Case(
        "conversations without a chat template",
        ("run", "train", "until=tokens", "source.path=c.jsonl"),
        ("the tokenizer has no chat template, and these rows are conversations; set chat_template=plain, or the path of a Jinja",),
        1,
        {"c.jsonl": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 4},
        copied(),
    ),
    Case(
        "a chat template that is no Jinja",
        ("run", "train", "until=tokens", "source.path=c.jsonl", "tokens.chat_template=t.jinja"),
        ("the chat template leaves the end token of an answer out of what is trained, so that the model would never stop; set",),
        1,
        {"t.jinja": "{% for %}{% generation %}{% endgeneration %}", "c.jsonl": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 4},
        copied(),
    ),
    model("a model as a stage that makes none", words=(*PLAN, "train.model.name_or_path=${artifact:curate}"), says=("train.model.name_or_path: takes model, and the stage curate leaves text",)),
    model("a dtype that there is none of", words=(*PLAN, "train.model.dtype=float8"), says=("train.model.dtype=float8: Invalid value 'float8', expected one of [auto, float32, bfloat16, float16]",)),
    model("an attention that there is none of", words=(*RUN, "train.model.attn_implementation=flashy"), code=1, says=('model: the model cannot be loaded: Specified `attn_implementation="flashy"` is not supported. The only possible',)),
    model("flash attention that is not installed", words=(*RUN, "train.model.attn_implementation=flash_attention_2"), code=1, says=("model: the model cannot be loaded: ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the",)),
)
# fmt: on


@pytest.fixture(autouse=True, scope="module")
def _torch() -> None:
    """Import it once, before a test is timed."""
    import torch  # noqa: F401


@table(*CASES)
def test_a_model_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)
