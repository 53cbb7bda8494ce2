from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from konomi import registry, search_path
from konomi.project import PROJECT_PACKAGE
from konomi.recipe import nodes
from konomi.store import Store

from .desk import PAIR_ROWS, PROJECT, RECIPES, ROWS, Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_model: Callable[[], Path], _forgetful: None) -> Desk:
    """Return a project folder with recipes of a few stages, and their data."""
    folder = tmp_path / "desk"
    (folder / "conf").mkdir(parents=True)
    monkeypatch.chdir(folder)
    store = Store(tmp_path / "store")
    monkeypatch.setenv("KONOMI_STORE", str(store.root))
    monkeypatch.setenv("KONOMI_CACHE", str(tmp_path / "cache"))
    found = Desk(folder, store, monkeypatch, whole_model)
    found.write("pyproject.toml", PROJECT)
    found.write("rows.jsonl", ROWS)
    found.write("pairs.jsonl", PAIR_ROWS)
    for name, text in RECIPES.items():
        found.write(f"recipes/{name}.yaml", text)
    return found


@pytest.fixture
def _forgetful(_everything_loaded: None) -> Iterator[None]:
    """Forget the presets, plugins and folders that a test brought; a process sees one project otherwise."""
    entries, loaded = dict(registry._entries), list(registry._loaded)
    presets, folders = dict(nodes._stored), list(search_path._config_dirs)
    groups = {
        name: dict(held) if isinstance(held, dict) else held for name, held in ConfigStore.instance().repo.items()
    }
    argv = list(sys.argv)
    yield
    sys.argv[:] = argv
    registry._entries.clear()
    registry._entries.update(entries)
    registry._loaded[:] = loaded
    nodes._stored.clear()
    nodes._stored.update(presets)
    ConfigStore.instance().repo.clear()
    ConfigStore.instance().repo.update(groups)
    search_path._config_dirs[:] = folders
    for name in [name for name in sys.modules if name.partition(".")[0] == PROJECT_PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="session", autouse=True)
def _everything_loaded() -> None:
    """Load the built-in plugins and presets once, before `_forgetful` remembers what there is."""
    from konomi.recipe.by_hydra import composing

    with composing():
        pass


@pytest.fixture(scope="session")
def whole_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a function that gives the folder of a tiny Llama with a tokenizer of bytes, made when first asked for."""
    made: list[Path] = []

    def make() -> Path:
        if not made:
            made.append(_write_model(tmp_path_factory.mktemp("model")))
        return made[0]

    return make


def _write_model(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: at for at, token in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocab), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
