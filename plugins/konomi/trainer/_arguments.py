"""TRL's arguments: which of them are konomi's, which shape the result, and how the whole is put together."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.job import SMOKE_STEPS

if TYPE_CHECKING:
    from konomi.trainer import Setup, Trainer

log = logging.getLogger(__name__)

DEFAULTS: Mapping[str, Any] = MappingProxyType({"eval_strategy": "steps", "eval_steps": 0.1, "save_total_limit": 2})
"""konomi's own defaults: ten evaluations of the held-out rows, where there are some, and two checkpoints."""

OWNED: Mapping[str, str] = {
    "output_dir": "konomi gives every attempt a folder of its own in the store",
    "resume_from_checkpoint": "start the same command again: it goes on from the last sealed checkpoint",
    "trust_remote_code": "a model that brings code is a matter of the stage's model, not of its trainer",
    "model_init_kwargs": "how a model is loaded is said under the stage's model",
    "seed": "set the stage's own seed",
    "data_seed": "set the stage's own seed",
    "hub_token": "log in with `hf auth login`, or set HF_TOKEN: an option would be written into logs and checkpoints",
    "hub_strategy": "konomi pushes once, when the training has ended",
    "hub_always_push": "konomi pushes once, when the training has ended",
    "enable_jit_checkpoint": "konomi seals a checkpoint by itself when it is stopped",
    "save_only_model": "a checkpoint without its optimizer would resume silently different",
    "save_on_each_node": "a checkpoint is sealed by one process",
    "ignore_data_skip": "it would resume on rows that were trained already",
    "restore_callback_states_from_checkpoint": "konomi keeps its own counts beside the checkpoint",
    "load_best_model_at_end": "the best checkpoint may lie in an earlier attempt; use early_stopping_patience",
    "auto_find_batch_size": "the batch is part of what a training is; set per_device_train_batch_size",
    "remove_unused_columns": "konomi hands over exactly the columns that are used",
    "disable_tqdm": "konomi draws one bar of its own; TQDM_DISABLE=1 in the environment removes it",
    "use_cpu": "hide the accelerators instead, with CUDA_VISIBLE_DEVICES=",
    "local_rank": "the launcher sets it",
    "deepspeed": "choose it with the stage's compute",
    "fsdp": "choose it with the stage's compute",
    "fsdp_config": "choose it with the stage's compute",
    "parallelism_config": "Ulysses and context parallelism compute the loss without konomi's weights",
    "accelerator_config": "choose how to launch with the stage's compute",
    "do_train": "a training stage trains",
    "do_eval": "held-out rows are evaluated where the data has some; set eval_strategy=no to leave it out",
    "do_predict": "add an evaluate stage",
}
"""Arguments that a recipe cannot set, and what to do instead."""

NOT_SHAPING = frozenset(
    (
        "logging_steps", "logging_strategy", "logging_first_step", "logging_nan_inf_filter", "log_level",
        "log_level_replica", "log_on_each_node", "report_to", "run_name", "project", "trackio_space_id",
        "trackio_bucket_id", "trackio_static_space_id", "include_num_input_tokens_seen", "skip_memory_metrics", "debug",
        "save_strategy", "save_steps", "save_total_limit",
        "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers",
        "dataloader_prefetch_factor", "dataloader_multiprocessing_context",
        "per_device_eval_batch_size", "eval_accumulation_steps",
        "torch_empty_cache_steps", "ddp_backend", "ddp_timeout", "ddp_bucket_cap_mb",
    )
)  # fmt: skip
"""Arguments that cannot change the trained weights; they stay out of the key."""

PER_DEVICE = "per_device_train_batch_size"
ACCUMULATION = "gradient_accumulation_steps"
LIBRARY_BATCH = {PER_DEVICE: 8, ACCUMULATION: 1}
"""What transformers' TrainingArguments take where nothing is said."""

