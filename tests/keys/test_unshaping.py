"""What says that it cannot change the result cannot: the stage is run with another value, and leaves the same bytes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from konomi import registry
from konomi.compute.local import Local
from konomi.dedup.exact import Exact
from konomi.dedup.exact_substring import ExactSubstring
from konomi.dedup.lines import Lines
from konomi.dedup.minhash import MinHash
from konomi.dedup.none import NoDedup
from konomi.dedup.paragraphs import Paragraphs
from konomi.engine.local import LocalEngine
from konomi.fields import in_key
from konomi.filter._words import SHIPPED
from konomi.filter.japanese_quality import JapaneseQuality
from konomi.filter.normalize import Normalize
from konomi.filter.repetition import Repetition
from konomi.model.hub import Hub as Model
from konomi.peft.none import NoPeft
from konomi.source.files import Files
from konomi.source.hub import Hub
from konomi.source.warc import Warc
from konomi.stage.curate import Curate
from konomi.stage.pretrain import Pretrain
from konomi.stage.tokenize import Tokenize
from konomi.testing.archives import conversion, response, zipped
from konomi.testing.training import TEXTS, TinyModel, make_artifact, make_job, make_tokens
from konomi.token_weighting.uniform import Uniform
from konomi.trainer._arguments import NOT_SHAPING
from konomi.trainer.sft import Sft

from .mutations import ours
from .survey import key

ELSEWHERE = {
    "engine/ray.address": "needs a cluster: tests/engine/test_ray.py compares the bytes",
    "engine/ray.cpus": "how many tasks a node does at once; as engine/ray.address",
    "engine/ray.retries": "how often a task is done again, which does no harm; as engine/ray.address",
    "model/hub.revision": "names a commit, which is in the key: tests/model/test_hub.py",
    "source/mix.tokenizer": "what the file holds is in the key: tests/source/test_mix.py",
    "source/hub.revision": "names a commit, which is in the key: tests/source/test_hub.py",
    "stage/curate.engine": "its workers are tried above, one engine beside another in tests/engine",
    "stage/export.engine": "as with stage/curate",
    "filter/decontaminate.sets": "their content is in the key: tests/filter/test_decontaminate.py",
    "filter/language_id.model": "its content is in the key: tests/filter/test_language_id.py",
    "filter/quality_classifier.model": "its content is in the key: tests/filter/test_quality_classifier.py",
    "model/sequence_classifier.name_or_path": "its content is in the key, as of model/hub, which it inherits",
    "model/sequence_classifier.revision": "names a commit, which is in the key: tests/model/test_hub.py",
    "dedup/exact.against": "names what is in the key by its content: tests/dedup/test_index.py",
    "dedup/minhash.against": "names what is in the key by its content: tests/dedup/test_index.py",
    "dedup/semdedup.encoder": "names what is in the key by its content: tests/dedup/test_semdedup.py",
    "dedup/semdedup.revision": "names a commit, which is in the key, as with model/hub",
    "dedup/semdedup.batch_tokens": "padding does not change a vector: tests/dedup/test_semdedup.py",
    "filter/url_blocklist.domains": "judges a column: tests/filter/test_url_blocklist.py",
    "filter/url_blocklist.words": "judges a column: tests/filter/test_url_blocklist.py",
    "compute/ddp.gpus": "needs GPUs; which of them compute is not what they compute",
    "compute/ddp.port": "where the processes find one another, which tests/trainer tries with a free one each time",
}
"""Fields that are not in the key and are not run here, with the reason."""


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """Return the hash of each file of an artifact."""
    files = [file for pattern in patterns or ("**/*",) for file in folder.glob(pattern) if file.is_file()]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def made(stage: Any, folder: Path) -> dict[str, str]:
    job = make_job(folder, name="stage", recipe="recipe")
    stage.run(job)
    found = digests(job.out)
    found.pop("report.json", None)  # it tells seconds
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with documents, some of them alike, plain and compressed."""
    folder = tmp_path_factory.mktemp("corpus")
    words = random.Random(0)
    texts = [
        " ".join(words.choices(["いろは", "ni", "ho", "へと", "chi", "り", "nu", "るを"], k=60)) for _ in range(80)
    ]
    texts += texts[:20] + [f"{text} 付" for text in texts[:20]] + ["同じ。" * 50]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    (folder / "a.jsonl").write_text(lines, encoding="utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines.replace("chi", "CHI").encode(), mtime=0))
    return folder


def curate(corpus: Path, **fields: Any) -> Curate:
    plugins = {
        "source": Files(path=str(corpus)), "filter": {"normalize": Normalize()}, "dedup": MinHash(),
        "before": NoDedup(), "engine": LocalEngine(workers=1),
    }  # fmt: skip
    return Curate(**{**plugins, "test_share": 0.1, **fields})


def crawled(folder: Path, **fields: Any) -> Warc:
    """Return a crawl of which one half came as text and the other as pages."""
    path = folder.parent / f"crawl of {folder.name}" / "a.warc.gz"
    path.parent.mkdir(exist_ok=True)
    texts = [f"{number} {text}" * 3 for number, text in enumerate(TEXTS)]
    pages = [response(f"https://a/{number}", text.encode(), "text/plain") for number, text in enumerate(texts)]
    path.write_bytes(zipped([*pages, *(conversion(f"https://b/{text[:9]}", text) for text in texts)]))
    return Warc(path=str(path), **fields)


def loose(cls: type[Any]) -> dict[str, Any]:
    """Return limits that drop nothing of the corpus."""
    limits = [field for field in dataclasses.fields(cls) if field.metadata.get("decides")]
    most = {field.name: 1.0 if isinstance(field.default, float) and field.default <= 1 else 10**9 for field in limits}
    return {name: 0 if name.startswith("min_") else limit for name, limit in most.items()}


def curate_with_lists(name: str, field: str, *lists: str) -> Callable[[Path, Path], tuple[Curate, Curate]]:
    """Return a curation by a filter with the lists that ship, and one with copies of them."""
    cls = registry.get("filter", name)

    def both(corpus: Path, other: Path) -> tuple[Curate, Curate]:
        copies = [shutil.copy(SHIPPED / f"{one}.txt", other) for one in lists]
        return tuple(  # type: ignore[return-value]
            curate(corpus, filter={name: cls(**loose(cls), **given)}) for given in ({}, {field: copies})
        )

    return both


LISTS = {
    "harmful_words.words": ("harmful_ja", "harmful_en"),
    "japanese_quality.ng_words": ("harmful_ja", "harmful_en"),
    "japanese_spam.board_words": ("boards_ja",),
    "japanese_spam.advertisement_words": ("advertisements_ja",),
    "japanese_footer.words": ("footers_ja",),
}
CURATIONS: dict[str, Callable[[Path, Path], tuple[Curate, Curate]]] = {
    "dedup/minhash.threads": lambda corpus, other: tuple(curate(corpus, dedup=MinHash(threads=n)) for n in (1, 3)),
    "dedup/exact.threads": lambda corpus, other: tuple(curate(corpus, dedup=Exact(threads=n)) for n in (1, 3)),
    "dedup/lines.threads": lambda corpus, other: tuple(curate(corpus, dedup=Lines(threads=n)) for n in (1, 3)),
    "dedup/paragraphs.threads": lambda corpus, other: tuple(
        curate(corpus, dedup=Paragraphs(threads=n)) for n in (1, 3)
    ),
    "dedup/exact_substring.threads": lambda corpus, other: tuple(
        curate(corpus, dedup=ExactSubstring(threads=n)) for n in (1, 3)
    ),
    "filter/repetition.threads": lambda corpus, other: tuple(
        curate(corpus, filter={"repetition": Repetition(threads=n)}) for n in (1, 3)
    ),
    "engine/local.workers": lambda corpus, other: tuple(curate(corpus, engine=LocalEngine(workers=n)) for n in (1, 2)),
    "filter/japanese_quality.threads": lambda corpus, other: tuple(
        curate(corpus, filter={"japanese_quality": JapaneseQuality(**loose(JapaneseQuality), threads=n)})
        for n in (1, 3)
    ),
    **{f"filter/{name}": curate_with_lists(*name.split("."), *files) for name, files in LISTS.items()},
    "source/files.path": lambda corpus, other: (curate(corpus), curate(other)),
    "source/files.max_ratio": lambda corpus, other: tuple(
        curate(corpus, source=Files(path=str(corpus), max_ratio=n)) for n in (200, 999)
    ),
    "source/hub.path": lambda corpus, other: tuple(
        curate(folder, source=Hub(path=str(folder), data_files=["*.jsonl"])) for folder in (corpus, other)
    ),
    "source/warc.path": lambda corpus, other: tuple(curate(corpus, source=crawled(at)) for at in (corpus, other)),
    "source/warc.max_ratio": lambda corpus, other: tuple(
        curate(corpus, source=crawled(corpus, max_ratio=n)) for n in (200, 999)
    ),
    "source/warc.workers": lambda corpus, other: tuple(
        curate(corpus, source=crawled(corpus, workers=n)) for n in (1, 3)
    ),
}  # type: ignore[assignment]


@pytest.mark.parametrize("field", CURATIONS)
def test_a_curation_leaves_the_same_bytes(tmp_path: Path, corpus: Path, field: str) -> None:
    other = tmp_path / "他の場所"
    shutil.copytree(corpus, other)
    one, two = CURATIONS[field](corpus, other)
    assert one != two and key(one) == key(two)
    found = made(one, tmp_path / "one")
    assert any("train" in name for name in found) and "duplicates.parquet" in found
    assert found == made(two, tmp_path / "two")


def test_a_chat_template_leaves_the_same_bytes_wherever_it_is(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "sky"}, {"role": "assistant", "content": "blue"}]}] * 3
    chats = make_artifact(tmp_path / "chats", "messages", rows)
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    TinyModel().load().save_pretrained(tmp_path / "model")
    TinyModel().tokenizer().save_pretrained(tmp_path / "model")
    shutil.copytree(tmp_path / "model", tmp_path / "same model")
    found = []
    for name, model in (("one", "model"), ("two", "same model")):
        (tmp_path / f"{name}.jinja").write_text(template)
        plugin = Model(name_or_path=str(tmp_path / model))
        stage = Tokenize(model=plugin, data={"a": chats}, chat_template=str(tmp_path / f"{name}.jinja"), max_length=32)
        found.append((key(stage), made(stage, tmp_path / name)))
    assert found[0] == found[1] and found[0][1]


