"""The README's commands, typed one after another as a reader would, at the quickstart's smallest size."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from konomi.testing.archives import response, zipped

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


SIZED = ("quickstart", "dpo")
"""Recipes that have a `size`."""

OWN = {"align-dc32e0ee align-cb893b5c": "sft align", "/data/old_runs": "runs"}
"""What the page about the store says of its own keys and folders, and what stands for it here."""


def commands(page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ konomi ") and "# a fault" not in line]
    return list(dict.fromkeys(line.partition(" #")[0].strip() for line in typed))


def _env() -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "KONOMI_STORE"}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"}


def _at_smoke_size(command: str) -> str:
    words = command.split()
    return f"{command} size=smoke" if words[1] in ("run", "plan") and words[2] in SIZED else command


def _prose(page: str) -> str:
    """Return a page's paragraphs, a line each, without code, tables, lists and headings."""
    parts = re.sub(r"```.*?```", "", page, flags=re.DOTALL).split("\n\n")
    return "\n".join(part.strip().replace("\n", " ") for part in parts if part.strip()[:1].isalpha())


def _write_texts_and_crawl(desk: Path) -> None:
    """Write what the README speaks of: Japanese texts, and a crawl in two languages, as WARC and as Parquet."""
    prose = sorted((ROOT / "plugins" / "konomi" / "source" / "_japanese_sample").glob("*.md"))
    documents = [file.read_text(encoding="utf-8") for file in prose]
    parts = [part for text in documents for part in text.split("\n\n")]
    lines = "".join(json.dumps({"text": part}, ensure_ascii=False) + "\n" for part in parts)
    for folder in ("texts", "crawl"):
        (desk / folder).mkdir(parents=True)
    (desk / "texts" / "part.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    documents += [_prose(page.read_text(encoding="utf-8")) for page in sorted((ROOT / "docs").glob("*.md"))]
    pq.write_table(pa.table({"text": documents}), desk / "crawl" / "part.parquet")
    paragraphs = (text.replace("\n\n", "</p><p>") for text in documents)
    pages = (f"<article><p>{text}</p></article>".encode() for text in paragraphs)
    records = [response(f"https://a.example/{number}", page) for number, page in enumerate(pages)]
    (desk / "crawl" / "part.warc.gz").write_bytes(zipped(records))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which every command of the README was typed, at smoke size."""
    desk = tmp_path_factory.mktemp("tour") / "机 の 上"
    _write_texts_and_crawl(desk)
    for command in commands():
        small = _at_smoke_size(command)
        done = subprocess.run(["bash", "-c", small], cwd=desk, env=_env(), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{small}\n{done.stdout}\n{done.stderr}"
    return desk


def test_the_readme_can_be_typed_from_top_to_bottom(desk: Path) -> None:
    points = {path.parent.name for path in (desk / "multirun" / "dpo").rglob("run.json")}
    assert points == {f"loss={loss},beta={beta}" for loss in ("dpo", "ipo") for beta in ("0.05", "0.1", "0.3")}


def test_nothing_that_two_commands_share_was_made_twice(desk: Path) -> None:
    lines = (desk / ".konomi" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    made = [event["key"] for event in map(json.loads, lines) if event["event"] == "made"]
    assert len(made) == len(set(made))


def test_the_python_of_the_readme_runs(desk: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=desk, env=_env(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (desk / done.stdout.splitlines()[-1]).is_file(), "the report is where it is said to be"


def test_the_page_about_the_store_can_be_typed_from_top_to_bottom(desk: Path, tmp_path: Path) -> None:
    own = shutil.copytree(desk, tmp_path / "desk", symlinks=True)
    typed = [command for command in commands("docs/store.md") if not command.startswith("konomi run")]
    assert len(typed) > 20
    for command in typed:
        for shown, meant in OWN.items():
            command = command.replace(shown, meant)
        done = subprocess.run(["bash", "-c", command], cwd=own, env=_env(), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
