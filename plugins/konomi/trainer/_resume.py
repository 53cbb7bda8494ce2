"""Under what a checkpoint was made, and what of it is otherwise where it is taken up."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from konomi.faults import KonomiError
from konomi.store.seal import SEAL
from konomi.trainer._arguments import named_precision

log = logging.getLogger(__name__)

VERSIONS = ("torch", "transformers", "trl", "accelerate")
"""Libraries whose next version may compute another last digit."""


def conditions(args: Any) -> dict[str, Any]:
    """Return what a training's last digits depend on beside its key: what a seal says, and a resume compares."""
    import importlib.metadata

    import torch

    found = {
        "world_size": args.world_size,
        "per_device_train_batch_size": args.per_device_train_batch_size,
        "gradient_accumulation_steps": args.gradient_accumulation_steps,
        "sharding": _sharding(args),
        "precision": named_precision(args),
        **{name: importlib.metadata.version(name) for name in VERSIONS},
    }
    if args.device.type == "cpu":
        found["threads"] = torch.get_num_threads()
    return found


def differences(args: Any, checkpoint: Path | None) -> dict[str, str]:
    """Return what differs from when a checkpoint was sealed, as `{name: "2 → 1"}`; nothing where there is none.

    Raises `KonomiError` where transformers would go on without the optimizer's state, or not at all.
    """
    if checkpoint is None:
        return {}
    then, now = json.loads((checkpoint / SEAL).read_text(encoding="utf-8")), conditions(args)
    found = {name: f"{then[name]} → {now[name]}" for name in now if name in then and then[name] != now[name]}
    split = "sharding" in found or ("world_size" in found and now["sharding"] != "none")
    if split:
        words = ", ".join(f"{name} {what}" for name, what in found.items())
        raise KonomiError(
            f"{checkpoint} holds an optimizer that is split otherwise ({words}), which cannot be taken up; run it with"
            " the compute it was begun with, or begin anew with refresh=STAGE"
        )
    if found:
        words = ", ".join(f"{name} {what}" for name, what in found.items())
        log.warning("going on from %s under other conditions (%s): not bit for bit the same", checkpoint, words)
    else:
        log.info("going on from %s", checkpoint)
    return found


def _sharding(args: Any) -> str:
    """Return how the optimizer's state lies in a checkpoint: `none`, `zero2`, `fsdp`."""
    plugin = getattr(args, "deepspeed_plugin", None)
    if plugin is not None:
        return f"zero{plugin.zero_stage}"
    return "fsdp" if getattr(args, "fsdp", None) else "none"
