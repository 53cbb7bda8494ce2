"""The code of plugins outside the installed packages is in the key, with the modules that it imports."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from konomi.recipe.code import own_code

PROJECT = {
    "pyproject.toml": '[tool.konomi]\nplugins = ["plugins"]\nrecipes = "recipes"\n',
    "recipes/own.yaml": "# Ours.\ndefaults:\n  - konomi\n  - stage@say: shout\n  - _self_\n",
    "plugins/shout.py": '''
"""Shouting."""
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from konomi import register
from . import _voice
from ._words import *
from .tools.loud import Louder, LIMIT as MOST


@register("stage", "shout")
@dataclass(frozen=True)
class Shout:
    """Shout a word."""

    word: str = "hello"
    """What to shout."""
    makes: ClassVar[str] = "text"

    def run(self, job):
        from ._late import ending
        (job.out / "word.txt").write_text(Louder()(_voice.raised(self.word)) + ending())
''',
    "plugins/_voice.py": "from ._deeper import strength\n\ndef raised(word):\n    return word.upper() * strength()\n",
    "plugins/_deeper.py": "def strength():\n    return 2\n",
    "plugins/_words.py": "WORDS = ['a']\n",
    "plugins/_late.py": "def ending():\n    return '!'\n",
    "plugins/tools/__init__.py": "",
    "plugins/tools/loud.py": "LIMIT = 3\n\nclass Louder:\n    def __call__(self, word):\n        return word + '!'\n",
    "plugins/tools/unrelated.py": "",
    "plugins/other.py": '"""Another plugin file."""\n',
    "notes.py": "",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "企画"
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def planned(project: Path, **env: str) -> str:
    """Return the key that a new process gives the project's stage."""
    command = [sys.executable, "-m", "konomi", "plan", "own", "--json"]
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, env={**os.environ, "KONOMI_STORE": ".konomi", **env}
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)[0]["stages"][0]["key"])


def edit(file: Path, old: str, new: str) -> None:
    """Change a file at equal size, with the old times."""
    state, text = file.stat(), file.read_text(encoding="utf-8")
    assert old in text and len(old) == len(new)
    file.write_text(text.replace(old, new), encoding="utf-8")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def package(folder: Path, name: str) -> Callable[[], str | None]:
    """Return what gives the hash of a plugin's code as a process that starts now would."""

    def hashed() -> str | None:
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]
        importlib.invalidate_caches()
        return own_code(importlib.import_module(f"{name}.shout").Shout)

    return hashed


@pytest.fixture
def hashed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str | None]]:
    """Return what hashes the project's plugin, its files being a package of any name."""
    (project / "plugins").rename(project / "keys_shouting")
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from konomi import registry

    yield package(project, "keys_shouting")
    registry._entries.pop(("stage", "shout"), None)


EDITS = {
    "the plugin": ("shout.py", '"hello"', '"hullo"'),
    "an imported function": ("_voice.py", "upper", "lower"),
    "its helper": ("_deeper.py", "return 2", "return 3"),
    "a callable class": ("tools/loud.py", "'!'", "'?'"),
    "a module imported by a star": ("_words.py", "'a'", "'b'"),
    "a module imported inside a function": ("_late.py", "'!'", "'?'"),
}


@pytest.mark.parametrize("edited", EDITS)
def test_an_edit_of_what_the_plugin_imports_misses(
    project: Path, hashed: Callable[[], str | None], edited: str
) -> None:
    name, old, new = EDITS[edited]
    before = hashed()
    assert before is not None and hashed() == before
    edit(project / "keys_shouting" / name, old, new)
    assert hashed() != before


@pytest.mark.parametrize("name", ["other.py", "tools/unrelated.py", "new.py"])
def test_an_edit_of_an_unrelated_file_hits(project: Path, hashed: Callable[[], str | None], name: str) -> None:
    before = hashed()
    (project / "keys_shouting" / name).write_text("x = 1\n")
    (project / "notes.py").write_text("x = 1\n")
    assert hashed() == before


def test_a_package_around_the_plugin_counts_because_it_runs(project: Path, hashed: Callable[[], str | None]) -> None:
    before = hashed()
    (project / "keys_shouting" / "tools" / "__init__.py").write_text("import builtins\n")
    assert hashed() != before


def test_what_is_loaded_counts_until_it_is_loaded_anew(project: Path, hashed: Callable[[], str | None]) -> None:
    before = hashed()
    loaded = sys.modules["keys_shouting.shout"]
    edit(project / "keys_shouting" / "_deeper.py", "return 2", "return 3")
    assert own_code(loaded.Shout) == before, "the code that runs is still the old one"
    importlib.reload(sys.modules["keys_shouting._deeper"])
    assert own_code(loaded.Shout) != before


