"""Learning to tell a good pile of text from a bad one."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from konomi.faults import KonomiError, Stopped
from konomi.filter._quality_classifier import load
from konomi.filter.quality_classifier import QualityClassifier
from konomi.source.files import Files
from konomi.stage.quality_classifier import QualityTraining
from konomi.testing.training import as_artifact, make_job

SUBJECTS = ["the river", "a farmer", "my neighbour", "the old bridge", "a letter", "the harbour", "our teacher"]
VERBS = ["crosses", "remembers", "repairs", "follows", "describes", "leaves", "paints"]
OBJECTS = ["the valley", "a small garden", "the winter", "an unfinished map", "the evening train", "a song"]
SPAM = ["click here to subscribe now", "cheapest price guaranteed", "follow us for more deals"]


def prose(draw: random.Random, sentences: int = 12) -> str:
    parts = (f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}." for _ in range(sentences))
    return " ".join(parts)


def spoilt(draw: random.Random) -> str:
    """Prose like the other, with a line of advertisement in it."""
    words = prose(draw).split(" ")
    words.insert(draw.randrange(len(words)), draw.choice(SPAM))
    return " ".join(words)


def pile(file, texts) -> Files:
    file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    return Files(path=str(file))


def piles(folder, good, bad) -> dict[str, Files]:
    return {"good": pile(folder / "good.jsonl", good), "bad": pile(folder / "bad.jsonl", bad)}


def trained(folder, good, bad, **options):
    job = make_job(folder / "job")
    QualityTraining(**piles(folder, good, bad), **options).run(job)
    return as_artifact(job, "quality_classifier"), job


def drawn(make, count, seed):
    draw = random.Random(seed)
    return [make(draw) for _ in range(count)]


def shares(artifact, good, bad) -> tuple[float, float]:
    """Return the shares of good and of bad texts that the filter keeps."""
    judge = QualityClassifier(model=artifact)
    return tuple(np.mean([reason is None for reason in judge(texts).reasons]) for texts in (good, bad))


def test_finds_what_was_planted_and_tells_it(tmp_path):
    artifact, job = trained(tmp_path, drawn(prose, 300, 0), drawn(spoilt, 300, 1))
    good, bad = shares(artifact, drawn(prose, 200, 2), drawn(spoilt, 200, 3))
    assert good > 0.97 and bad < 0.03
    assert job.results["accuracy"] > 0.95 and job.results["area_under_curve"] > 0.99
    told = {row[0] for block in job.shown if "What speaks for bad" in getattr(block, "title", "") for row in block.rows}
    assert {"subscribe", "deals", "click here"} & told
    assert not told & {"river", "crosses"}


@pytest.mark.parametrize(("wrong", "kept"), [(0.1, 0.1), (0.3, 0.2)])
def test_wrong_labels_among_the_examples_do_little_harm(tmp_path, wrong, kept):
    draw = random.Random(5)
    texts = {True: drawn(prose, 400, 0), False: drawn(spoilt, 400, 1)}
    labelled = [(text, side != (draw.random() < wrong)) for side, some in texts.items() for text in some]
    artifact, _ = trained(tmp_path, *([text for text, side in labelled if side is wanted] for wanted in (True, False)))
    good, bad = shares(artifact, drawn(prose, 200, 2), drawn(spoilt, 200, 3))
    assert good > 0.9 and bad < kept


def test_a_large_pile_does_not_drown_a_small_one(tmp_path):
    artifact, _ = trained(tmp_path, drawn(prose, 60, 0), drawn(spoilt, 900, 1))
    good, bad = shares(artifact, drawn(prose, 200, 2), drawn(spoilt, 200, 3))
    assert good > 0.9 and bad < 0.1


def test_piles_that_do_not_differ_are_not_told_apart(tmp_path):
    _, job = trained(tmp_path, drawn(prose, 300, 0), drawn(prose, 300, 1), test_share=0.5)
    assert 0.4 < job.results["area_under_curve"] < 0.6


def test_the_same_piles_give_the_same_model(tmp_path):
    models = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        artifact, _ = trained(tmp_path / name, drawn(prose, 50, 0), drawn(spoilt, 50, 1))
        models.append(load(str(artifact.path), ""))
    assert (models[0].weights == models[1].weights).all() and models[0].bias == models[1].bias


def test_held_out_texts_are_not_learnt_from_and_their_copies_neither(tmp_path, monkeypatch):
    from konomi.filter import _quality_training

    seen = {}
    train = _quality_training.train

    def spy(piles, *rest, **options):
        seen["piles"] = piles
        return train(piles, *rest, **options)

    monkeypatch.setattr(_quality_training, "train", spy)
    trained(tmp_path, drawn(prose, 40, 0) * 3, drawn(spoilt, 40, 1), test_share=0.3)
    texts, held_out = np.array(seen["piles"].texts.to_pylist()), seen["piles"].held_out
    assert not set(texts[held_out]) & set(texts[~held_out])
    assert 0.1 < held_out.mean() < 0.5


def test_blank_texts_are_left_out_and_few_texts_are_an_error(tmp_path):
    with pytest.raises(KonomiError, match="the bad pile has 1 texts; at least two distinct ones are needed"):
        trained(tmp_path, drawn(prose, 5, 0), ["only one", " \n", ""])


def test_at_most_as_many_texts_are_read_as_was_said(tmp_path):
    _, job = trained(tmp_path, drawn(prose, 50, 0), drawn(spoilt, 50, 1), documents=20)
    assert (job.results["good"], job.results["bad"]) == (20, 20)


def test_wrong_options_are_faults(tmp_path):
    wrong = {"ngrams": 0, "bits": 40, "epochs": 0, "learning_rate": 0.0, "documents": -1, "test_share": 1.0}
    stage = QualityTraining(**piles(tmp_path, ["a"], ["b"]), **wrong)
    assert [fault.where for fault in stage.check()] == list(wrong)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "a", "completion": "b"}\n')
    good = QualityTraining(good=Files(path=str(pairs)), bad=pile(tmp_path / "b.jsonl", ["b"]))
    assert [fault.where for fault in good.check()] == ["good"]


def test_a_stop_leaves_the_training(tmp_path):
    job = make_job(tmp_path / "job")
    job.stop.reason = "SIGTERM"
    with pytest.raises(Stopped):
        QualityTraining(**piles(tmp_path, drawn(prose, 9, 0), drawn(spoilt, 9, 1))).run(job)


def test_a_recipe_trains_one_and_filters_by_it(tmp_path, monkeypatch):
    import konomi

    monkeypatch.chdir(tmp_path)
    pile(tmp_path / "corpus.jsonl", [*drawn(prose, 30, 2), *drawn(spoilt, 30, 3)])
    pile(tmp_path / "good.jsonl", drawn(prose, 200, 0))
    pile(tmp_path / "bad.jsonl", drawn(spoilt, 200, 1))
    (tmp_path / "sift.yaml").write_text(
        "defaults:\n  - quality_classifier\n  - stage@curate: curate\n"
        "  - override /filter@curate.filter: [quality_classifier]\n"
        "  - override /dedup@curate.dedup: none\n  - _self_\n"
        'curate: {filter: {quality_classifier: {model: "${artifact:quality_classifier}"}}}\n'
    )
    (tmp_path / "pyproject.toml").write_text('[tool.konomi]\nrecipes = "."\n')
    overrides = ["good.path=good.jsonl", "bad.path=bad.jsonl", "curate.source.path=corpus.jsonl"]
    done = konomi.run("sift", overrides)
    results = json.loads((done.artifacts["curate"] / "manifest.json").read_text())["results"]
    assert results["kept"] == pytest.approx(30, abs=3)


LOOK_ALIKE = dict(zip("っゃょはばめねらいニカロター", "つやよほぱぬれちリ二力口夕一", strict=True))
"""What a bad scan takes for one another."""


@pytest.mark.slow
def test_real_prose_is_told_from_its_scan(real_rows, tmp_path):
    draw = random.Random(0)

    def scanned(page):
        return "".join(LOOK_ALIKE.get(one, one) if draw.random() < 0.1 else one for one in page)

    works = [row["text"] for row in real_rows("aozora_ja")]
    pages = [work[at : at + 800] for work in works for at in range(0, min(len(work), 4000), 800)]
    _, job = trained(tmp_path, pages[::2], map(scanned, pages[1::2]))
    assert job.results["area_under_curve"] > 0.9
