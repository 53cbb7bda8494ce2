import numpy as np
import pytest
import torch

from konomi.filter.perplexity import Perplexity
from konomi.model.hub import Hub
from konomi.testing.filter import FilterSuite
from konomi.testing.task import TEXTS, tiny_model, tiny_tokenizer
from konomi.units import arrow_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def judge(folder, **options):
    return Perplexity(model=Hub(name_or_path=folder), **options)


class TestPerplexity(FilterSuite):
    plugin = Perplexity
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _model(self, folder):
        self.folder = folder

    def make(self):
        return judge(self.folder, most_tokens=40, window=16, batch_tokens=256)


def plain_nats(text, length=None):
    """The cost of a text's tokens by one plain pass, for a text that fits the context."""
    tokenizer, model = tiny_tokenizer(), tiny_model()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:length]
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    with torch.no_grad():
        logps = model(torch.tensor([[first, *ids]])).logits[0].double().log_softmax(1)
    return -sum(float(logps[place, id_]) for place, id_ in enumerate(ids)), len(ids)


def test_perplexity_is_what_a_plain_pass_gives(folder):
    scores = judge(folder)(TEXTS).scores
    costs = [plain_nats(text) for text in TEXTS]
    assert scores["perplexity"] == pytest.approx([np.exp(nats / count) for nats, count in costs], rel=1e-4)
    bits = [nats / np.log(2) / len(text) for (nats, _), text in zip(costs, TEXTS, strict=True)]
    assert scores["bits_per_character"] == pytest.approx(bits, rel=1e-4)
    assert scores["tokens"].tolist() == [count for _, count in costs]


def test_a_text_is_read_up_to_its_limit(folder):
    text = " ".join(TEXTS)
    nats, count = plain_nats(text, 10)
    scores = judge(folder, most_tokens=10)([text]).scores
    assert count == 10 and scores["perplexity"][0] == pytest.approx(np.exp(nats / 10), rel=1e-4)
    assert scores["tokens"][0] == 10
    assert scores["bits_per_character"][0] == pytest.approx(nats / np.log(2) * plain_nats(text)[1] / 10 / len(text))


def test_every_token_of_a_long_text_is_paid_for_once(folder):
    """With a model that finds every token equally likely, windows change nothing."""
    flat = tiny_model()
    flat = type(flat)(flat.config).eval()
    torch.nn.init.zeros_(flat.lm_head.weight)
    flat.save_pretrained(folder + "-flat")
    tiny_tokenizer().save_pretrained(folder + "-flat")
    scores = judge(folder + "-flat", window=8, most_tokens=0)([" ".join(TEXTS * 8), "a", ""]).scores
    assert scores["perplexity"] == pytest.approx([flat.config.vocab_size, flat.config.vocab_size, 1.0], rel=1e-5)


def test_limits_decide_on_scores_that_are_there(folder):
    found = judge(folder).annotate(arrow_texts(TEXTS)).scores
    middle = float(np.median(found["perplexity"]))
    strange, easy = Perplexity(most=middle).decide(found), Perplexity(least=middle).decide(found)
    assert sum(reason is not None for reason in strange) == int((found["perplexity"] > middle).sum()) > 0
    assert all(reason is None or reason.startswith("perplexity ") for reason in strange + easy)
    assert not any(one and other for one, other in zip(strange, easy, strict=True))
    assert Perplexity().decide(found) == [None] * len(TEXTS)


def test_the_model_is_loaded_once(folder, monkeypatch):
    from konomi.filter import _models

    monkeypatch.setattr(_models, "_held", {})
    loads = []
    load = Hub.load
    monkeypatch.setattr(Hub, "load", lambda self, **options: (loads.append(1), load(self, **options))[1])
    for most in (None, 10.0, 20.0):
        judge(folder, most=most)(TEXTS)
    assert loads == [1]


def test_half_a_character_does_no_harm(folder):
    assert np.isfinite(judge(folder)(["a\ud83d b"]).scores["perplexity"]).all()


def test_wrong_options_are_faults():
    wrong = Perplexity(window=1, batch_tokens=0, most_tokens=-1, most=1.0, least=2.0)
    assert [fault.where for fault in wrong.check()] == ["window", "batch_tokens", "most_tokens", "most"]
