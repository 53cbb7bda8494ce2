"""What the documentation tells a reader to type is composed and checked, in a folder with the files that it speaks of.

A block marked `console` or `sh` holds commands that work as they stand, `text` what needs somebody's own package. A
command whose comment begins with "a fault" is one.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from konomi import search_path
from konomi.cli import main
from konomi.compute import ddp
from konomi.dedup import Corpus
from konomi.dedup.minhash import MinHash
from konomi.store import Store
from konomi.store.names import give
from konomi.testing.archives import response, zipped

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/ja/*.md"))]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
AFTER_A_RUN = ("show", "compare", "diff", "rerun", "tag", "store")
"""Commands that speak of what a run has left; `tests/docs/test_tour.py` types them after one."""

ROWS = {
    "texts": {"text": "春はあけぼの。やうやう白くなりゆく山ぎは。", "body": "夏は夜。月のころはさらなり。"},
    "crawl": {"text": "夏は夜だって！今すぐクリック！！！"},
    "questions": {"question": "春は何がよいか。", "answer": "あけぼの。"},
    "pairs": {"prompt": "好きな季節は？", "chosen": "春です。", "rejected": "知らない。"},
    "chats": {"messages": [{"role": "user", "content": "春は？"}, {"role": "assistant", "content": "あけぼの。"}]},
}
"""Rows of the files that the documentation speaks of, by the name of their folder."""

NAMED = {"swallow-ext-v2": "model", "swallow-pairs-v1": "token_pairs", "good-books": "quality_classifier"}
"""Artifacts that the documentation has named, with what they are."""

PLACEHOLDERS = {
    "model.name_or_path=ORG/NAME": "model.name_or_path=models/mine",
    "model.name_or_path=…": "model.name_or_path=models/mine",
    "model.name_or_path=HuggingFaceFW/fineweb-edu-classifier": "model.name_or_path=models/mine",
    "dedup.encoder=./my-encoder": "dedup.encoder=./models/mine",
    "source.path=ORG/NAME": "source.path=texts",
    "source.path=…": "source.path=pairs",
    "model.revision=v1.0 ": "",
    "source.revision=v1.2 ": "",
    "store=/shared/konomi": "store=shared",
}
"""What stands for somebody's own in the documentation, and what the test has for it; a folder has no revision."""
A_FAULT = "# a fault"


def write_indexes(desk: Path) -> None:
    """Write two indexes of what the crawl has, as curations of it would have left them."""
    corpus = Corpus((desk / "crawl" / "a.parquet",))
    names = pa.chunked_array([[f"crawl/a.parquet:{row}" for row in range(corpus.count())]])
    for name in ("first", "second"):
        MinHash().index(corpus, np.ones(len(names), np.bool_), names, desk / name / "index")


def commands(page: Path) -> list[str]:
    """Return what a page's blocks say to type, with their comments."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ").strip() for line in lines]
    return list(dict.fromkeys(line for line in typed if line.startswith("konomi ")))


def header_commands(recipe: Path) -> list[str]:
    """Return the commands in the comment that opens a recipe."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), recipe.read_text(encoding="utf-8").splitlines())
    said = re.sub(r"\\\n\s*", "", "\n".join(line.removeprefix("#").strip() for line in lines)).splitlines()
    return [re.split(r"\s{2,}", line)[0] for line in said if line.startswith("konomi ")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a working folder with texts, pairs, chats and a model of one's own."""
    for name, row in ROWS.items():
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for _ in range(20)).encode()
        (tmp_path / f"{name}.jsonl").write_bytes(lines)
        (tmp_path / name / "part-0.jsonl").write_bytes(lines)
        (tmp_path / name / "part-1.jsonl.gz").write_bytes(gzip.compress(lines))
        (tmp_path / name / "part-2.jsonl.zst").write_bytes(zstandard.compress(lines))
    for name in ("crawl", "crawl/sample", "2024-10", "ja", "en"):
        (tmp_path / name).mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([ROWS["texts"]] * 20), tmp_path / name / "a.parquet")
    for name in ("books", "lists"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "books" / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROWS["texts"]).encode()))
    (tmp_path / "lists" / "ng.txt").write_text("言葉\n", encoding="utf-8")
    page = response("https://a.example/", f"<p>{ROWS['texts']['text']}</p>".encode())
    (tmp_path / "crawl" / "a.warc.gz").write_bytes(zipped([page]))
    model = tmp_path / "models" / "mine"
    model.mkdir(parents=True)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "id2label": {"0": "LABEL_0"}}
    (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer.json").write_text("{}")
    (model / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    store = Store(os.environ["KONOMI_STORE"])
    for number, (name, makes) in enumerate(NAMED.items()):
        with store.writing() as out:
            store.publish(out, key := f"{makes}-{number:024x}", {"key": key, "stage": makes, "makes": makes})
        give(store, name, key)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ddp, "gpus", lambda: 8)
    yield tmp_path
    search_path._config_dirs.clear()


def checked(command: str) -> list[str]:
    """Return what checks a command: a plan in place of a run, no steps, and of what speaks of runs its help."""
    for shown, typed in PLACEHOLDERS.items():
        command = command.replace(shown, typed)
    words = shlex.split(command, comments=True)[1:]
    if words[0] in AFTER_A_RUN:
        return [words[0], "--help"]
    return ["plan" if word == "run" else word for word in words if word != "--smoke"]


def everywhere() -> list[Any]:
    """Return every command of the pages and the recipes, each once, with where it stands first, and its exit code."""
    found: dict[str, Any] = {}
    said = {page: commands(page) for page in PAGES} | {file: header_commands(file) for file in RECIPES}
    for file, typed in said.items():
        for command in typed:
            words = checked(command)
            place = f"{file.relative_to(ROOT)}: {shlex.join(words)}"
            found.setdefault(shlex.join(words), pytest.param(words, 2 if A_FAULT in command else 0, id=place))
    return list(found.values())


def main_says(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run konomi's command line in this process; returns the exit code and what was said."""
    try:
        code = main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, f"konomi {shlex.join(words)}\n{said.out}{said.err}"


@pytest.mark.parametrize(("words", "expected"), everywhere())
def test_a_command_of_the_documentation_plans(
    words: list[str], expected: int, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if any("/index" in word for word in words):
        write_indexes(desk)
    if "engine=ray" in words and not find_spec("ray"):
        pytest.skip("needs the extra ray")
    code, said = main_says(words, capsys)
    assert code == expected, said


def test_every_recipe_opens_with_what_it_does_and_how_it_is_run() -> None:
    for recipe in RECIPES:
        assert recipe.read_text(encoding="utf-8").startswith("# "), recipe
        assert any(line.startswith(f"konomi run {recipe.stem}") for line in header_commands(recipe)), recipe


def test_both_readmes_show_the_same_commands() -> None:
    pages = (commands(ROOT / name) for name in ("README.md", "README.ja.md"))
    english, japanese = ([shlex.split(line, comments=True) for line in page] for page in pages)
    assert english == japanese != []


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if "# recipes/" in page.read_text(encoding="utf-8")])
def test_a_recipe_on_a_page_plans(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in re.findall(r"```yaml\n# recipes/(\w+)\.yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        recipe = desk / "own" / f"{name}.yaml"
        recipe.parent.mkdir(exist_ok=True)
        recipe.write_text(text, encoding="utf-8")
        for command in header_commands(recipe):
            code, said = main_says([*checked(command), "--config-dir", "own"], capsys)
            assert code == 0, said


def test_the_readme_shows_in_one_screen_what_konomi_is() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("## "))
    assert first <= 50, "what comes before the first section fits one screen"
