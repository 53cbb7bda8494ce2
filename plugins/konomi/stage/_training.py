"""What every training stage does around its trainer: check, key, read rows, save, show.

A training stage has the fields `model`, `trainer`, `peft`, `compute` and `seed`, and writes

    def run(self, job):
        tokenizer = self.model.tokenizer()
        train, held_out = rows(job, self.data.shards("train"), COLUMNS), rows(job, self.data.shards("test"), COLUMNS)
        setup = prepare(self, job, tokenizer, train, held_out)
        carry_out(self, setup, lambda: self.trainer.train(setup, …))
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from konomi import registry
from konomi.compute import Compute
from konomi.faults import Fault, KonomiError
from konomi.job import Job
from konomi.model import Model
from konomi.peft import Peft
from konomi.report import Block, Lines, Note, Table
from konomi.stage import Cost
from konomi.store.full import stopped_when_full
from konomi.trainer import Outcome, Setup, Trainer
from konomi.trainer import _arguments as trainer_arguments
from konomi.trainer._trackers import tracked

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

LOG = "log.jsonl"
"""File in a model's folder with what was logged while it trained."""
TIMES = ("_runtime", "_per_second")
"""Ends of the names of logged figures that differ from run to run."""
RESUMING = ("resume", "resumed_under")
"""Figures that tell how a training came about, not what it is."""
FLOPS_PER_PARAMETER = 6
"""Of a token forward and backward (Kaplan+ 2020, section 2.1)."""


class Training(Protocol):
    """The fields that training stages share."""

    @property
    def model(self) -> Model: ...
    @property
    def trainer(self) -> Trainer: ...
    @property
    def peft(self) -> Peft: ...
    @property
    def compute(self) -> Compute: ...
    @property
    def seed(self) -> int: ...


def faults(stage: Training, reads: str) -> Iterator[Fault]:
    """Yield a fault where the stage's trainer reads other rows than the stage has."""
    if stage.trainer.reads != reads:
        fitting = [entry.name for entry in registry.entries("trainer") if entry.cls.reads == reads]
        name = next(entry.name for entry in registry.entries("trainer") if entry.cls is type(stage.trainer))
        yield Fault(
            "trainer",
            f"{name} trains on {stage.trainer.reads}, and this stage has {reads}",
            f"known for {reads}: {', '.join(fitting)}",
        )


def key_fields(stage: Training, fields: Mapping[str, Any], *, micro_batch: bool) -> dict[str, Any]:
    """Return a stage's fields for its key: the global batch for its split, without what only logs or launches.

    `micro_batch` tells whether something (a ranking of tokens) sees one device's micro-batch, which then counts.
    """
    values = {name: value for name, value in fields.items() if name != "compute"}
    arguments = trainer_arguments.shaping(stage.trainer, stage.compute.processes, micro_batch=micro_batch)
    options = {**fields["trainer"]["fields"], "arguments": arguments}
    values["trainer"] = {**fields["trainer"], "fields": options}
    return values


def cost(stage: Training, rows: int | None, tokens: int | None) -> Cost:
    """Return what a training over so many rows will take; `tokens` are those of one epoch."""
    parameters = stage.model.parameters()
    if rows is None or tokens is None or not rows:
        return Cost(parameters=parameters)
    steps = trainer_arguments.steps(stage.trainer, rows, stage.compute.processes)
    seen = round(steps * trainer_arguments.global_batch(stage.trainer, stage.compute.processes) * tokens / rows)
    flops = FLOPS_PER_PARAMETER * float(parameters) * seen if parameters else None
    return Cost(documents=rows, tokens=seen, flops=flops, parameters=parameters, unique_tokens=tokens)


