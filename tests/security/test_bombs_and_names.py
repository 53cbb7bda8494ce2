"""Small files that would fill the machine are refused in time, and names stay inside their folder."""

from __future__ import annotations

import gzip
import json
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import konomi
from konomi.cli import main
from konomi.faults import Faults, KonomiError
from konomi.generator.templates import Templates
from konomi.model.hub import Hub
from konomi.patterns import occurs
from konomi.recipe.folders import MAX_LENGTH, folder_name
from konomi.report.text import printable
from konomi.source.files import Files
from konomi.store import Store

MOST_BYTES = 200 << 20
MOST_SECONDS = 20.0
DEPTH = 100_000


def blanks(count: int) -> bytes:
    return b'{"text": "' + b"a" * count + b'"}\n'


def gz(file: Path) -> Path:
    with gzip.open(file.with_suffix(".jsonl.gz"), "wb", compresslevel=9) as stream:
        for _ in range(64):
            stream.write(blanks(8 << 20))
    return file.with_suffix(".jsonl.gz")


def zst(file: Path) -> Path:
    with file.with_suffix(".json.zst").open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as stream:
        stream.write(b'[{"text": "')
        for _ in range(512):
            stream.write(b"a" * (1 << 20))
    return file.with_suffix(".json.zst")


def one_line(file: Path) -> Path:
    with file.with_suffix(".jsonl").open("wb") as stream:
        stream.truncate(256 << 20)  # a line of zeros, which takes no room on the disk
    return file.with_suffix(".jsonl")


def deep_lines(file: Path) -> Path:
    file.with_suffix(".jsonl").write_text('{"text": ' + "[" * DEPTH + "]" * DEPTH + "}\n")
    return file.with_suffix(".jsonl")


def deep_array(file: Path) -> Path:
    file.with_suffix(".json").write_text("[" * DEPTH + "]" * DEPTH)
    return file.with_suffix(".json")


def long_number(file: Path) -> Path:
    file.with_suffix(".jsonl").write_text('{"text": "a", "n": ' + "9" * (1 << 20) + "}\n")
    return file.with_suffix(".jsonl")


def parquet_dictionary(file: Path) -> Path:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), pa.array(["a" * (1 << 20)]))
    pq.write_table(pa.table({"text": text}), file.with_suffix(".parquet"), compression="zstd")
    return file.with_suffix(".parquet")


def parquet_footer(file: Path) -> Path:
    file.with_suffix(".parquet").write_bytes(b"PAR1" + b"\0" * 100 + struct.pack("<I", 0x7FFFFFF0) + b"PAR1")
    return file.with_suffix(".parquet")


DATA = (
    gz, zst, one_line, deep_lines, deep_array, long_number, parquet_dictionary, parquet_footer,
)  # fmt: skip


@pytest.mark.parametrize("bomb", DATA, ids=lambda bomb: bomb.__name__)
def test_a_bomb_among_the_data_is_refused_in_bounded_memory(bomb: Callable[[Path], Path], tmp_path: Path) -> None:
    file = bomb(tmp_path / "bomb")
    begin, held = time.monotonic(), pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises((Faults, KonomiError), match=r"max_|nested|damaged|Parquet|JSON|digits"):
            for table in Files(path=str(file)).load():
                assert pa.total_allocated_bytes() - held < MOST_BYTES
                del table
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begin < MOST_SECONDS


def header(length: int) -> bytes:
    return struct.pack("<Q", length)