def test_a_module_that_is_not_loaded_yet_counts_as_it_is(project: Path, hashed: Callable[[], str | None]) -> None:
    before = hashed()
    edit(project / "keys_shouting" / "_late.py", "'!'", "'?'")
    assert own_code(sys.modules["keys_shouting.shout"].Shout) != before


def test_a_cycle_and_a_file_with_a_fault_in_it_are_no_trouble(project: Path, hashed: Callable[[], str | None]) -> None:
    before = hashed()
    (project / "keys_shouting" / "_deeper.py").write_text("from . import _voice\n\ndef strength():\n    return 2\n")
    after = hashed()
    (project / "keys_shouting" / "_late.py").write_text("def ending(:\n")
    assert len({before, after, hashed()}) == 3


def test_an_installed_package_counts_by_its_version_and_an_editable_one_by_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("site-packages", "checkout"):
        (tmp_path / folder / f"keys_{folder[:4]}").mkdir(parents=True)
        (tmp_path / folder / f"keys_{folder[:4]}" / "__init__.py").write_text("class Plugin:\n    pass\n")
        monkeypatch.syspath_prepend(tmp_path / folder)
    assert own_code(importlib.import_module("keys_site").Plugin) is None
    assert own_code(importlib.import_module("keys_chec").Plugin) is not None


def test_built_in_plugins_count_by_their_version() -> None:
    from konomi.filter.length import Length

    assert own_code(Length) is None


@pytest.mark.slow
def test_a_project_is_told_apart_by_its_code_in_new_processes(project: Path) -> None:
    before = planned(project, PYTHONHASHSEED="1")
    assert planned(project, PYTHONHASHSEED="2") == before
    edit(project / "plugins" / "_deeper.py", "return 2", "return 3")
    after = planned(project)
    assert after != before
    (project / "plugins" / "other.py").write_text('"""Edited."""\n')
    assert planned(project) == after
    moved = project.rename(project.with_name("moved"))
    assert planned(moved) == after, "another working folder"


def test_a_data_file_that_the_code_reads_counts_where_the_plugin_names_it(tmp_path: Path) -> None:
    """What code reads cannot be seen from outside: `depends()` names it."""
    import dataclasses

    from konomi import register
    from konomi.store.content import file_hash

    from .survey import key

    words = tmp_path / "words.txt"
    words.write_text("one two")

    @register("keys_words", "named")
    @dataclasses.dataclass(frozen=True)
    class Named:
        """Reads a file beside its code, and says so."""

        def depends(self) -> dict[str, Any]:
            return {"words": file_hash(words)}

    @register("keys_words", "silent")
    @dataclasses.dataclass(frozen=True)
    class Silent:
        """Reads the same file and does not say so."""

    before = key(Named()), key(Silent())
    edit(words, "two", "ten")
    assert key(Named()) != before[0]
    assert key(Silent()) == before[1], "docs/how_keys_work.md says so"


TWO = """
from dataclasses import dataclass
from typing import Any, ClassVar

from konomi import register
from konomi.fields import choice
from ._deeper import strength


@register("stage", "shout")
@dataclass(frozen=True)
class Shout:
    '''Shout from a process of its own.'''

    compute: Any = choice("compute", "ddp")
    makes: ClassVar[str] = "text"

    def run(self, job):
        (job.out / "word.txt").write_text(str(strength()))
"""
EDIT_AND_RUN = """
import pathlib, konomi
from konomi.runner import carry_out
plan = konomi.plan("own")
carry_out(plan, pathlib.Path("first"), say=lambda line: None)
plan = konomi.plan("own", ["store=other"])
pathlib.Path("plugins/_deeper.py").write_text("def strength():\\n    return 3\\n")
try:
    carry_out(plan, pathlib.Path("second"), say=lambda line: None)
except konomi.faults.KonomiError as error:
    print(error)
"""


@pytest.mark.slow
def test_processes_that_would_run_other_code_than_was_planned_refuse(project: Path) -> None:
    (project / "plugins" / "shout.py").write_text(TWO)
    done = subprocess.run([sys.executable, "-c", EDIT_AND_RUN], cwd=project, capture_output=True, text=True)
    assert "a plugin's file was changed while the run went on" in done.stdout, done.stderr
    assert (project / "first" / "say" / "word.txt").read_text() == "2", "unedited code runs"
    assert not list((project / "other" / "objects").iterdir())
