"""A small set of plugins and recipes of the tests' own, so that the spine is tested without a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest

from konomi import register, search_path
from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY, artifact, artifacts, choice, choices
from konomi.job import Job


class Form(Enum):
    upper = "upper"
    lower = "lower"


@register("flavour", "salt")
@dataclass(frozen=True)
class Salt:
    """Add salt."""

    grams: float = 1.0
    """How much."""
    form: Form = Form.upper
    """In which form."""
    names: list[str] = field(default_factory=list)
    """Whom it is for."""
    cooks: int = field(default=1, metadata=NOT_IN_KEY)
    """How many work on it."""

    def check(self) -> list[Fault]:
        hint = "type grams=1, or names=[you]"
        return [Fault("grams", f"{self.grams} is less than nothing", hint)] if self.grams < 0 else []


@register("flavour", "pepper")
@dataclass(frozen=True)
class Pepper:
    """Add pepper."""

    corns: int = 3
    """How many."""


@register("spice", "saffron")
@dataclass(frozen=True)
class Saffron:
    """A spice that is no flavour."""

    threads: int = 2
    """How many."""


@register("library", "open")
@dataclass(frozen=True)
class Open:
    """Takes the arguments of TRL's SFTConfig."""

    arguments: dict[str, Any] = field(default_factory=dict)
    arguments_of: ClassVar[str] = "trl/trainer/sft_config.py:SFTConfig"


@register("stage", "word")
@dataclass(frozen=True)
class Word:
    """Write a word to a file."""

    word: str = "hello"
    """The word."""
    spice: Any = choice("spice", "saffron")
    """Its spice."""
    file: str | None = None
    """A file that it depends on."""
    extra: dict[str, str] = field(default_factory=dict)
    """Names of the user's own."""

    makes: ClassVar[str] = "text"

    def depends(self) -> dict[str, str]:
        return {"file": Path(self.file).read_text()} if self.file else {}

    def run(self, job: Job) -> None:
        (job.out / "word.txt").write_text(self.word, encoding="utf-8")
        job.figures(letters=len(self.word))


@register("stage", "dish")
@dataclass(frozen=True)
class Dish:
    """Cook a word."""

    data: Any = artifact("text", "model")
    """What to cook."""
    side: Any = artifact("text", optional=True)
    """What to serve beside it."""
    flavour: Any = choice("flavour", "salt")
    """How to season it."""
    serve: bool = True
    """Whether `side` is used."""
    library: Any = choice("library", "open")
    """A library's arguments."""

    makes: ClassVar[str] = "model"

    def unused(self) -> list[str]:
        return [] if self.serve else ["side"]

    def run(self, job: Job) -> None:
        word = (self.data.path / "word.txt").read_text(encoding="utf-8")
        (job.out / "word.txt").write_text(f"{word} with {type(self.flavour).__name__}", encoding="utf-8")


@register("stage", "menu")
@dataclass(frozen=True)
class Menu:
    """List flavours in order."""

    flavours: dict[str, Any] = choices("course", "soup")
    """The courses."""
    data: Any = artifact("model", optional=True)
    """A dish."""

    makes: ClassVar[str] = "evaluation"

    def run(self, job: Job) -> None:
        job.figures(order=list(self.flavours))


@register("stage", "gather")
@dataclass(frozen=True)
class Gather:
    """Put words together, in order."""

    data: dict[str, Any] = artifacts("text")
    """The words."""

    makes: ClassVar[str] = "text"

    def run(self, job: Job) -> None:
        job.figures(order=list(self.data))


@register("course", "soup")
@dataclass(frozen=True)
class Soup:
    """A soup."""

    litres: float = 0.5
    """How much."""


@register("course", "rice")
@dataclass(frozen=True)
class Rice:
    """A bowl of rice."""

    bowls: int = 1
    """How many."""


RECIPES = {
    "meal": """# A word, cooked twice.
defaults:
  - konomi
  - stage@word: word
  - stage@lunch: dish
  - stage@dinner: dish
  - override /flavour@dinner.flavour: pepper
  - _self_
lunch: {data: "${artifact:word}"}
dinner: {data: "${artifact:lunch}"}
""",
    "one": """# A word, cooked once, with a side dish.
defaults:
  - konomi
  - stage@word: word
  - stage@side: word
  - stage@dish: dish
  - _self_
dish: {data: "${artifact:word}", side: "${artifact:side}"}
""",
    "basket": """# Two words in one basket.
defaults:
  - konomi
  - stage@one: word
  - stage@two: word
  - stage@basket: gather
  - _self_
two: {word: other}
""",
    "courses": """# Several courses.
defaults:
  - konomi
  - stage@menu: menu
  - _self_
""",
}
PRESETS = {
    "flavour/strong.yaml": "defaults: [salt, _self_]\ngrams: 5\n",
    "course/big_soup.yaml": "defaults: [soup, _self_]\nlitres: 2\n",
}


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder whose recipes and presets konomi sees; further files may be written into it."""
    folder = tmp_path / "台所 conf"
    folder.mkdir()
    for name, text in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for name, text in PRESETS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    search_path.add_config_dir(folder)
    yield folder
    search_path._config_dirs.remove(folder)
