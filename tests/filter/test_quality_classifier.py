import json

import numpy as np
import pytest

from konomi.faults import KonomiError
from konomi.filter._quality_classifier import SETTINGS, WEIGHTS, Classifier, Settings
from konomi.filter._quality_training import area_under_curve
from konomi.filter.quality_classifier import QualityClassifier
from konomi.store import Artifact
from konomi.testing.filter import FilterSuite, texts
from konomi.units import Unit, arrow_texts


def save(folder, **options):
    """Write a model with drawn weights, as a training leaves it."""
    settings = Settings(**{"unit": "auto", "ngrams": 2, "bits": 12, **options})
    weights = np.random.default_rng(0).normal(0, 3, 1 << settings.bits).astype(np.float32)
    folder.mkdir(exist_ok=True)
    model = Classifier(settings, weights, 0.25)
    model.save(folder)
    return model


class TestQualityClassifier(FilterSuite):
    plugin = QualityClassifier

    @pytest.fixture(autouse=True)
    def _model(self, tmp_path):
        save(tmp_path / "model")
        self.folder = str(tmp_path / "model")

    def make(self):
        return QualityClassifier(model=self.folder)


@pytest.mark.parametrize("unit", list(Unit))
def test_the_logit_is_the_mean_weight_of_all_ngrams_and_the_bias(tmp_path, unit):
    model = save(tmp_path / "model", unit=unit.name, ngrams=3)
    for text in texts():
        units = model.settings.cut(arrow_texts([text]))
        hashes = np.concatenate([units.ngrams(size)[0] for size in (1, 2, 3)])
        mean = model.weights[hashes >> np.uint64(64 - 12)].astype(np.float64).mean() if len(hashes) else 0.0
        assert model.logits(arrow_texts([text]))[0] == pytest.approx(mean + 0.25, rel=1e-9)


def test_a_limit_decides_on_scores_that_are_there(tmp_path):
    save(tmp_path / "model")
    judge = QualityClassifier(model=str(tmp_path / "model"))
    found = judge.annotate(arrow_texts(["good text", "another one"])).scores
    least = float(found["probability"].max())
    assert QualityClassifier(model="gone", least=least).decide(found).count(None) == 1
    assert QualityClassifier(model="gone", least=0.0).decide(found) == [None, None]
    assert judge.thresholds() == {"probability": 0.5}


def test_the_content_of_a_model_is_in_the_key(tmp_path):
    for name, options in {"one": {}, "copy": {}, "other": {"ngrams": 1}}.items():
        save(tmp_path / name, **options)
    one, copy, other = (QualityClassifier(model=str(tmp_path / name)).depends() for name in ("one", "copy", "other"))
    assert one == copy != other
    artifact = Artifact("quality_classifier", "quality_classifier", "key", tmp_path / "one")
    assert QualityClassifier(model=artifact).depends() == {}
    assert list(QualityClassifier(model=artifact).check()) == []


def test_says_what_is_wrong_with_a_model(tmp_path):
    (tmp_path / "empty").mkdir()
    said = [
        [fault.what for fault in QualityClassifier(model=model).check()] for model in (None, str(tmp_path / "empty"))
    ]
    assert said == [["names no quality classifier"], [f"{tmp_path}/empty has no {WEIGHTS} and no {SETTINGS}"]]
    assert [fault.where for fault in QualityClassifier(model=str(tmp_path / "no"), least=-1.0).check()] == [
        "least",
        "model",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / SETTINGS).write_text("{"),
        lambda folder: (folder / SETTINGS).write_text("[1]"),
        lambda folder: (folder / SETTINGS).write_text(json.dumps({"unit": "auto", "ngrams": 2, "bits": 13, "bias": 0})),
        lambda folder: (folder / SETTINGS).write_text(
            json.dumps({"unit": "verse", "ngrams": 2, "bits": 12, "bias": 0})
        ),
        lambda folder: (folder / SETTINGS).write_text('{"unit": "auto", "ngrams": 99, "bits": 12, "bias": 0}'),
        lambda folder: (folder / SETTINGS).write_text('{"unit": "auto", "ngrams": "a", "bits": 12, "bias": 0}'),
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:500]),
    ],
)
def test_a_damaged_model_is_one_line(tmp_path, change):
    save(tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(KonomiError, match="holds no quality classifier: ") as error:
        QualityClassifier(model=str(tmp_path / "model"))(["a"])
    assert "\n" not in str(error.value)


def test_the_area_under_the_curve_counts_pairs():
    draw = np.random.default_rng(1)
    logits, good = draw.integers(0, 6, 80).astype(float), draw.random(80) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in logits[good] for b in logits[~good]]
    assert area_under_curve(logits, good) == pytest.approx(np.mean(pairs))