def rows(job: Job, shards: Sequence[Path], columns: Sequence[str], *, part: str = "data") -> Dataset | None:
    """Return the rows of some Parquet files, memory-mapped from the job's own folder; None where there are no files.

    The Arrow file is written here: `datasets`' cache is known to serve stale rows, and names files after the whole
    path, which a deep folder or one with Japanese in it makes too long for a file system.
    """
    if not shards:
        return None
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    datasets.disable_caching()
    file = job.work / "rows" / f"{part}-{os.environ.get('RANK', '0')}.arrow"
    file.parent.mkdir(parents=True, exist_ok=True)
    fields = [pq.read_schema(shards[0]).field(name) for name in columns]
    schema = pa.schema(fields)  # without the files' metadata, which speaks of columns that are left out
    with (
        stopped_when_full(job.name, job.work, first=is_main()),
        pa.OSFile(str(file), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        for shard in shards:
            with pq.ParquetFile(shard) as parquet:
                for batch in parquet.iter_batches(columns=list(columns)):
                    writer.write_table(pa.Table.from_batches([batch]).select(list(columns)).cast(schema))
    return datasets.Dataset.from_file(str(file))


def prepare(
    stage: Training,
    job: Job,
    tokenizer: PreTrainedTokenizerBase,
    train: Dataset | None,
    evaluation: Dataset | None,
    *,
    model: PreTrainedModel | None = None,
) -> Setup:
    """Return what the trainer is handed; the stage's model is loaded unless one is given.

    A full training updates weights in float32, whatever they were saved in; adapters leave the base as it is.
    """
    from transformers import set_seed

    if train is None or not len(train):
        raise KonomiError(
            f"{job.name}: there are no rows to train on; what made the data left nothing in its train split"
        )
    set_seed(stage.seed)
    model = model if model is not None else stage.model.load()
    peft = stage.peft.config()
    if peft is None:
        model.float()
    card = _card(job, {})
    held_out = evaluation if evaluation is not None and len(evaluation) else None
    return Setup(job, model, tokenizer, train, held_out, stage.seed, stage.compute.processes, peft, card)


def carry_out(
    stage: Training,
    setup: Setup,
    train: Callable[[], Outcome],
    *,
    figures: Mapping[str, Any] | None = None,
    loss_of: str = "nats a token",
) -> None:
    """Train, then fill the job's folder from the first process.

    `figures` are the stage's own, read when the training has ended; `loss_of` is what its loss is measured in.
    """
    job = setup.job
    with stopped_when_full(job.name, job.work, first=is_main()):
        with tracked(job):
            outcome = train()
        if is_main():
            _publish(stage, setup, outcome, dict(figures or {}), loss_of)
    leave_world()


def is_main() -> bool:
    """Tell whether this process is the first, the only one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def leave_world() -> None:
    """Wait for the other processes and take the process group down, which may abort a good run when left to exit."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _publish(stage: Training, setup: Setup, outcome: Outcome, figures: dict[str, Any], loss_of: str) -> None:
    job = setup.job
    model = stage.peft.finish(outcome.model)
    model.config.use_cache = True
    model.save_pretrained(job.out)
    setup.tokenizer.save_pretrained(job.out)
    write_log(job.out / LOG, outcome)
    figures |= training_figures(outcome)
    figures["parameters"] = model.num_parameters()
    card = _card(job, {name: value for name, value in figures.items() if name not in RESUMING})
    (job.out / "README.md").write_text(card, encoding="utf-8")
    job.figures(**figures)
    job.show(*training_blocks(outcome, figures, loss_of))
    push(stage.trainer, job)


def write_log(file: Path, outcome: Outcome) -> None:
    """Write what was logged, a JSON object a line, such that the same training gives the same bytes.

    Times are left out, and the summary that transformers appends, whose loss covers the last attempt alone.
    """
    with file.open("w", encoding="utf-8") as stream:
        for row in outcome.history:
            if "train_runtime" not in row:
                kept = {name: value for name, value in row.items() if not name.endswith(TIMES)}
                stream.write(json.dumps(kept, ensure_ascii=False, sort_keys=True) + "\n")


def training_figures(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of a training: the last losses, steps, tokens, precision, how it was resumed."""
    train = [row["loss"] for row in outcome.history if "loss" in row]
    held_out = [row["eval_loss"] for row in outcome.history if "eval_loss" in row]
    figures: dict[str, Any] = {
        "steps": outcome.steps,
        "tokens_seen": outcome.tokens_seen,
        "tokens_selected": outcome.tokens_selected,
        "precision": outcome.precision,
        "resume": outcome.resume,
    }
    if outcome.differing:
        figures["resumed_under"] = ", ".join(f"{name} {what}" for name, what in outcome.differing.items())
    if train:
        figures["train_loss"] = train[-1]
    if held_out:
        figures["eval_loss"] = held_out[-1]
    if outcome.stopped_early:
        figures["stopped_early"] = True
    return figures


def training_blocks(outcome: Outcome, figures: Mapping[str, Any], loss_of: str = "nats a token") -> list[Block]:
    """Return the curves and the table that a training shows."""
    blocks: list[Block] = []
    losses = {"train": _points(outcome, "loss"), "held out": _points(outcome, "eval_loss")}
    blocks.append(Lines("Loss", {name: points for name, points in losses.items() if points}, y=loss_of))
    seen, selected = _points(outcome, "tokens_seen"), _points(outcome, "tokens_selected")
    if seen and outcome.tokens_selected != outcome.tokens_seen:
        note = "The loss reads every token it sees, and learns from those that the weighting selects."
        blocks.append(Lines("Tokens seen and selected", {"seen": seen, "selected": selected}, y="tokens", note=note))
    blocks.append(Table("Training", ["figure", "value"], [[name, value] for name, value in figures.items()]))
    if outcome.resume == "elastic":
        text = (
            "This training went on from a checkpoint under other conditions, so it is not bit for bit exact:"
            f" {figures['resumed_under']}."
        )
        blocks.append(Note(text, title="Resumed"))
    return blocks


def _points(outcome: Outcome, name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in outcome.history if name in row]


def push(trainer: Trainer, job: Job) -> None:
    """Upload the finished folder where the recipe asks for a push; the push is what was saved, nothing else."""
    given = trainer_arguments.merged(trainer)
    if not given.get("push_to_hub") or job.smoke:
        return
    from huggingface_hub import HfApi

    api = HfApi()
    repo = api.create_repo(given["hub_model_id"], private=given.get("hub_private_repo"), exist_ok=True).repo_id
    revision = given.get("hub_revision")
    if revision:
        api.create_branch(repo, branch=revision, exist_ok=True)
    message = f"{job.recipe} · {job.name} · {job.key}"
    api.upload_folder(repo_id=repo, folder_path=str(job.out), commit_message=message, revision=revision)
    job.figures(pushed_to=repo)


def _card(job: Job, figures: Mapping[str, Any]) -> str:
    from konomi.stage._card import card

    return card(job, figures)
