import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from konomi.faults import KonomiError
from konomi.logps import token_logps, windows
from konomi.report import Bars, Note, Table
from konomi.task import Result, Subject
from konomi.task._ngram import SCALAR_VALUES, learn, learn_from
from konomi.task.perplexity import Perplexity
from konomi.testing.task import TEXTS, TaskSuite, text_artifact, tiny_model, tiny_tokenizer

LONG = " ".join(TEXTS * 6)


class TestPerplexity(TaskSuite):
    plugin = Perplexity

    def make(self, folder: Path) -> Perplexity:
        english = text_artifact(folder / "english", ["A cat.", LONG, "The dog ran to the cat."], TEXTS)
        return Perplexity(
            data={"english": english, "japanese": text_artifact(folder / "ja", ["猫が。", "座る猫"], TEXTS)}
        )


def _uniform_model():
    """Return a model whose every token costs log V: an output matrix of zeros."""
    model = type(tiny_model())(tiny_model().config).eval()
    torch.nn.init.zeros_(model.lm_head.weight)
    return model


def _evaluate(folder, texts, model=None, **options):
    task = Perplexity(data={"en": text_artifact(folder, texts)}, **options)
    return task.evaluate(Subject("m", model or tiny_model(), tiny_tokenizer()))


def test_a_uniform_model_costs_log_v_for_each_token_the_first_included(tmp_path):
    result = _evaluate(tmp_path, TEXTS, _uniform_model())
    tokens = [len(tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    vocabulary = len(tiny_tokenizer())
    assert [row["score"] for row in result.rows] == pytest.approx([n * math.log(vocabulary) for n in tokens])
    assert result.metrics["en/perplexity"].value == pytest.approx(vocabulary)
    bits = sum(tokens) * math.log2(vocabulary)
    assert result.metrics["en/bits_per_character"].value == pytest.approx(bits / sum(map(len, TEXTS)))
    assert result.metrics["en/bits_per_byte"].value == pytest.approx(bits / sum(len(t.encode()) for t in TEXTS))


def test_the_cost_of_a_document_is_that_of_a_plain_forward_pass_after_the_first_token_of_the_tokenizer(tmp_path):
    result = _evaluate(tmp_path, TEXTS)
    for text, row in zip(TEXTS, result.rows, strict=True):
        ids = torch.tensor([[tiny_tokenizer().bos_token_id, *tiny_tokenizer()(text)["input_ids"]]])
        with torch.no_grad():
            logits = tiny_model()(ids, use_cache=False).logits
        plain = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum")
        assert row["score"] == pytest.approx(plain.item(), rel=1e-5)


def test_without_a_token_to_begin_with_the_first_token_is_charged_the_whole_vocabulary(tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer().backend_tokenizer)
    task = Perplexity(data={"en": text_artifact(tmp_path, TEXTS)})
    rows = task.evaluate(Subject("m", _uniform_model(), tokenizer)).rows
    expected = [row["tokens"] * math.log(len(tiny_tokenizer())) for row in rows]
    assert [row["score"] for row in rows] == pytest.approx(expected)


def test_every_token_of_a_long_document_is_scored_once_with_at_least_half_a_window_of_context():
    for length in range(40):
        for window in range(2, 12):
            scored = []
            for start, first in windows(length, window):
                last = min(start + window, length)
                assert start == 0 or first - start >= window // 2
                scored += range(first, last)
            assert scored == list(range(1, length))


def test_a_sliding_window_pays_for_all_tokens_and_forgets_only_what_lies_far_back(tmp_path):
    whole = _evaluate(tmp_path / "a", [LONG], _uniform_model(), window=4096)
    slid = _evaluate(tmp_path / "b", [LONG], _uniform_model(), window=16)
    assert slid.rows[0]["score"] == pytest.approx(whole.rows[0]["score"])
    assert _evaluate(tmp_path / "c", [LONG], window=16).rows[0]["score"] != pytest.approx(
        _evaluate(tmp_path / "d", [LONG]).rows[0]["score"], rel=1e-6
    )


def test_the_window_never_exceeds_the_context_of_the_model(tmp_path):
    seen = []
    model = _uniform_model()
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True)
    assert len(tiny_tokenizer()(LONG * 3)["input_ids"]) > model.config.max_position_embeddings
    _evaluate(tmp_path, [LONG * 3], model)
    assert max(seen) == model.config.max_position_embeddings


def test_batches_change_nothing_but_rounding(tmp_path):
    alone = _evaluate(tmp_path / "a", [*TEXTS, LONG], batch_tokens=2)
    together = _evaluate(tmp_path / "b", [*TEXTS, LONG], batch_tokens=100_000)
    assert [r["score"] for r in alone.rows] == pytest.approx([r["score"] for r in together.rows], rel=1e-5)
    assert [r["item"] for r in alone.rows] == [r["item"] for r in together.rows]


def test_log_probabilities_come_back_in_the_order_of_the_sequences():
    sequences = [[5, 6], [5, 6, 7, 8, 9], [5], [9, 8, 7]]
    found = token_logps(tiny_model(), sequences, batch_tokens=6)
    assert [len(each) for each in found] == [1, 4, 0, 2]
    for sequence, own in zip(sequences, found, strict=True):
        assert np.allclose(own, token_logps(tiny_model(), [sequence], batch_tokens=6)[0], rtol=1e-5)


def test_a_text_that_spells_out_a_special_token_is_text(tmp_path):
    row = _evaluate(tmp_path, ["a</s>"], _uniform_model()).rows[0]
    assert row["tokens"] == 5
    assert row["score"] == pytest.approx(5 * math.log(len(tiny_tokenizer())))


def test_a_document_that_occurs_twice_is_two_items(tmp_path):
    rows = _evaluate(tmp_path, ["A cat.", "A cat."]).rows
    assert rows[1]["item"] == rows[0]["item"] + "#2"


def test_the_interval_is_wider_with_fewer_documents_and_missing_with_one(tmp_path):
    many = _evaluate(tmp_path / "a", [f"{text} {n}" for n in range(12) for text in TEXTS]).metrics
    few = _evaluate(tmp_path / "b", TEXTS).metrics
    one = _evaluate(tmp_path / "c", TEXTS[:1]).metrics["en/bits_per_character"]
    width = {
        name: m["en/bits_per_character"].high - m["en/bits_per_character"].low for name, m in (("m", many), ("f", few))
    }
    assert width["m"] < width["f"]
    assert one.low is None and one.high is None


def test_unknown_tokens_are_told(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "cat": 1, "</s>": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", eos_token="</s>")
    task = Perplexity(data={"en": text_artifact(tmp_path, ["cat dog", "cat"])})
    result = task.evaluate(Subject("m", tiny_model(), tokenizer))
    assert [row["unknown"] for row in result.rows] == [1, 0]
    assert "1 of 3 tokens" in result.shown[0].text


def test_blank_documents_are_passed_over(tmp_path):
    assert len(_evaluate(tmp_path / "a", ["", " \n", "A cat."]).rows) == 1
    with pytest.raises(KonomiError, match="no held-out rows"):
        _evaluate(tmp_path / "b", ["", " "])


def test_an_artifact_without_held_out_rows_is_an_error_that_names_it(tmp_path):
    artifact = text_artifact(tmp_path / "curate", ["x"])
    next((tmp_path / "curate" / "data").glob("test-*")).unlink()
    with pytest.raises(KonomiError, match=r"curate has no held-out rows.*test-\*\.parquet"):
        Perplexity(data={"en": artifact}).evaluate(Subject("m", tiny_model(), tiny_tokenizer()))


def test_says_at_plan_time_what_is_missing():
    faults = list(Perplexity(window=1, limit=0, ngram_characters=-1).check())
    assert [fault.where for fault in faults] == ["data", "window", "limit", "ngram_characters"]


def test_unigram_and_bigram_follow_witten_and_bell():
    model = learn([["aab", "b"]])
    unigram = {"a": (2 + 2 / SCALAR_VALUES) / 6, "z": (2 / SCALAR_VALUES) / 6}
    assert model.bits("a")[0] == pytest.approx(-math.log2(unigram["a"]))
    assert model.bits("z")[0] == pytest.approx(-math.log2(unigram["z"]))
    start = (1 + 2 * unigram["a"]) / 4  # two documents begin in two ways
    after_a = (1 + 2 * unigram["a"]) / 4  # a is followed twice, by a and by b
    assert model.bits("aa")[1] == pytest.approx(-math.log2(start) - math.log2(after_a))
    assert model.bits("za")[1] == pytest.approx(-math.log2(2 * unigram["z"] / 4) - math.log2(unigram["a"]))


def test_both_baselines_sum_to_one_over_everything_that_can_be_written():
    model = learn([["ねこ。", "cat"], [], ["ねずみ", ""]])
    codes = np.array([code for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    assert model.unigram(codes).sum() == pytest.approx(1)
    known = sorted(set("ねこ。catずみ"))
    start = sum(2 ** -model.bits(c)[1] for c in known)
    after = sum(2 ** (model.bits("ね")[1] - model.bits("ね" + c)[1]) for c in known)
    unseen = SCALAR_VALUES - len(known)
    start += unseen * 2 ** -model.bits("z")[1]
    after += unseen * 2 ** (model.bits("ね")[1] - model.bits("ねz")[1])
    assert (start, after) == pytest.approx((1, 1))


def test_batches_of_documents_are_counted_as_one():
    one, many = learn([["ab", "ba", "abc"]]), learn([["ab"], ["ba", "abc"]])
    assert one.bits("abcab") == many.bits("abcab")
    assert learn([]).bits("a") == pytest.approx((math.log2(SCALAR_VALUES),) * 2)


def test_the_baselines_learn_from_no_more_of_the_train_split_than_asked(tmp_path):
    artifact = text_artifact(tmp_path, ["x"], ["abc", "def", "ghi"])
    assert learn_from(artifact, 5).characters == 5
    assert learn_from(artifact, 100).characters == 9
    assert learn_from(artifact, 0) is None


def test_the_baselines_stand_beside_the_model_and_a_model_that_does_not_beat_them_is_told(tmp_path):
    texts = [f"{text[::-1]} {n}" for n in range(3) for text in TEXTS]
    task = Perplexity(data={"english": text_artifact(tmp_path, texts, texts)})
    uniform = task.evaluate(Subject("m", _uniform_model(), tiny_tokenizer()))
    blocks = list(task.side_by_side({"first": uniform, "second": uniform}, {"second": "first"}))
    bars = next(block for block in blocks if isinstance(block, Bars))
    assert bars.labels == ["first", "second", "character unigram", "character bigram"]
    assert bars.values[3] < bars.values[2] < bars.values[0]
    notes = " ".join(block.text for block in blocks if isinstance(block, Note))
    assert re.search(r"first does not beat a character unigram \(.*\) or a character bigram \(.*\) on english", notes)
    assert "second does not beat first on english" in notes
    assert "the same" in next(block for block in blocks if isinstance(block, Table)).rows[0][1]


def test_a_variant_is_compared_with_its_sibling_and_said_not_to_beat_it(tmp_path):
    task = Perplexity(data={"english": text_artifact(tmp_path, TEXTS)})

    def shifted(bits: float) -> Result:
        result = task.evaluate(Subject("m", tiny_model(), tiny_tokenizer()))
        rows = [{**row, "bits": row["bits"] + bits * row["characters"]} for row in result.rows]
        return Result(rows, result.metrics)

    results = {"base": shifted(1.0), "uniform": shifted(0.0), "rho1": shifted(0.1)}
    blocks = list(task.side_by_side(results, {"uniform": "base", "rho1": "base"}))
    rows = next(block for block in blocks if isinstance(block, Table)).rows
    assert [row[0] for row in rows] == ["uniform − base", "rho1 − base", "rho1 − uniform"]
    assert [row[1].partition(": ")[2] for row in rows] == ["better", "better", "worse"]
    notes = [block.text for block in blocks if isinstance(block, Note)]
    assert notes == ["rho1 does not beat uniform on english: 0.100 [0.100, 0.100]: worse."]
