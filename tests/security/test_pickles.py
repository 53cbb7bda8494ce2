"""Weights, checkpoints, tokenizers and data are untrusted: none of their code runs, and no pickle is opened."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from konomi.faults import Faults, KonomiError
from konomi.model.hub import Hub
from konomi.model.tiny import Tiny
from konomi.source.files import Files
from konomi.source.hub import Hub as HubSource
from konomi.store import Store
from konomi.store.seal import seal
from konomi.testing.vocab import byte_level_base


class Poison:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    Tiny(hidden_size=16, intermediate_size=16, num_hidden_layers=1).load(
        vocab_size=300, bos_token_id=1, eos_token_id=2, pad_token_id=3
    ).save_pretrained(folder)
    byte_level_base().save_pretrained(folder)
    return folder


def poisoned(canary: Path) -> bytes:
    """Return what `torch.save` writes, but with a pickle that makes the canary."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Poison(canary), protocol=2))
        archive.writestr("archive/version", "3")
    return stream.getvalue()


def edited(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


def only_pickled(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(poisoned(canary))


def only_sharded_pickles(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(poisoned(canary))
    (folder / "pytorch_model.bin.index.json").write_text('{"weight_map": {"x": "pytorch_model-00001-of-00001.bin"}}')


def named_weights(folder: Path, canary: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(poisoned(canary))
    edited(folder / "config.json", transformers_weights="adapter_model.bin")


def index_out_of_the_folder(folder: Path, canary: Path) -> None:
    edited(folder / "config.json", transformers_weights="../../evil.safetensors")


def adapter_beside(folder: Path, canary: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "stranger/model"}')
    (folder / "adapter_model.bin").write_bytes(poisoned(canary))


def code(folder: Path, canary: Path) -> None:
    (folder / "modeling_evil.py").write_text(f"import os\nos.mkdir({str(canary)!r})\nclass Evil: pass\n")
    mapped = {"AutoConfig": "modeling_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    edited(folder / "config.json", model_type="evil", auto_map=mapped)


def code_for_a_folder_of_transformers(folder: Path, canary: Path) -> None:
    code(folder, canary)
    edited(folder / "config.json", model_type="../auto")


def kernel(folder: Path, canary: Path) -> None:
    edited(folder / "config.json", attn_implementation="stranger/kernel")


def experts_kernel(folder: Path, canary: Path) -> None:
    edited(folder / "config.json", experts_implementation="stranger/kernel")


def tokenizer_code(folder: Path, canary: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(canary)!r})\nclass Evil: pass\n")
    edited(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]})


MODELS = (
    only_pickled, only_sharded_pickles, named_weights, index_out_of_the_folder, adapter_beside, code,
    code_for_a_folder_of_transformers, kernel, experts_kernel, tokenizer_code,
)  # fmt: skip


@pytest.mark.parametrize("attack", MODELS, ids=lambda attack: attack.__name__)
def test_a_poisoned_model_is_refused_at_the_plan_and_when_it_is_loaded(
    attack: Callable[[Path, Path], None], saved: Path, tmp_path: Path, canary: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    attack(folder, canary)
    model = Hub(name_or_path=str(folder))
    assert [fault for fault in model.check() if fault.where == "name_or_path"]
    for use in (model.load, model.tokenizer):
        try:
            use()
        except KonomiError:
            pass
        else:  # what is poisoned is the other half
            assert attack in (only_pickled, only_sharded_pickles, adapter_beside)
    assert not canary.exists()


def test_code_that_is_not_needed_does_not_run(saved: Path, tmp_path: Path, canary: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    code(folder, canary)
    edited(folder / "config.json", model_type="llama")
    (folder / "pytorch_model.bin").write_bytes(poisoned(canary))
    model = Hub(name_or_path=str(folder))
    assert list(model.check()) == []
    assert model.load().num_parameters() > 0
    model.tokenizer()
    assert not canary.exists()


def test_the_poison_works(canary: Path, tmp_path: Path) -> None:
    """The other tests look for silence."""
    import torch

    file = tmp_path / "x.bin"
    file.write_bytes(poisoned(canary))
    torch.load(file, weights_only=False)
    assert canary.exists()


def test_a_kernel_of_the_hub_is_a_program(saved: Path) -> None:
    faults = list(Hub(name_or_path=str(saved), attn_implementation="stranger/kernel").check())
    assert [fault.where for fault in faults] == ["attn_implementation"]


CHECKPOINT = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "model.safetensors")


@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_checkpoint_is_resumed_only_under_our_seal(name: str, tmp_path: Path, canary: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    checkpoint = store.work("base-0") / "attempt" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    (checkpoint / name).write_bytes(poisoned(canary))
    assert store.resume("base-0") is None
    (checkpoint / name).write_bytes(b"whole")
    seal(checkpoint)
    assert store.resume("base-0") == checkpoint
    (checkpoint / name).write_bytes(poisoned(canary))
    assert store.resume("base-0") is None
    (checkpoint / name).write_bytes(b"whole")
    (checkpoint / "scaler.pt").write_bytes(poisoned(canary))
    assert store.resume("base-0") is None
    assert not canary.exists()


DATA = ("rows.pkl", "rows.pt", "rows.npy", "rows.joblib", "rows.parquet", "rows.jsonl", "rows.csv", "rows.txt.gz")


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("source", [Files, HubSource], ids=["files", "hub"])
def test_a_pickle_is_no_data(name: str, source: type[Any], tmp_path: Path, canary: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(poisoned(canary))
    (folder / "data.py").write_text(f"import os\nos.mkdir({str(canary)!r})\n")
    for path in (folder, folder / name) if source is Files else (folder,):
        with pytest.raises((Faults, KonomiError)):
            list(source(path=str(path)).load())
    assert not canary.exists()


def test_how_many_there_are(said: Callable[[str], None]) -> None:
    said(f"poisoned: {len(MODELS) + 2} models, {len(CHECKPOINT)} checkpoints, {2 * len(DATA)} sources; code run 0")
