import json
from pathlib import Path

import numpy as np
import pytest
import torch

from konomi.faults import KonomiError
from konomi.filter.classifier import Classifier
from konomi.model.hub import Hub
from konomi.model.sequence_classifier import SequenceClassifier
from konomi.testing.filter import FilterSuite
from konomi.testing.task import TEXTS, tiny_tokenizer
from konomi.units import arrow_texts


def save(folder, *labels, **options):
    """Write a small BERT with drawn weights that gives the labels, and its tokenizer."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = tiny_tokenizer()
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
    config = BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5, **shape, **named, **options,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    at = tmp_path_factory.mktemp("models")
    return {
        "grade": save(at / "grade", "LABEL_0"),
        "labels": save(at / "labels", "Clean", "toxic", "spam"),
        "many": save(at / "many", "a", "b", problem_type="multi_label_classification"),
    }


def judge(folder, **options):
    return Classifier(model=SequenceClassifier(name_or_path=folder), **options)


class TestClassifier(FilterSuite):
    plugin = Classifier
    tolerance = 1e-4

    @pytest.fixture(autouse=True)
    def _model(self, folders):
        self.folders = folders

    def make(self):
        return judge(self.folders["labels"], batch_tokens=512, most={"toxic": 0.4})


class TestGrades(TestClassifier):
    def make(self):
        return judge(self.folders["grade"], max_length=16, least={"score": 0.0})


def plain_logits(folder, text, length):
    from transformers import BertForSequenceClassification

    ids = tiny_tokenizer()(text, truncation=True, max_length=length)["input_ids"]
    with torch.no_grad():
        return BertForSequenceClassification.from_pretrained(folder).eval()(torch.tensor([ids])).logits[0].double()


def test_a_model_with_one_output_grades(folders):
    scores = judge(folders["grade"])(TEXTS).scores
    assert list(scores) == ["score"]
    expected = [plain_logits(folders["grade"], text, 64).item() for text in TEXTS]
    assert scores["score"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert np.ptp(scores["score"]) > 0.01


@pytest.mark.parametrize(("name", "columns"), [("labels", ["clean", "toxic", "spam"]), ("many", ["a", "b"])])
def test_a_model_with_labels_gives_their_probabilities(folders, name, columns):
    scores = judge(folders[name])(TEXTS).scores
    assert list(scores) == columns
    logits = torch.stack([plain_logits(folders[name], text, 64) for text in TEXTS])
    expected = logits.softmax(1) if name == "labels" else logits.sigmoid()
    assert np.stack(list(scores.values()), 1) == pytest.approx(expected.numpy(), rel=1e-3)


def test_a_long_text_is_cut_where_the_model_or_the_option_says(folders):
    text = " ".join(TEXTS * 10)
    for option, length in ((20, 20), (512, 64)):
        found = judge(folders["grade"], max_length=option)([text]).scores["score"][0]
        assert found == pytest.approx(plain_logits(folders["grade"], text, length).item(), rel=1e-4)


def test_limits_decide_on_scores_that_are_there(folders):
    found = judge(folders["labels"]).annotate(arrow_texts(TEXTS)).scores
    middle = float(np.median(found["toxic"]))
    above = Classifier(most={"toxic": middle}).decide(found)
    below = Classifier(least={"toxic": middle}).decide(found)
    assert [reason is not None for reason in above] == (found["toxic"] > middle).tolist()
    assert [reason is not None for reason in below] == (found["toxic"] < middle).tolist()
    assert next(filter(None, above)).startswith("toxic 0.")
    with pytest.raises(KonomiError, match="the model has no score toxi; did you mean toxic"):
        Classifier(most={"toxi": 0.1}).decide(found)


def test_a_wrong_label_or_model_is_a_fault_of_the_plan(folders):
    faults = list(judge(folders["labels"], most={"toxi": 0.5}, least={"clean": 0.1}).check())
    assert [(fault.where, fault.hint) for fault in faults] == [
        ("most.toxi", "did you mean toxic? (known: clean, spam, toxic)")
    ]
    wrong = Classifier(model=Hub(name_or_path=folders["grade"]), max_length=0, batch_tokens=0)
    assert [fault.where for fault in wrong.check()] == ["max_length", "batch_tokens", "model"]


def test_a_recipe_judges_by_it(folders, tmp_path, monkeypatch):
    import konomi

    monkeypatch.chdir(tmp_path)
    Path("texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    middle = float(np.median(judge(folders["grade"])(TEXTS).scores["score"]))
    given = [
        "filter=[classifier]", f"filter.classifier.least={{score: {middle - 1e-6}}}", "dedup=none",
        f"curate.filter.classifier.model.name_or_path={folders['grade']}", "source=files", "source.path=texts.jsonl",
    ]  # fmt: skip
    done = konomi.run("curate", given)
    results = json.loads((done.artifacts["curate"] / "manifest.json").read_text())["results"]
    assert results["kept"] == len(TEXTS) - len(TEXTS) // 2 and results["reasons"] == {
        "classifier: score": len(TEXTS) // 2
    }
