from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from konomi.faults import KonomiError
from konomi.source import _hub
from konomi.source._columns import message_type
from konomi.source._options import Gives, OnError
from konomi.source.hub import Hub
from konomi.testing.source import SourceSuite, rows_of

SHA = "0123456789" * 4
OTHER = "abcdef0123" * 4
CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"


def folder_with(folder: Path, **splits: list[dict[str, object]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _hub._repository.cache_clear()
    return tmp_path / "hub"


def cached(cache: Path, commit: str = SHA, refs: tuple[str, ...] = ("main",)) -> None:
    repository = cache / "datasets--org--name"
    snapshot = repository / "snapshots" / commit
    (snapshot / "data").mkdir(parents=True)
    (repository / "refs").mkdir(exist_ok=True)
    for ref in refs:
        (repository / "refs" / ref).write_text(commit)
    (snapshot / "README.md").write_text(CARD)
    pq.write_table(pa.table({"text": [commit[:6], "b"], "n": [1, 2]}), snapshot / "data/train-00000-of-00001.parquet")


class TestHub(SourceSuite):
    plugin = Hub

    def make(self, folder: Path) -> Hub:
        return Hub(path=folder_with(folder / "データ 1", train=[{"text": "a", "n": 1}, {"text": "b", "n": 2}]))


def test_reads_the_split_and_configuration_of_a_folder(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"text": "a"}, {"text": "b"}], test=[{"text": "c"}])
    assert [row["text"] for row in rows_of(Hub(path=path))] == ["a", "b"]
    assert [row["text"] for row in rows_of(Hub(path=path, split="test"))] == ["c"]
    assert [row["text"] for row in rows_of(Hub(path=path, split="train[1:]"))] == ["b"]
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files: test.jsonl\n- config_name: large\n"
        "  data_files: '*.jsonl'\n---\n"
    )
    assert [row["text"] for row in rows_of(Hub(path=path, name="small"))] == ["c"]
    assert [row["text"] for row in rows_of(Hub(path=path, data_files=["test.jsonl"]))] == ["c"]


def test_a_file_is_a_data_set_too(tmp_path: Path) -> None:
    folder_with(tmp_path, train=[{"text": "a"}], other=[{"text": "b"}])
    assert [row["text"] for row in rows_of(Hub(path=str(tmp_path / "other.jsonl")))] == ["b"]


def test_streaming_gives_the_same_rows(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"text": str(n), "n": n} for n in range(2100)])
    assert rows_of(Hub(path=path, streaming=True)) == rows_of(Hub(path=path))
    assert len(rows_of(Hub(path=path, streaming=True, limit=1500))) == 1500


def test_columns_are_renamed_and_a_wrong_name_is_a_fault(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"body": "a", "label": 1, "tags": ["x"]}])
    assert rows_of(Hub(path=path, columns={"text": "body"})) == [{"text": "a", "label": 1}]
    [fault] = Hub(path=path, columns={"text": "boddy"}).check()
    assert (fault.where, "did you mean body?" in fault.hint) == ("columns.text", True)
    [fault] = Hub(path=path).check()
    assert "columns.text=body" in fault.hint
    assert Hub(path=path, gives=Gives.rows).columns_known() == ["body", "label"]


def test_rows_without_text_raise_or_are_counted(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"text": "a"}, {"text": None}, {"text": "c"}])
    with pytest.raises(KonomiError, match="row 2 has null in the column text"):
        rows_of(Hub(path=path))
    source = Hub(path=path, on_error=OnError["drop"]).load()
    assert [row["text"] for table in source for row in table.to_pylist()] == ["a", "c"]
    assert source.dropped == {"column null": 1}


def test_a_file_that_changes_between_two_readings_is_read_anew(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"text": "a"}])
    file = tmp_path / "set" / "train.jsonl"
    source, state = Hub(path=path), file.stat()
    first = rows_of(source), source.depends()
    file.write_text(json.dumps({"text": "b"}) + "\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert rows_of(source) == [{"text": "b"}]
    assert source.depends() != first[1]


def test_the_key_of_a_folder_goes_by_content_and_inner_names(tmp_path: Path) -> None:
    one = Hub(path=folder_with(tmp_path / "one", train=[{"text": "a"}])).depends()
    assert Hub(path=folder_with(tmp_path / "two", train=[{"text": "a"}])).depends() == one
    assert Hub(path=folder_with(tmp_path / "three", test=[{"text": "a"}])).depends() != one
    (tmp_path / "two" / ".DS_Store").write_text("x")
    assert Hub(path=str(tmp_path / "two")).depends() == one


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Hub(), "names no data set"),
        (Hub(path="./not/there"), "there is no folder"),
        (Hub(path="org/name/extra"), "there is no folder"),
        (Hub(path="hf://models/org/name"), "expected hf://datasets/ORG/NAME"),
        (Hub(path="hf://datasets/org/name@a", revision="b"), "names the revision a"),
        (Hub(path="org/na me"), "neither a folder nor the name of a repository"),
        (Hub(path="org/name"), "not in the hub's cache, and HF_HUB_OFFLINE is set"),
        (Hub(path="org/name", limit=-1), "below 0"),
        (Hub(path="org/name", split=" "), "is empty"),
    ],
)
def test_what_cannot_be_read_is_a_fault_at_plan_time(cache: Path, source: Hub, words: str) -> None:
    assert any(words in str(fault) for fault in source.check())


