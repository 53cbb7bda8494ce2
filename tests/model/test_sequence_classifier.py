"""Classifiers of folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from konomi.model.hub import Hub
from konomi.model.sequence_classifier import SequenceClassifier
from konomi.model.tiny import Tiny
from konomi.store import Artifact
from konomi.testing.model import VOCABULARY, ModelSuite
from konomi.testing.vocab import byte_fallback_base


def save(folder: Path, **options) -> Path:
    """Write a small Llama that classifies: a decoder, which must know what pads."""
    from transformers import LlamaForSequenceClassification

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Tiny().load(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=3).config
    config.update({**shape, "num_key_value_heads": 2, "head_dim": 16, "num_labels": 2, **options})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForSequenceClassification(config).save_pretrained(folder)
    byte_fallback_base().save_pretrained(folder)
    return folder


class TestSequenceClassifier(ModelSuite):
    plugin = SequenceClassifier

    def make(self, folder: Path) -> SequenceClassifier:
        return SequenceClassifier(name_or_path=str(save(folder)))

    def test_loads_a_causal_language_model_on_the_cpu(self, model) -> None:
        """It loads a classifier instead."""
        loaded = model.load()
        assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
        assert loaded(input_ids=torch.tensor([[1, 5, 9, 2]])).logits.shape == (1, 2)


def test_names_its_labels_before_it_is_loaded(tmp_path):
    save(tmp_path / "named", id2label={0: "clean", 1: "toxic"}, label2id={"clean": 0, "toxic": 1})
    save(tmp_path / "plain")
    named, plain = (SequenceClassifier(name_or_path=str(tmp_path / name)) for name in ("named", "plain"))
    assert named.labels() == ["clean", "toxic"]
    assert plain.labels() == ["LABEL_0", "LABEL_1"]
    assert SequenceClassifier(name_or_path=Artifact("later", "model", "key", tmp_path / "later")).labels() is None


def test_a_decoder_without_a_padding_token_gets_the_tokenizers(tmp_path):
    save(tmp_path / "model", pad_token_id=None)
    model = SequenceClassifier(name_or_path=str(tmp_path / "model"))
    assert model.load().config.pad_token_id == model.tokenizer().pad_token_id


def test_what_has_no_such_head_is_a_fault_on_either_side(tmp_path):
    save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    said = json.loads(file.read_text())
    for model_type, plugin, what in (
        ("vit", SequenceClassifier, "which is no sequence classifier"),
        ("vit", Hub, "which is no causal language model"),
    ):
        file.write_text(json.dumps({**said, "model_type": model_type}))
        faults = [fault.what for fault in plugin(name_or_path=str(tmp_path / "model")).check()]
        assert len(faults) == 1 and what in faults[0]


def test_weights_of_a_model_without_the_head_are_not_drawn_at_random(tmp_path):
    from konomi.faults import KonomiError

    Tiny(hidden_size=32, intermediate_size=48, num_hidden_layers=1).load(
        vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=3
    ).save_pretrained(tmp_path)
    byte_fallback_base().save_pretrained(tmp_path)
    with pytest.raises(KonomiError, match="it is no whole sequence classifier"):
        SequenceClassifier(name_or_path=str(tmp_path)).load()
