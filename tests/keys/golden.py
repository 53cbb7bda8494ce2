"""How a golden output is entered, and what several of them are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from konomi import registry

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


def texts_artifact(folder: Path, makes: str = "text") -> Any:
    from konomi.testing.training import make_artifact

    texts = [text for text in TEXTS if text] * 3
    return make_artifact(folder / "texts", makes, [{"text": t} for t in texts], test=[{"text": t} for t in texts[:4]])


def waves(*shape: int, step: float = 0.7) -> Any:
    """Return numbers that no generator of random ones makes, so that they are the same everywhere."""
    import torch

    count = 1
    for size in shape:
        count *= size
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) * step).float().reshape(shape)


def tables(stage: Any, folder: Path) -> Any:
    """Run a stage and return the rows of all its Parquet files."""
    import pyarrow.parquet as pq

    from konomi.testing.training import make_job

    job = make_job(folder / "job")
    stage.run(job)
    files = sorted(job.out.rglob("*.parquet"))
    assert files
    return {file.relative_to(job.out).as_posix(): pq.read_table(file).to_pylist() for file in files}
