"""Training in several processes of one machine, each with a copy of the model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from konomi.faults import Fault
from konomi.fields import NOT_IN_KEY
from konomi.registry import register


@register("compute", "ddp")
@dataclass(frozen=True)
class Ddp:
    """Train in several processes that average their gradients at every step (PyTorch's DistributedDataParallel).

    On GPUs a process has one GPU of its own; on a machine without, the processes share the CPU over gloo.

    >>> Ddp(processes=2).launch()[:2]
    ['--multi_gpu', '--num_processes=2']
    """

    processes: int = 2
    """Number of processes that train together."""
    gpus: list[int] = field(default_factory=list, metadata=NOT_IN_KEY)
    """Which GPUs to use, by their index; empty takes the first ones."""
    port: int = field(default=0, metadata=NOT_IN_KEY)
    """Port by which the processes find one another; 0 takes a free one."""

    def check(self) -> Iterable[Fault]:
        if self.processes < 2:
            yield Fault("processes", f"{self.processes}: ddp joins two or more", "compute=local trains in one process")
        if self.gpus and len(set(self.gpus)) != self.processes:
            what = f"{len(set(self.gpus))} GPUs for {self.processes} processes; each process has one of its own"
            yield Fault("gpus", what, f"processes={len(set(self.gpus))}")
        found = gpus()
        if self.gpus and (missing := sorted(set(self.gpus) - set(range(found)))):
            yield Fault("gpus", f"there is no GPU {missing[0]}; this machine shows {found}", "nvidia-smi -L lists them")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        have = found or cores
        if self.processes > have:
            what = f"{self.processes} processes, and this machine has {have} {'GPUs' if found else 'CPU cores'}"
            yield Fault("processes", what, f"processes={have}" if have > 1 else "compute=local")

    def launch(self) -> list[str] | None:
        """Return the arguments of `accelerate launch`.

        `--cpu` is not among them: with it accelerate starts a single process, however many are asked for. Where there
        is no GPU, `--multi_gpu` starts them all, and they join over gloo.
        """
        arguments = ["--multi_gpu", f"--num_processes={self.processes}", "--num_machines=1", "--mixed_precision=no"]
        arguments += ["--dynamo_backend=no", f"--main_process_port={self.port}"]
        if self.gpus:
            arguments.append(f"--gpu_ids={','.join(map(str, self.gpus))}")
        return arguments


def gpus() -> int:
    """Return the number of GPUs that a child process would see, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [path for path in Path("/dev").glob("nvidia[0-9]*") if path.name[len("nvidia") :].isdigit()]
    if visible is not None:
        return min(len([name for name in visible.split(",") if name.strip() not in ("", "-1")]), len(devices))
    return len(devices)
