import importlib.util

import numpy as np
import pytest

from konomi.dedup._options import Keep
from konomi.dedup.semdedup import Prefer, SemDedup
from konomi.testing.dedup import DedupSuite, write_corpus

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """Return the folder of a small encoder with random weights, which reads characters."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    codes = [*range(33, 127), *range(0x3041, 0x3097), 0x3002, 0x1F44D, 0x1F44E, 0x20BB7]
    characters = ["[PAD]", "[UNK]", *map(chr, codes)]
    tokenizer = Tokenizer(models.WordLevel({character: at for at, character in enumerate(characters)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(vocab_size=len(characters), max_position_embeddings=128, initializer_range=0.5, **shape)
        BertModel(config).save_pretrained(folder)
    return str(folder)


class TestSemDedup(DedupSuite):
    plugin = SemDedup

    @pytest.fixture(autouse=True)
    def _encoder(self, encoder):
        self.encoder = encoder

    def make(self, **options):
        return SemDedup(**{"encoder": self.encoder, "epsilon": 2e-3, "iterations": 5, **options})


def vectors_of(monkeypatch, vectors):
    """Let the documents have these vectors."""
    unit = np.array(vectors, np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
    monkeypatch.setattr(SemDedup, "_vectors", lambda *told: unit)
    return unit


def corpus_of(folder, count, **columns):
    return write_corpus(folder, [str(row) for row in range(count)], columns=columns)


def around(angles):
    return [[np.cos(angle), np.sin(angle)] for angle in angles]


@pytest.mark.parametrize(("prefer", "kept"), [(Prefer.farthest, 3), (Prefer.nearest, 2)])
def test_keeps_what_is_farthest_from_the_centroid_or_nearest(tmp_path, monkeypatch, prefer, kept):
    vectors_of(monkeypatch, around([0.0, 0.1, 0.15, 0.3]))
    found = SemDedup(epsilon=0.06, prefer=prefer).find(corpus_of(tmp_path, 4))
    assert found.cluster.tolist() == [kept] * 4


def test_a_column_decides_before_the_centroid(tmp_path, monkeypatch):
    vectors_of(monkeypatch, around([0.0, 0.1, 0.2]))
    corpus = corpus_of(tmp_path, 3, score=[1, 3, 2])
    assert SemDedup(keep_by="score").find(corpus).cluster.tolist() == [1] * 3
    assert SemDedup(keep_by="score", keep=Keep.smallest).find(corpus).cluster.tolist() == [0] * 3


def test_drops_only_what_is_near_to_a_kept_document(tmp_path, monkeypatch):
    unit = vectors_of(monkeypatch, around(np.linspace(0, 1.5, 12)))
    found = SemDedup(epsilon=0.02).find(corpus_of(tmp_path, 12))
    kept = np.flatnonzero(found.keep)
    assert 1 < len(kept) < 12
    cosine = unit @ unit.T
    assert (cosine[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)] <= 0.98).all()
    dropped = np.flatnonzero(~found.keep)
    assert (found.similarity[dropped] > 0.98).all()
    np.testing.assert_allclose(found.similarity[dropped], cosine[dropped, found.cluster[dropped]], atol=1e-4)
    assert found.keep[found.cluster].all()


def test_clusters_are_fitted_on_a_sample_and_blocks_do_not_matter(tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(6, 16)) * 5
    rows = np.repeat(centres, 100, axis=0) + draw.normal(size=(600, 16)) * 0.2
    unit = vectors_of(monkeypatch, rows)
    corpus = corpus_of(tmp_path, 600)
    plugin = SemDedup(epsilon=0.01, num_clusters=6, sample=300, iterations=20)
    whole = plugin.find(corpus)
    monkeypatch.setattr("konomi.dedup.semdedup.BLOCK", 7)
    monkeypatch.setattr("konomi.dedup.semdedup.ROWS", 11)
    assert plugin.find(corpus).cluster.tolist() == whole.cluster.tolist()
    assert 0 < whole.keep.sum() < 600
    dropped = np.flatnonzero(~whole.keep)
    assert ((unit[dropped] * unit[whole.cluster[dropped]]).sum(axis=1) > 0.989).all()


def test_what_has_no_token_is_compared_with_nothing(tmp_path, encoder):
    found = SemDedup(encoder=encoder, iterations=2).find(write_corpus(tmp_path, ["", " ", None, "あ", "あ"]))
    assert found.cluster.tolist() == [0, 1, 2, 3, 3]


def test_padding_and_batches_do_not_change_a_vector(encoder):
    from konomi.dedup._encoder import Encoder

    texts = ["あいう", "a" * 300, "abc def", "", "いろは" * 20]
    together = Encoder(encoder, None, 512, 4096).encode(texts)
    alone = np.concatenate([Encoder(encoder, None, 512, 1).encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), [1, 1, 1, 0, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"epsilon": 1.0}, "epsilon"),
        ({"num_clusters": 0}, "num_clusters"),
        ({"iterations": 0}, "iterations"),
        ({"sample": -1}, "sample"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"encoder": "./nowhere"}, "encoder"),
    ],
)
def test_options_that_cannot_work_are_faults(encoder, options, where):
    assert [fault.where for fault in SemDedup(**{"encoder": encoder, **options}).check()] == [where]


def test_a_missing_library_is_named_with_the_command(encoder, monkeypatch):
    assert list(SemDedup(encoder=encoder).check()) == []
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "faiss" else found(name, *rest)
    )
    (fault,) = SemDedup(encoder=encoder).check()
    assert fault.hint == "pip install 'konomi[semdedup]'"


def test_the_key_follows_what_the_encoder_holds(encoder):
    assert set(SemDedup(encoder=encoder).depends()) == {"content"}