TEXTS = frozenset({"run_name", "project", "hub_model_id", "hub_revision"})
"""Arguments that may look like a number and are none."""
EXPONENT = re.compile(r"[+-]?\d+\.?\d*[eE][+-]?\d+")

UNSEEDED = ("group_by_length",)
"""Orders of the rows that a resume does not find again after the first epoch."""
STATELESS = (
    "galore_adamw_layerwise", "galore_adamw_8bit_layerwise", "galore_adafactor_layerwise", "apollo_adamw_layerwise",
    "adalomo",
)  # fmt: skip
"""Optimizers that step inside the backward pass, with a state that transformers does not save."""

KEPT_CHECKPOINTS = 2
"""Fewest checkpoints to keep: the old ones are removed before the new one is sealed."""


def merged(trainer: Trainer) -> dict[str, Any]:
    """Return konomi's defaults with what the recipe says on top."""
    given = {**trainer.arguments_default, **trainer.arguments}
    return {name: _number(value) if name not in TEXTS else value for name, value in given.items()}


def _number(value: Any) -> Any:
    """Return `1e-4` as the number that was meant: YAML 1.1 reads it as a text."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def faults(trainer: Trainer, refused: Mapping[str, str]) -> Iterator[Fault]:
    """Yield what is wrong with the arguments themselves; `refused` adds the adapter's own to `OWNED`."""
    given = merged(trainer)
    for name in trainer.arguments:
        if hint := {**OWNED, **refused}.get(name):
            yield Fault(name, "this argument is konomi's, and a recipe cannot set it", hint)
    if given.get("push_to_hub") and not given.get("hub_model_id"):
        yield Fault("push_to_hub", "a push needs a name, or the repository is called after a folder", "hub_model_id=…")
    if given.get("save_strategy") == "best":
        yield Fault("save_strategy", "best: a resume needs the newest checkpoint", "save_strategy=steps")
    if given.get("train_sampling_strategy") in UNSEEDED:
        what = "group_by_length: a resume after the first epoch would see the rows in another order"
        yield Fault("train_sampling_strategy", what, "train_sampling_strategy=batch_rebalance, or packed rows")
    if given.get("optim") in STATELESS:
        what = f"{given['optim']}: its state is not in a checkpoint, so that a resume would go on without it"
        yield Fault("optim", what, "optim=adamw_torch_fused")
    limit = given.get("save_total_limit")
    if isinstance(limit, int) and limit < KEPT_CHECKPOINTS:
        what = f"{limit}: the old checkpoint goes before the new one is whole; expected {KEPT_CHECKPOINTS} or more"
        yield Fault("save_total_limit", what, f"save_total_limit={KEPT_CHECKPOINTS}")
    for name in (PER_DEVICE, ACCUMULATION):
        if isinstance(given.get(name), int) and given[name] < 1:
            yield Fault(name, f"{given[name]}; expected 1 or more", f"{name}={LIBRARY_BATCH[name]}")


def global_batch(trainer: Trainer, processes: int) -> int:
    """Return the number of rows that one optimizer step sees, over all processes."""
    given = {**LIBRARY_BATCH, **merged(trainer)}
    return int(given[PER_DEVICE]) * int(given[ACCUMULATION]) * processes


def shaping(trainer: Trainer, processes: int, *, micro_batch: bool) -> dict[str, Any]:
    """Return the arguments that shape the weights, for a key: the global batch stands for its split.

    `micro_batch` keeps the split's one part that matters where something is ranked within a micro-batch.
    """
    values = {name: value for name, value in merged(trainer).items() if name not in NOT_SHAPING}
    per_device = values.pop(PER_DEVICE, LIBRARY_BATCH[PER_DEVICE])
    values.pop(ACCUMULATION, None)
    values["global_batch"] = global_batch(trainer, processes)
    if micro_batch:
        values[PER_DEVICE] = per_device
    return values