def test_an_unknown_split_lists_the_known_ones(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "set", train=[{"text": "a"}], test=[{"text": "b"}])
    with pytest.raises(KonomiError, match=r"split dev: .*'train', 'test'"):
        rows_of(Hub(path=path, split="dev"))
    assert next(iter(Hub(path=path, data_files=["*.csv"]).check())).where == "data_files"


def test_offline_a_cached_snapshot_is_read_and_its_commit_recorded(cache: Path) -> None:
    cached(cache)
    source = Hub(path="org/name")
    assert list(source.check()) == []
    assert source.format() == "text"
    assert source.depends() == {"repository": "org/name", "commit": SHA, "files": []}
    assert rows_of(source) == [{"text": SHA[:6], "n": 1}, {"text": "b", "n": 2}]
    url = Hub(path="hf://datasets/org/name@main/data/train-00000-of-00001.parquet")
    assert rows_of(url) == rows_of(source)


def test_a_revision_is_pinned(cache: Path) -> None:
    cached(cache, SHA, ("main",))
    cached(cache, OTHER, ("v2",))
    assert rows_of(Hub(path="org/name"))[0]["text"] == SHA[:6]
    assert rows_of(Hub(path="org/name", revision="v2"))[0]["text"] == OTHER[:6]
    assert rows_of(Hub(path="org/name", revision=OTHER))[0]["text"] == OTHER[:6]
    assert Hub(path="org/name", revision="v2").depends() == Hub(path="org/name", revision=OTHER).depends()


def test_the_card_says_the_format_before_anything_is_fetched() -> None:
    features = [
        {"name": "messages", "list": [{"name": "role", "dtype": "string"}, {"name": "content", "dtype": "string"}]},
        {"name": "score", "dtype": "float32"},
        {"name": "image", "dtype": "image"},
    ]
    card = SimpleNamespace(dataset_info=[{"config_name": "a", "features": features}, {"config_name": "b"}])
    assert dict(_hub._card_types(card, "a")) == {"messages": message_type(), "score": pa.float64(), "image": None}
    assert _hub._card_types(card, "b") == ()
    assert _hub._card_types(SimpleNamespace(), None) == ()


HUB = """
import http.server, json, os, sys, threading
from pathlib import Path
root, sha = Path(sys.argv[1]), "0123456789" * 4
files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
tree = sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))
asked = []

class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.answer(body=False)
    def do_GET(self): self.answer()
    def do_POST(self):
        wanted = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send(json.dumps([entry(name) for name in tree if name in wanted.split(chr(34))]).encode())
    def log_message(self, *_): pass
    def answer(self, body=True):
        asked.append(self.path)
        path = self.path.partition("?")[0]
        if "/resolve/" in path:
            name = path.partition("/resolve/")[2].partition("/")[2]
            if name not in files:
                return self.send(b"Entry not found", 404, body, {"X-Error-Code": "EntryNotFound"})
            data = (root / name).read_bytes()
            return self.send(data, 200, body, {"ETag": '"%040d"' % len(data), "X-Repo-Commit": sha})
        if "/tree/" in path:
            inside = path.partition("/tree/")[2].partition("/")[2]
            children = [entry(name) for name in tree if Path(name).parent == Path(inside)]
            return self.send(json.dumps(children).encode(), 200, body)
        if path.startswith("/api/datasets/org/name"):
            card = {"dataset_info": {"features": [{"name": "text", "dtype": "string"}]}}
            siblings = [{"rfilename": name} for name in files]
            info = {"id": "org/name", "sha": sha, "siblings": siblings, "cardData": card, "private": False, "tags": []}
            return self.send(json.dumps(info).encode(), 200, body)
        self.send(b"{}", 404, body, {"X-Error-Code": "RepoNotFound"})
    def send(self, data, code=200, body=True, headers={}):
        self.send_response(code)
        for item in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(*item)
        self.end_headers()
        if body: self.wfile.write(data)

def entry(name):
    if (root / name).is_dir():
        return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
    return {"type": "file", "path": name, "size": (root / name).stat().st_size, "oid": "%040d" % len(name)}

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"): os.environ.pop(name, None)
"""
ASKING = """
from konomi.source.hub import Hub
source = Hub(path="org/name", revision="main")
assert list(source.check()) == [], list(source.check())
assert source.format() == "text"
assert source.depends() == {"repository": "org/name", "commit": sha, "files": []}, source.depends()
assert not any("/resolve/" in path for path in asked), "a plan fetches nothing"
rows = [row for table in source.load() for row in table.to_pylist()]
assert rows == [{"text": "a"}, {"text": "b"}], rows
fetched = [path for path in asked if "/resolve/" in path and "parquet" in path]
assert fetched and all(f"/resolve/{sha}/" in path for path in fetched), fetched
[fault] = Hub(path="org/none").check()
assert "there is no data set org/none" in fault.what, fault
server.shutdown(); server.server_close()
from konomi.source import _hub
_hub._repository.cache_clear()
[fault] = Hub(path="org/name").check()
assert "HF_HUB_OFFLINE=1 takes what is in its cache" in fault.what, fault
print("good")
"""


def test_online_the_branch_is_resolved_when_planned_and_read_at_that_commit(tmp_path: Path) -> None:
    (tmp_path / "repository" / "data").mkdir(parents=True)
    (tmp_path / "repository" / "README.md").write_text(CARD)
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "repository/data/train-00000-of-00001.parquet")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    script = textwrap.dedent(HUB) + ASKING
    command = [sys.executable, "-c", script, str(tmp_path / "repository")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("good"), done.stderr[-3000:]