MODELS = {
    "a header of exabytes": {"model.safetensors": header(1 << 62)},
    "a header beyond the file": {"model.safetensors": header(90_000_000) + b"{"},
    "a deep header": {"model.safetensors": header(2 * DEPTH) + b"[" * DEPTH + b"]" * DEPTH},
    "a header of another shape": {"model.safetensors": header(18) + b'{"a": [1, 2, 3]}  '},
    "shapes of words": {"model.safetensors": header(26) + b'{"a": {"shape": ["many"]}}'},
    "a deep config": {"config.json": b"[" * DEPTH + b"]" * DEPTH},
    "a huge config": {"config.json": b" " * (17 << 20) + b"{}"},
    "a config that is a list": {"config.json": b"[1]"},
    "a deep tokenizer": {"tokenizer_config.json": b'{"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_bomb_among_a_models_files_is_refused(name: str, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": header(2) + b"{}", **MODELS[name]}
    for file, body in files.items():
        (tmp_path / file).write_bytes(body)
    model = Hub(name_or_path=str(tmp_path))
    begin = time.monotonic()
    said = [str(fault) for fault in model.check()]
    parameters = model.parameters()
    assert said or parameters is None
    with pytest.raises(KonomiError):
        model.load()
    assert time.monotonic() - begin < MOST_SECONDS


PATTERNS = (r"(a+)+$", r"(a|a)*$", r"(a|aa)+$", r"(.*a){25}$", r"([a-z]+)*!")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_would_not_end_is_given_up(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konomi.patterns.SECONDS", 0.3)
    begin = time.monotonic()
    try:
        occurs(pattern, "a" * 5000 + "b")
    except KonomiError as error:
        assert "takes more than" in str(error)
    assert time.monotonic() - begin < 5


def test_a_recipes_pattern_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konomi.patterns.SECONDS", 0.3)
    templates = Templates(prompts=["{text}"], answers={"a": "{text}"}, where={"text": r"(a|aa)+"})
    with pytest.raises(KonomiError, match="takes more than"):
        list(templates.generate([{"text": "a" * 5000 + "b"}], seed=0))


TEMPLATES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.append(1) }}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{{ cycler.__init__.__globals__.os.mkdir('canary') }}",
    "{% include '/etc/passwd' %}",
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_runs_in_a_sandbox(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jinja2.exceptions import TemplateError

    from konomi.testing.vocab import byte_level_base
    from konomi.trainer._render import conversations

    monkeypatch.chdir(tmp_path)
    with pytest.raises((TemplateError, OverflowError, TypeError, ValueError)):
        conversations(byte_level_base(), [[{"role": "user", "content": "x"}]], template)
    assert list(tmp_path.iterdir()) == []


NAMES = (
    "../../escaped", "/konomi-escaped", "..", ".", "a/../../b", "a\0b", "a\nb", "x" * 300, "味" * 120, "a\\..\\b",
    "con|<>:", "\u202egnp.exe", "\x1b[31m", "~/x", "$HOME", "-rf", " ", "a\tb",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_of_a_point_is_one_short_name(name: str, tmp_path: Path) -> None:
    found = folder_name([f"word.word={name}", f"lunch={name}"])
    assert len(found.encode()) <= MAX_LENGTH
    assert found.isascii()
    assert not set(found) & set('/\\\0\n\t|<>:"*?~$ ')
    assert found not in (".", "..")
    (tmp_path / "points" / found).mkdir(parents=True)
    assert [path.name for path in tmp_path.iterdir()] == ["points"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_has_a_name_that_is_a_name(
    name: str, kitchen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A recipe names its stages, and each gets a link of that name in the run's folder."""
    body = {"defaults": ["konomi", {"stage@word": "word"}, "_self_"], name: {"plugin": "stage/word", "word": "x"}}
    (kitchen / "named.yaml").write_text(json.dumps(body), encoding="utf-8")
    before = {path for path in tmp_path.parent.iterdir() if path != tmp_path}
    code = main(["run", "named", f"goal={json.dumps(name)}"])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert code in (1, 2), (out, err)
    assert "\x1b[31m" not in out + err
    assert {path for path in tmp_path.parent.iterdir() if path != tmp_path} == before
    assert not Path("/konomi-escaped").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} <= {kitchen.name, "runs", ".konomi"}


@pytest.mark.parametrize("key", ["../../escaped", "{folder}/escaped", "a\0b", "a\nb", "..", ""])
def test_a_stored_artifact_is_asked_for_by_its_key(key: str, kitchen: Path, tmp_path: Path) -> None:
    outside = tmp_path / "escaped"
    outside.mkdir()
    (outside / "manifest.json").write_text('{"makes": "text", "stage": "x"}', encoding="utf-8")
    with pytest.raises(Faults):
        konomi.plan("meal", [f"lunch.data=artifact:{key.format(folder=tmp_path)}"])


def test_a_link_out_of_the_store_is_no_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.create()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "manifest.json").write_text("{}", encoding="utf-8")
    store.path("word-1").symlink_to(outside, target_is_directory=True)
    store.remove("word-1")
    assert (outside / "manifest.json").exists()  # what is taken away is the link


def test_nothing_that_a_terminal_acts_on_is_printed(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;pwned\x07\x1b[2J\u202eabc\x9b31m\r"
    (kitchen / "loud.yaml").write_text(
        f"# Loud \u202e.\ndefaults: [meal, _self_]\nword: {{word: {json.dumps(evil)}}}\n".replace("\x1b[31m", "\u202e"),
        encoding="utf-8",
    )
    assert main(["run", "loud"]) == 0
    done = next(Path("runs/loud").iterdir())
    for argv in (["show", "word"], ["show", "word", "--json"], ["compare", str(done)], ["plan", "loud"], ["recipes"]):
        assert main(argv) == 0
    assert main(["plan", "loud", f"word.wrod={evil}"]) == 2
    assert main(["show", evil]) == 1
    out, err = capfd.readouterr()
    assert not {mark for mark in "\x1b\x07\x9b\u202e" if mark in out + err}
    assert "\\u001b" in out


def test_printable_keeps_what_is_meant() -> None:
    text = "好み\n\tpure é 👩\u200d💻 \u0600"
    assert printable(text) == text


def test_how_many_there_are(said: Callable[[str], None]) -> None:
    bombs = len(DATA) + len(MODELS) + len(PATTERNS) + len(TEMPLATES) + 1
    said(f"bombs: {bombs}, each in bounded time and memory; names: {2 * len(NAMES) + 6}; escapes 0")
