"""What vocabularies, weightings, losses, tasks and stages make of fixed numbers, texts and weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from .golden import golden, plugin, tables, texts_artifact, waves


@golden("vocab/continued_bpe", under=["tokenizers", "unicode"])
def continued_bpe(folder: Path) -> Any:
    from konomi.testing.vocab import byte_fallback_base, byte_level_base, corpus

    extensions = [
        plugin("vocab/continued_bpe", size=40).extend(base(), corpus(60))
        for base in (byte_fallback_base, byte_level_base)
    ]
    return [[one.new_ids, one.sources, one.tokenizer.convert_ids_to_tokens(one.new_ids)] for one in extensions]


@golden("embedding_init/mean_of_subwords")
def new_rows(folder: Path) -> Any:
    from types import SimpleNamespace

    extension = SimpleNamespace(new_ids=[20, 21, 22], sources=[[0, 1], [5, 5, 7], [19]])
    return plugin("embedding_init/mean_of_subwords").rows(extension, waves(20, 4)).tolist()


@golden("token_weighting/uniform", "token_weighting/rho1")
def weights(folder: Path, id_: str) -> Any:
    from konomi.testing.token_weighting import token_stats

    mask = waves(3, 17) > -0.6
    nll, ref_nll = (waves(3, 17, step=step).abs() * 5 for step in (1.3, 2.1))
    return plugin(id_)(token_stats(nll * mask, mask, ref_nll=ref_nll * mask)).tolist()


@golden("loss/dpo", "loss/ipo")
def losses(folder: Path, id_: str) -> Any:
    from konomi.testing.loss import pair_stats

    sides = [-waves(6, 5, step=step).abs() for step in (0.7, 1.9)]
    references = [-4 * waves(6, step=step).abs() for step in (0.3, 1.1)]
    return plugin(id_)(pair_stats(sides[0], sides[1], references[0], references[1])).tolist()


def subject(*, chat: bool = False) -> Any:
    """Return a small model with fixed weights, as a task measures it."""
    import torch

    from konomi.task import Subject
    from konomi.testing.task import tiny_model, tiny_tokenizer

    model = copy.deepcopy(tiny_model())
    with torch.no_grad():
        for number, (name, weight) in enumerate(sorted(model.named_parameters())):
            weight.copy_(1 + 0 * weight if "norm" in name else 0.4 * waves(*weight.shape, step=0.37 + 0.011 * number))
    return Subject("fixed", model, tiny_tokenizer(chat=chat), reference=model)


@golden("task/perplexity", "task/fertility", "task/preference_accuracy", "task/generation", under=["tokenizers"])
def measured(folder: Path, id_: str) -> Any:
    import dataclasses

    from konomi.testing.task import data_artifact, text_artifact

    texts = ["The cat sat on the mat.", "猫が座る。", "A dog ran."]
    pairs = [{"prompt": "The dog", "chosen": " ran.", "rejected": " sat on the mat, and sat."}] * 2
    data: Any = {"two": text_artifact(folder / "two", texts, texts * 3)}
    fields: dict[str, Any] = {"data": data}
    if id_ == "task/preference_accuracy":
        fields = {"data": data_artifact(folder / "pairs", "preference", pairs)}
    if id_ == "task/generation":
        fields = {"prompts": texts, "max_new_tokens": 6, "pattern": "a", "seed": 3}
    result = plugin(id_, **fields).evaluate(subject())
    metrics = {name: dataclasses.asdict(metric) for name, metric in result.metrics.items()}
    return [dict(row) for row in result.rows], metrics


@golden("stage/curate")
def curated(folder: Path) -> Any:
    source = plugin("source/artifact", data=texts_artifact(folder))
    stage = plugin(
        "stage/curate", source=source, dedup=plugin("dedup/minhash"),
        filter={name: plugin(f"filter/{name}") for name in ("repetition", "length")}, language="ja", test_share=0.3,
        before=plugin("dedup/exact"), engine=plugin("engine/local"),
    )  # fmt: skip
    return tables(stage, folder)


@golden("stage/generate")
def generated(folder: Path) -> Any:
    generator = plugin("generator/templates", prompts=["{text|first_line}?"], answers={"plain": "{text}"})
    stage = plugin(
        "stage/generate",
        source=plugin("source/artifact", data=texts_artifact(folder)),
        generator=generator,
        test_share=0.3,
    )
    return tables(stage, folder)


@golden("stage/tokenize", under=["tokenizers", "transformers"])
def tokenized(folder: Path) -> Any:
    from konomi.stage._options import Packing
    from konomi.testing.training import TinyModel

    data = {"a": texts_artifact(folder)}
    return [
        tables(
            plugin("stage/tokenize", model=TinyModel(), data=data, max_length=40, packing=packing),
            folder / packing.name,
        )
        for packing in Packing
    ]
