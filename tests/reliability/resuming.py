"""Training the tiny model with and without a disturbance, and what can befall a checkpoint.

Alone, this file is one of two processes: it carries out points of the damage matrix in one world, and writes what it
found for each to `rank-N.json`.

    accelerate launch … tests/reliability/resuming.py FOLDER POINT…
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from konomi.faults import KonomiError
from konomi.stage import _training
from konomi.stage._language_model import COLUMNS
from konomi.store.seal import SEAL, newest_sealed
from konomi.testing.training import TEXTS, TinyModel, make_job, make_tokens
from konomi.token_weighting.uniform import Uniform
from konomi.trainer import Outcome, Setup
from konomi.trainer._callbacks import barrier
from konomi.trainer.sft import Sft

ARGUMENTS = {
    "max_steps": 7, "logging_steps": 2, "save_steps": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2,
    "gradient_checkpointing": False, "eval_strategy": "steps", "eval_steps": 3,
}  # fmt: skip
SAVING = {
    "the model": ("transformers.trainer:Trainer", "save_model"),
    "the optimizer": ("transformers.trainer:Trainer", "_save_optimizer_and_scheduler"),
    "the random state": ("transformers.trainer:Trainer", "_save_rng_state"),
    "the trainer's state": ("transformers.trainer_callback:TrainerState", "save_to_json"),
    "the counts": ("konomi.trainer._callbacks:Progress", "write"),
    "the hashes": ("konomi.store.seal", "sync_tree"),
}
"""Parts of a save, in their order; after the last of them only the seal is missing."""
NEWEST, BEFORE = "checkpoint-6", "checkpoint-4"
"""The two checkpoints that a training with `ARGUMENTS` leaves."""


@dataclass(frozen=True)
class End:
    """Where a training ended: all that must not depend on whether it was disturbed."""

    weights: dict[str, torch.Tensor]
    history: list[dict[str, Any]]
    tokens: tuple[int, int]
    steps: int

    @classmethod
    def of(cls, outcome: Outcome) -> End:
        weights = {name: value.detach().clone() for name, value in outcome.model.state_dict().items()}
        history = [
            {name: value for name, value in row.items() if not name.endswith(_training.TIMES)}
            for row in outcome.history
            if "train_runtime" not in row
        ]
        return cls(weights, history, (outcome.tokens_seen, outcome.tokens_selected), outcome.steps)

    def differences(self, other: End) -> list[str]:
        """Return what is not bit for bit the same."""
        found = [f"history: {a} != {b}" for a, b in zip(self.history, other.history, strict=False) if a != b]
        if len(self.history) != len(other.history):
            found.append(f"history: {len(self.history)} rows != {len(other.history)}")
        found += [f"weights: {name}" for name, value in self.weights.items() if not same(value, other.weights[name])]
        if (self.tokens, self.steps) != (other.tokens, other.steps):
            found.append(f"counts: {self.tokens} at {self.steps} != {other.tokens} at {other.steps}")
        return found


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def make_setup(folder: Path, *, packing: str = "bfd", repeat: int = 3, **model: Any) -> Setup:
    """Return a setup over tiny rows, held-out ones too; its job is replaced for every training."""
    tiny = TinyModel()
    data = make_tokens(folder / "data", tiny, TEXTS * repeat, packing=packing, test=TEXTS[:2])
    job = make_job(folder / "rows")
    train, held_out = (_training.rows(job, data.shards(split), COLUMNS, part=split) for split in ("train", "test"))
    assert train is not None
    world = int(os.environ.get("WORLD_SIZE", "1"))
    return Setup(job, tiny.load(**model), tiny.tokenizer(), train, held_out, seed=3, processes=world)


def train(
    setup: Setup, work: Path, *, resume: Path | None = None, weighting: Any = None, patience: int = 0,
    isolated: bool = True, peft: Any = None, dropout: float = 0.0, job: dict[str, Any] | None = None, **arguments: Any,
) -> Outcome:  # fmt: skip
    """Train a fresh tiny model, writing checkpoints to `work`."""
    from transformers import set_seed

    set_seed(setup.seed)
    made = replace(make_job(work.parent / "job", **(job or {})), work=work, resume=resume)
    fresh = replace(setup, job=made, model=TinyModel().load(attention_dropout=dropout), peft=peft)
    trainer = Sft(early_stopping_patience=patience, arguments={**ARGUMENTS, **arguments})
    return trainer.train(fresh, weighting or Uniform(), isolated=isolated)


def missing(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def flipped(file: Path) -> None:
    """Flip one bit in the middle; the size and the time stay."""
    status = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def half_written(checkpoint: Path) -> None:
    """Leave what a kill inside the save of the optimizer leaves."""
    for file in [path for path in checkpoint.rglob("*") if path.is_file()]:
        if file.name != "model.safetensors":
            file.unlink()


def added(checkpoint: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"somebody else's")


PARTS = {
    "model": ("model.safetensors",),
    "optimizer": ("optimizer.pt", "global_step*/*optim_states.pt"),
    "scheduler": ("scheduler.pt",),
    "rng": ("rng_state.pth", "rng_state_1.pth"),
    "state": ("trainer_state.json",),
    "counts": ("konomi.json",),
}
"""Files of a checkpoint, as one process, several processes and ZeRO name them."""


def part(name: str, damage: Callable[[Path], None]) -> Callable[[Path], None]:
    def hurt(checkpoint: Path) -> None:
        damage(max(file for pattern in PARTS[name] for file in checkpoint.glob(pattern)))

    return hurt


POINTS: dict[str, Callable[[Path], None]] = {
    **{
        f"{name} {damage.__name__}": part(name, damage)
        for name in PARTS
        for damage in (missing, emptied, flipped)
    },
    "seal missing": lambda checkpoint: missing(checkpoint / SEAL),
    "seal torn": lambda checkpoint: torn(checkpoint / SEAL),
    "half written": half_written,
    "file added": added,
}  # fmt: skip
FEW = ("optimizer missing", "rng flipped", "half written", "seal torn")
"""Points for where a training is dear: two of them resume silently different without a seal."""


@dataclass
class Bench:
    """One undisturbed training, and resumed ones that are compared with it."""

    folder: Path
    first: bool = True
    """Whether this process is the one that damages."""

    def __post_init__(self) -> None:
        rank = os.environ.get("RANK", "0")
        self.setup = make_setup(self.folder / f"of-{rank}")
        self.calm = self.folder / "calm" / "attempt-0"
        self.end = End.of(train(self.setup, self.calm))

    def carry_out(self, point: str) -> dict[str, Any]:
        """Damage a copy of the undisturbed training's last checkpoint, go on from what verifies, and compare."""
        work = self.folder / point.replace(" ", "-")
        attempt = work / "attempt-0"
        if self.first:
            shutil.copytree(self.calm, attempt)
            if point != "nothing":
                for name in (NEWEST, BEFORE) if point == "both" else (NEWEST,):
                    (half_written if point == "both" else POINTS[point])(attempt / name)
        barrier()
        before = digest(attempt)
        resume = newest_sealed(work)
        barrier()
        try:
            outcome = train(self.setup, work / "attempt-1", resume=resume)
        except KonomiError as refused:
            return {"refused": str(refused)}
        barrier()
        return {
            "from": resume.name if resume else None,
            "resume": outcome.resume,
            "differences": End.of(outcome).differences(self.end),
            "read_only": digest(attempt) == before,
        }


def digest(folder: Path) -> str:
    """Return a hash over a folder's names, contents and times."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder)} {file.stat().st_mtime_ns}".encode() + file.read_bytes())
    return found.hexdigest()


class Killed(BaseException):
    """Stands for a kill: nothing that follows is carried out."""


def main(folder: Path, points: list[str]) -> None:
    rank = int(os.environ["RANK"])
    bench = Bench(folder, first=rank == 0)
    found = {"end": {"steps": bench.end.steps, "world_size": int(os.environ["WORLD_SIZE"])}, "points": {}}
    for point in points:
        found["points"][point] = bench.carry_out(point)
    (folder / f"rank-{rank}.json").write_text(json.dumps(found))
    _training.leave_world()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
