"""What attacks share: a kitchen to cook hostile recipes in, and a way to find a canary that has escaped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.recipe.conftest import kitchen

__all__ = ["kitchen"]


def holding(root: Path, canary: str) -> list[str]:
    """Return the files and folders below `root` whose name, link or content holds a canary."""
    found = []
    for path in root.rglob("*"):
        held = canary in path.name or (path.is_symlink() and canary in str(path.readlink()))
        if held or (path.is_file() and canary.encode() in path.read_bytes()):
            found.append(str(path))
    return found


@pytest.fixture(autouse=True)
def _same_variables() -> Iterator[None]:
    """Put the environment back: a command says in it when it began, for the processes that it starts."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> object:
    """Print a line of figures past pytest's capture, at the test's end."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}")

    return say
