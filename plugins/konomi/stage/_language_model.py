"""A training on tokenised text: what `pretrain`, `sft` and `base` share."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from konomi.faults import Fault, KonomiError
from konomi.job import Job
from konomi.stage import Cost, _training
from konomi.store import Artifact
from konomi.token_weighting import TokenWeighting
from konomi.trainer import TokenTrainer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

COLUMNS = ("input_ids", "labels", "seq_lengths")
CHAT_TEMPLATE = "chat_template.jinja"
"""File in a `tokens` or `token_pairs` artifact with the template that its conversations were rendered with."""
LOGPS = "logps"
"""Column of a reference's artifact."""
OTHER_DATA = "they were made from other data: let the reference's stage read the data of this one"


class LanguageModelling(_training.Training, Protocol):
    """The fields of a training on tokenised text."""

    @property
    def trainer(self) -> TokenTrainer: ...
    @property
    def data(self) -> Artifact: ...
    @property
    def token_weighting(self) -> TokenWeighting: ...
    @property
    def reference(self) -> Artifact | None: ...


def faults(stage: LanguageModelling) -> Iterator[Fault]:
    """Yield what is wrong between the trainer, the weighting and the reference."""
    yield from _training.faults(stage, "tokens")
    if stage.token_weighting.needs_reference and stage.reference is None:
        name = plugin_name(stage.token_weighting)
        yield Fault(
            "reference",
            f"token_weighting {name} needs the reference's log-probabilities, and none is given",
            "add a stage `reference: {model: …, data: …}` and set reference='${artifact:reference}',"
            " or take token_weighting=uniform",
        )


def unused(stage: LanguageModelling) -> Iterator[str]:
    """Name the reference where the weighting reads none."""
    if not stage.token_weighting.needs_reference:
        yield "reference"


def key_fields(stage: LanguageModelling, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for a key; the micro-batch counts where the weighting ranks within it."""
    return _training.key_fields(stage, fields, micro_batch=getattr(stage.token_weighting, "ranks", True))


def cost(stage: LanguageModelling) -> Cost:
    """Return what the training will take, where its data has been made."""
    try:
        made = stage.data.results()
    except (OSError, ValueError):
        made = {}
    return _training.cost(stage, made.get("rows"), made.get("tokens"))


def run(stage: LanguageModelling, job: Job) -> None:
    """Train on the stage's tokens and fill the job's folder."""
    data = stage.data
    reference = stage.reference if stage.token_weighting.needs_reference else None
    tokenizer = chat_tokenizer(stage.model.tokenizer(), data)
    train = token_rows(job, data, "train", reference)
    held_out = token_rows(job, data, "test")
    setup = _training.prepare(stage, job, tokenizer, train, held_out)
    check_vocabulary(data, tokenizer, setup.model.get_input_embeddings().num_embeddings)
    isolated = packing(data) == "bfd"
    _training.carry_out(stage, setup, lambda: stage.trainer.train(setup, stage.token_weighting, isolated=isolated))


def token_rows(job: Job, data: Artifact, split: str, reference: Artifact | None = None) -> Dataset | None:
    """Return the rows of a split with the reference's log-probabilities beside them, None where there are none.

    Raises `KonomiError` where the two do not fit row for row.
    """
    from konomi.trainer.sft import REFERENCE_COLUMN

    tokens = _training.rows(job, data.shards(split), COLUMNS, part=split)
    if tokens is None or reference is None:
        return tokens
    from datasets import concatenate_datasets

    check_made_for(data, reference, split)
    logps = _training.rows(job, reference.shards(split), [LOGPS], part=f"{split}-reference")
    if logps is None or len(logps) != len(tokens):
        found = 0 if logps is None else len(logps)
        raise KonomiError(f"{job.name}: the reference has {found} rows and the data {len(tokens)}; {OTHER_DATA}")
    check_lengths(tokens, logps, job)
    return concatenate_datasets([tokens, logps.rename_column(LOGPS, REFERENCE_COLUMN)], axis=1)


def check_made_for(data: Artifact, reference: Artifact, split: str) -> None:
    """Raise `KonomiError` where a reference's files say that they belong to other data, or are not of tokens."""
    import pyarrow.parquet as pq

    from konomi.stage._reference_rows import MADE_FOR

    for shard in reference.shards(split):
        schema = pq.read_schema(shard)
        if LOGPS not in schema.names:
            raise KonomiError(
                f"{shard}: found {', '.join(schema.names)}, expected {LOGPS}; a reference of tokens comes from a"
                " reference stage that reads tokens"
            )
        key = (schema.metadata or {}).get(MADE_FOR, data.key.encode()).decode()
        if key != data.key:
            raise KonomiError(f"{shard}: it belongs to the data {key}, and the rows are {data.key}; {OTHER_DATA}")


def check_lengths(tokens: Dataset, logps: Dataset, job: Job) -> None:
    """Raise `KonomiError` at the first row whose tokens and log-probabilities differ in number."""
    import pyarrow.compute as pc

    expected = pc.list_value_length(tokens.data.column("input_ids")).combine_chunks()
    found = pc.list_value_length(logps.data.column(LOGPS)).combine_chunks()
    row = pc.index(pc.equal(expected, found), False).as_py()
    if row >= 0:
        raise KonomiError(
            f"{job.name}: row {row} has {expected[row]} tokens, and the reference {found[row]} log-probabilities;"
            f" {OTHER_DATA}"
        )


def packing(data: Artifact) -> str:
    """Return how the rows of a `tokens` artifact were packed: `wrapped`, `bfd` or `none`."""
    found = data.results().get("packing")
    if found not in ("wrapped", "bfd", "none"):
        raise KonomiError(
            f"{data.stage}: its manifest does not say how the rows were packed (found {found!r}, expected wrapped, bfd"
            " or none in results.packing); make them with a tokenize stage"
        )
    return str(found)


def chat_tokenizer(tokenizer: PreTrainedTokenizerBase, data: Artifact) -> PreTrainedTokenizerBase:
    """Give a tokenizer the chat template that its data was rendered with, so that it is saved beside the model."""
    template = data.path / CHAT_TEMPLATE
    if template.exists():
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    return tokenizer


def check_vocabulary(data: Artifact, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Raise `KonomiError` where the data was made with another tokenizer than the model's."""
    made = data.results()
    digest = tokenizer_digest(tokenizer)
    if made.get("tokenizer", digest) != digest:
        raise KonomiError(
            f"{data.stage}: its tokens were made with another tokenizer than the model's; give the tokenize stage and"
            " the training the same model"
        )
    if len(tokenizer) > rows:
        raise KonomiError(
            f"the tokenizer has {len(tokenizer)} tokens and the model rows for {rows}; extend the model with an"
            " extend_vocab stage, or take the model's own tokenizer"
        )


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a digest of what decides a text's token ids; a chat template is not part of it."""
    import hashlib
    import json

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for unshaping in ("truncation", "padding"):
        state.pop(unshaping, None)
    return hashlib.sha256(json.dumps(state, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def plugin_name(plugin: Any) -> str:
    """Return the name a plugin is registered under."""
    from konomi import registry

    return next((entry.name for entry in registry.entries() if entry.cls is type(plugin)), type(plugin).__name__)
