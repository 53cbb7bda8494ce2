"""What sources read, which duplicates are found, and what is generated from rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from konomi.testing.source import rows_of

from .golden import TEXTS, golden, plugin, texts_artifact

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
        rows_of(plugin("source/files", path=str(folder / name), columns={"text": "body"}))
        for name in ("a.jsonl", "b.csv")
    ]
    from konomi.source._options import TextUnit

    return [*read, *(rows_of(plugin("source/files", path=str(folder / "c.txt"), text_unit=unit)) for unit in TextUnit)]


@golden("source/hub")
def load_dataset(folder: Path) -> Any:
    (folder / "train.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return rows_of(plugin("source/hub", path=str(folder), columns={"text": "body"}))


@golden("source/warc")
def archive(folder: Path) -> Any:
    from konomi.testing.archives import conversion, response, zipped

    texts = [conversion(f"https://a.example/{number}", text, "jpn") for number, text in enumerate(TEXTS)]
    plain = response("https://a.example/plain", TEXTS[0].encode("cp932"), "text/plain; charset=Shift_JIS")
    (folder / "a.warc.gz").write_bytes(zipped([*texts, plain]))
    return rows_of(plugin("source/warc", path=str(folder / "a.warc.gz")))


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
    return [rows_of(plugin("source/mix", sources=sources, **how)) for how in (*weighted, {"epochs": {"a": 2.5}})]


@golden("source/artifact")
def artifact_rows(folder: Path) -> Any:
    return rows_of(plugin("source/artifact", data=texts_artifact(folder), limit=3))


@golden("source/japanese_sample")
def japanese_sample(folder: Path) -> Any:
    return rows_of(plugin("source/japanese_sample"))[:40]


@golden("source/python_docs")
def python_docs(folder: Path) -> Any:
    import dataclasses

    from konomi.source._docstrings import docstrings

    return [dataclasses.asdict(item) for item in docstrings(MODULE.encode(), "package.module", private=False)]


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