def steps(trainer: Trainer, rows: int, processes: int) -> int:
    """Return the number of optimizer steps over so many rows."""
    given = merged(trainer)
    if int(given.get("max_steps") or -1) > 0:
        return int(given["max_steps"])
    epochs = float(given.get("num_train_epochs", 3.0))
    return math.ceil(math.ceil(rows / global_batch(trainer, processes)) * epochs)


def assemble(trainer: Trainer, setup: Setup, **own: Any) -> dict[str, Any]:
    """Return all arguments of TRL's configuration; `own` are the adapter's, and win."""
    job = setup.job
    values = {**hardware(), **merged(trainer)}
    if values.get("fp16"):
        values["bf16"] = False
    if setup.evaluation is None and values.get("eval_strategy", "no") != "no":
        if "eval_strategy" in trainer.arguments:
            raise KonomiError(
                f"{job.name}: eval_strategy={values['eval_strategy']} needs held-out rows, and the data has no test"
                f" split; set eval_strategy=no, or hold rows out where the data is made"
            )
        values["eval_strategy"] = "no"
    values.setdefault("project", job.recipe)
    values.setdefault("run_name", f"{job.recipe}-{job.name}-{job.key[:8]}")
    values.pop("push_to_hub", None)
    for name in ("hub_model_id", "hub_private_repo", "hub_revision"):
        values.pop(name, None)
    if job.smoke:
        smoke = {"max_steps": SMOKE_STEPS, "save_strategy": "no", "eval_strategy": "no", "report_to": "none"}
        values |= {**smoke, "logging_steps": 1, "logging_strategy": "steps"}
    values |= {
        "output_dir": str(job.work),
        "seed": setup.seed,
        "data_seed": setup.seed,
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    return {**values, **own}


def hardware() -> dict[str, bool]:
    """Return what this machine is good at: bf16 on an accelerator that has it, else fp32.

    TRL's own default is bf16 everywhere, on a CPU too, where it is slow and loses digits.
    """
    import torch

    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    bf16 = bf16 or (hasattr(torch, "xpu") and torch.xpu.is_available())
    here = torch.accelerator.is_available()
    # `use_cpu` is what makes accelerate join processes over gloo where there is no accelerator
    return {"bf16": bool(bf16), "dataloader_pin_memory": here, "use_cpu": not here}


def named_precision(arguments: Any) -> str:
    """Return the precision of built arguments in words, with the device."""
    name = "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32"
    return f"{name} on {arguments.device.type}"


def build(config: type[Any], values: Mapping[str, Any], processes: int) -> Any:
    """Return TRL's configuration, made to use one device a process.

    Raises `KonomiError` where the processes do not form one world: `accelerate launch --cpu` and `use_cpu` are known to
    train one model a process into one folder.
    """
    try:
        arguments = config(**values)
    except (TypeError, ValueError, ImportError) as error:
        raise KonomiError(f"{config.__name__} refuses its arguments: {error}") from error
    if arguments.world_size != processes:
        raise KonomiError(
            f"the stage's compute promises {processes} processes, and {arguments.world_size} form a world;"
            " launch it with `konomi run`, which starts them together"
        )
    if processes == 1 and arguments.n_gpu > 1:
        # the Trainer would wrap the model in DataParallel, which TRL refuses: one process trains on one device
        arguments._n_gpu = 1
        log.warning("several accelerators are visible and one is used; compute=ddp uses them all")
    return arguments


def verify(config: type[Any], trainer: Trainer, **own: Any) -> Iterable[Fault]:
    """Yield what TRL's configuration says to the arguments, without touching an accelerator."""
    values = {**merged(trainer), "output_dir": "unused", "report_to": "none", "use_cpu": True, **own}
    values.setdefault("bf16", False)
    values.pop("push_to_hub", None)
    try:
        config(**values)
    except (TypeError, ValueError, ImportError) as error:
        yield Fault("", f"{config.__name__} refuses these arguments: {error}")