ARGUMENTS: dict[str, Any] = {
    "logging_steps": 1, "logging_strategy": "no", "logging_first_step": True, "logging_nan_inf_filter": False,
    "log_level": "error", "log_level_replica": "error", "log_on_each_node": False, "report_to": "none",
    "run_name": "other", "project": "other", "include_num_input_tokens_seen": "all", "skip_memory_metrics": False,
    "save_strategy": "no", "save_steps": 1, "save_total_limit": 5, "dataloader_num_workers": 1,
    "dataloader_pin_memory": False, "per_device_eval_batch_size": 1, "eval_accumulation_steps": 1,
    "torch_empty_cache_steps": 1,
}  # fmt: skip
"""Another value of each argument of TRL's that stays out of the key and that one process on a CPU can be run with."""
TOGETHER: dict[str, Any] = {
    "dataloader_persistent_workers": True, "dataloader_prefetch_factor": 4,
    "dataloader_multiprocessing_context": "fork",
}  # fmt: skip
"""Arguments that need `dataloader_num_workers`."""
UNRUN = {
    "trackio_space_id": "needs trackio's server",
    "trackio_bucket_id": "needs trackio's server",
    "trackio_static_space_id": "needs trackio's server",
    "debug": "underflow_overflow hooks into a model only to raise; tpu_metrics_debug needs a TPU",
    "ddp_backend": "several processes only; the split over them is not bit-exact anyway (docs)",
    "ddp_timeout": "several processes only; how long they wait",
    "ddp_bucket_cap_mb": "several processes only; the split over them is not bit-exact anyway (docs)",
}
"""Arguments that stay out of the key and are not run here, with the reason."""
RESULT = ("model.safetensors", "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json")
"""A training's result: the model. Its log and its card tell how it was logged."""


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("training")
    model = TinyModel()
    tokens = make_tokens(folder / "tokens", model, TEXTS * 4, test=TEXTS[:3], packing="wrapped")
    model.load().save_pretrained(folder / "model")
    model.tokenizer().save_pretrained(folder / "model")

    def run(**arguments: Any) -> tuple[str, dict[str, str]]:
        given = {"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "eval_steps": 2}
        stage = Pretrain(
            model=Model(name_or_path=str(folder / "model")), data=tokens, token_weighting=Uniform(), peft=NoPeft(),
            compute=Local(), trainer=Sft(arguments={**given, "gradient_checkpointing": False, **arguments}),
        )  # fmt: skip
        job = make_job(folder / f"run {hashlib.sha256(repr(arguments).encode()).hexdigest()[:12]}")
        stage.run(job)
        return key(stage), digests(job.out, *RESULT)

    return run


@pytest.mark.slow
def test_an_argument_outside_the_key_leaves_the_same_model(train: Callable[..., tuple[str, dict[str, str]]]) -> None:
    plain = train()
    assert "model.safetensors" in plain[1]
    assert train(learning_rate=2e-2)[1] != plain[1], "the test would see a difference"
    for name, value in ARGUMENTS.items():
        assert train(**{name: value}) == plain, name
    assert train(dataloader_num_workers=1, **TOGETHER) == plain, ", ".join(TOGETHER)


def test_every_argument_outside_the_key_is_run_or_has_its_reason() -> None:
    from konomi.recipe.arguments import argument_fields

    known = {name for name in NOT_SHAPING if name in argument_fields(Sft.arguments_of)}
    assert known == {*ARGUMENTS, *TOGETHER, *UNRUN} & known
    assert {*ARGUMENTS, *TOGETHER, *UNRUN} >= NOT_SHAPING


def test_every_field_outside_the_key_is_run_or_has_its_reason() -> None:
    outside = {
        f"{entry.id}.{field.name}" for entry in ours() for field in dataclasses.fields(entry.cls) if not in_key(field)
    }
    run = {*CURATIONS, "stage/tokenize.chat_template", "model/hub.name_or_path"}
    assert outside == run | set(ELSEWHERE)
