"""Rows of tokens: what is learned, what is cut, how parts mix; equal to TRL's own where TRL does the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from konomi.faults import KonomiError
from konomi.job import Job
from konomi.stage._options import OnError, Packing, TooLong
from konomi.stage._packing import Piece, best_fit_decreasing, cut, pack
from konomi.stage.tokenize import Tokenize
from konomi.store import Artifact
from konomi.testing.training import TEXTS, TinyModel, make_artifact, make_job

MODEL = TinyModel()
MESSAGES = [
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
    [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "three"},
    ],
]
PAIRS = [
    {"prompt": "say ", "chosen": "good day", "rejected": "go away", "item": "greeting"},
    {"prompt": "add 1+1= ", "chosen": "2", "rejected": "3"},
]


def texts(folder: Path, rows: list[str], test: list[str] | None = None, name: str = "texts") -> Artifact:
    return make_artifact(
        folder / name, "text", [{"text": text} for text in rows], test=[{"text": t} for t in test or []], stage=name
    )


def run(folder: Path, data: dict[str, Artifact], name: str = "job", **options: Any) -> Job:
    job = make_job(folder / name, name="tokens", **({"smoke": True} if options.pop("smoke", False) else {}))
    stage = Tokenize(model=MODEL, data=data, **options)
    assert not list(stage.check())
    stage.run(job)
    return job


def rows_of(job: Job, split: str = "train") -> list[dict[str, Any]]:
    files = sorted((job.out / "data").glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def decoded(ids: list[int]) -> str:
    return str(MODEL.tokenizer().decode(ids))


def learned(row: dict[str, Any]) -> str:
    return decoded([label for label in row["labels"] if label != -100])


@pytest.mark.parametrize("packing", list(Packing))
def test_rows_keep_what_every_reader_relies_on(tmp_path: Path, packing: Packing) -> None:
    job = run(tmp_path, {"a": texts(tmp_path, TEXTS * 5, TEXTS[:3])}, packing=packing, max_length=40)
    for split in ("train", "test"):
        rows = rows_of(job, split)
        assert rows
        for row in rows:
            ids, labels, lengths = row["input_ids"], row["labels"], row["seq_lengths"]
            assert len(ids) == len(labels) == sum(lengths) <= 40
            begins = [sum(lengths[:index]) for index in range(len(lengths))]
            assert all(labels[begin] == -100 for begin in begins)
            assert all(label in (-100, token) for label, token in zip(labels, ids, strict=True))
    types = pq.read_schema(next((job.out / "data").glob("train-*")))
    assert [str(types.field(name).type.value_type) for name in ("input_ids", "labels", "seq_lengths")] == ["int32"] * 3
    assert job.results["packing"] == packing.value
    assert job.results["rows"] == len(rows_of(job))
    assert job.results["tokens"] == sum(len(row["input_ids"]) for row in rows_of(job))
    assert job.results["trained_tokens"] == sum(label != -100 for row in rows_of(job) for label in row["labels"])


@pytest.mark.parametrize("packing", list(Packing))
def test_no_token_of_a_text_is_lost_or_taken_twice(tmp_path: Path, packing: Packing) -> None:
    """Best fit and single rows leave out a tail of one token, which nothing could learn."""
    job = run(tmp_path, {"a": texts(tmp_path, TEXTS)}, packing=packing, max_length=16, shuffle=False)
    rows = rows_of(job)
    found = sorted(token for row in rows for token in row["input_ids"])
    ends = MODEL.tokenizer().eos_token_id
    whole = [[*MODEL.tokenizer()(text)["input_ids"], ends] for text in TEXTS]
    kept = whole if packing is Packing.wrapped else [ids[: len(ids) - (len(ids) % 16 == 1)] for ids in whole]
    assert found == sorted(token for ids in kept for token in ids)
    if packing is Packing.wrapped:
        assert [len(row["input_ids"]) for row in rows[:-1]] == [16] * (len(rows) - 1)


def test_a_document_ends_with_the_end_token_and_a_text_that_spells_it_does_not(tmp_path: Path) -> None:
    job = run(tmp_path, {"a": texts(tmp_path, ["one<|end|>two"])}, packing=Packing.none)
    ids, end = rows_of(job)[0]["input_ids"], MODEL.tokenizer().eos_token_id
    assert ids[-1] == end and ids.count(end) == 1


def test_held_out_documents_stay_apart(tmp_path: Path) -> None:
    job = run(tmp_path, {"a": texts(tmp_path, TEXTS[:3], TEXTS[3:])}, packing=Packing.none, repeat={"a": 2.0})
    assert sorted(learned(row)[:3] for row in rows_of(job, "test")) == sorted(text[1:4] for text in TEXTS[3:])
    assert len(rows_of(job)) == 6


def test_parts_mix_by_their_shares(tmp_path: Path) -> None:
    data = {"a": texts(tmp_path, ["aaaa"] * 10, name="a"), "b": texts(tmp_path, ["bbbb"] * 10, name="b")}
    job = run(tmp_path, data, packing=Packing.none, repeat={"a": 2.5, "b": 0.3})
    order = [learned(row)[0] for row in rows_of(job)]
    assert (order.count("a"), order.count("b")) == (25, 3)
    assert order != sorted(order)
    assert job.results["parts"]["a"] == {"documents": 10, "characters": 40, "tokens": 50}
    again = run(tmp_path, data, "again", packing=Packing.none, repeat={"a": 2.5, "b": 0.3})
    assert rows_of(again) == rows_of(job)
    other = run(tmp_path, data, "other", packing=Packing.none, repeat={"a": 2.5, "b": 0.3}, seed=1)
    assert rows_of(other) != rows_of(job)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    data = {"a": texts(tmp_path, TEXTS * 20)}
    files = [sorted((run(tmp_path, data, name).out / "data").iterdir()) for name in ("first", "second")]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_only_what_the_assistant_says_is_learned(tmp_path: Path) -> None:
    data = make_artifact(tmp_path / "chats", "messages", [{"messages": messages} for messages in MESSAGES])
    job = run(tmp_path, {"a": data}, packing=Packing.none, chat_template="plain", shuffle=False)
    assert [learned(row) for row in rows_of(job)] == ["hello<|end|>", "two<|end|>three<|end|>"]
    assert decoded(rows_of(job)[1]["input_ids"]).startswith("### system\nbe brief\n### user\none?\n### assistant\ntwo")
    template = (job.out / "chat_template.jinja").read_text()
    tokenizer = MODEL.tokenizer()
    tokenizer.chat_template = template
    asked = tokenizer.apply_chat_template(MESSAGES[0][:1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(MESSAGES[0], tokenize=False).startswith(asked + "hello")


def test_conversations_are_tokenised_as_trl_does(tmp_path: Path) -> None:
    """Input ids and labels equal SFTTrainer's own preparation, for messages and for prompts with completions."""
    completions = [{"prompt": "2+2= ", "completion": "4"}, {"prompt": "the sky is ", "completion": "blue today"}]
    template = template_of()
    cases = {
        "messages": ([{"messages": messages} for messages in MESSAGES], {"assistant_only_loss": True}),
        "prompt_completion": (completions, {}),
    }
    for makes, (rows, arguments) in cases.items():
        data = make_artifact(tmp_path / makes, makes, rows)
        chat = {"chat_template": "plain"} if makes == "messages" else {}
        job = run(tmp_path, {"a": data}, f"job-{makes}", packing=Packing.none, shuffle=False, **chat)
        theirs = trl_rows(rows, template, tmp_path, **arguments)
        for ours, trl in zip(rows_of(job), theirs, strict=True):
            assert ours["input_ids"] == trl["input_ids"]
            assert ours["labels"][1:] == trl["labels"][1:]


def template_of() -> str:
    from konomi.stage import _chat_template

    return str(_chat_template.read("plain"))


def trl_rows(rows: list[dict[str, Any]], template: str, folder: Path, **arguments: Any) -> list[dict[str, Any]]:
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    tokenizer = MODEL.tokenizer()
    tokenizer.chat_template = template
    args = SFTConfig(output_dir=str(folder / "trl"), use_cpu=True, bf16=False, report_to=[], **arguments)
    trainer = SFTTrainer(MODEL.load(), args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    return list(trainer.train_dataset)


def test_pairs_are_cut_as_trl_cuts_them(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    job = run(tmp_path, {"a": make_artifact(tmp_path / "pairs", "preference", PAIRS)})
    args = DPOConfig(output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, report_to=[])
    tokenizer = MODEL.tokenizer()
    pairs = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in PAIRS])
    trainer = DPOTrainer(MODEL.load(), MODEL.load(), args=args, train_dataset=pairs, processing_class=tokenizer)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    ours, theirs = (
        [{name: row[name] for name in names} for row in rows] for rows in (rows_of(job), trainer.train_dataset)
    )
    assert ours == theirs
    assert [row["item"] for row in rows_of(job)] == ["greeting", "a/train/1"]
    assert Tokenize(model=MODEL, data={"a": make_artifact(tmp_path / "p", "preference", PAIRS)}).makes == "token_pairs"


def test_pairs_of_messages_use_the_chat_template(tmp_path: Path) -> None:
    user, good, bad = (
        {"role": role, "content": text} for role, text in (("user", "hi"), ("assistant", "hello"), ("assistant", "go"))
    )
    rows = [{"prompt": [user], "chosen": [good], "rejected": [bad]}]
    job = run(tmp_path, {"a": make_artifact(tmp_path / "pairs", "preference", rows)}, chat_template="plain")
    row = rows_of(job)[0]
    assert decoded(row["prompt_ids"]) == "### user\nhi\n### assistant\n"
    assert decoded(row["chosen_ids"]) == "hello<|end|>\n" and decoded(row["rejected_ids"]) == "go<|end|>\n"


def test_pairs_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    rows = [
        *PAIRS,
        {"prompt": "p" * 30, "chosen": "c", "rejected": "d"},
        {"prompt": "p", "chosen": "c" * 40, "rejected": "d"},
    ]
    data = {"a": make_artifact(tmp_path / "pairs", "preference", rows)}
    dropped = run(tmp_path, data, "dropped", max_length=20)
    assert len(rows_of(dropped)) == 2 and dropped.results["parts"]["a"]["dropped"] == {"too long": 2}
    kept = run(tmp_path, data, "cut", max_length=20, too_long=TooLong.cut)
    assert len(rows_of(kept)) == 3 and kept.results["parts"]["a"]["dropped"] == {"cut": 1, "too long": 1}
    assert max(len(row["prompt_ids"]) + len(row["chosen_ids"]) for row in rows_of(kept)) == 20


@pytest.mark.parametrize(("too_long", "lengths"), [(None, [5]), (TooLong.cut, [12, 5]), (TooLong.drop, [5])])
def test_long_answers_are_dropped_or_cut_and_counted(
    tmp_path: Path, too_long: TooLong | None, lengths: list[int]
) -> None:
    rows = [{"prompt": "ab", "completion": "c" * 20}, {"prompt": "ab", "completion": "cc"}]
    data = {"a": make_artifact(tmp_path / "rows", "prompt_completion", rows)}
    job = run(tmp_path, data, packing=Packing.none, max_length=12, too_long=too_long, shuffle=False)
    assert [len(row["input_ids"]) for row in rows_of(job)] == lengths
    assert job.results["truncated"] == 1


def test_a_cut_that_leaves_no_answer_drops_the_row(tmp_path: Path) -> None:
    rows = [{"prompt": "p" * 20, "completion": "answer"}, {"prompt": "ab", "completion": "cc"}]
    data = {"a": make_artifact(tmp_path / "rows", "prompt_completion", rows)}
    job = run(tmp_path, data, packing=Packing.none, max_length=12, too_long=TooLong.cut, shuffle=False)
    assert [learned(row) for row in rows_of(job)] == ["cc<|end|>"]
    assert job.results["parts"]["a"]["dropped"] == {"too long": 1}


BAD = {
    "an empty answer": (
        "messages",
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]},
    ),
    "no answer": ("messages", {"messages": [{"role": "user", "content": "a"}]}),
    "equal answers": ("preference", {"prompt": "a", "chosen": "b", "rejected": "b"}),
    "an empty completion": ("prompt_completion", {"prompt": "a", "completion": ""}),
    "no text": ("text", {"text": None}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_cannot_be_used_says_where_it_is_or_is_counted(tmp_path: Path, name: str) -> None:
    makes, bad = BAD[name]
    good = {
        "messages": {"messages": MESSAGES[0]},
        "preference": PAIRS[0],
        "prompt_completion": {"prompt": "a", "completion": "b"},
        "text": {"text": "a b"},
    }[makes]
    data = {"a": make_artifact(tmp_path / "rows", makes, [good, bad, good], stage="made")}
    chat = {"chat_template": "plain"} if makes == "messages" else {}
    with pytest.raises(KonomiError, match=r"made: train-00000-of-00001.parquet, row 1: .*on_error=drop"):
        run(tmp_path, data, "raise", **chat)
    job = run(tmp_path, data, "drop", on_error=OnError["drop"], **chat)
    assert job.results["parts"]["a"]["documents"] == 2
    assert sum(job.results["parts"]["a"]["dropped"].values()) == 1


def test_empty_texts_are_counted_and_left_out(tmp_path: Path) -> None:
    job = run(tmp_path, {"a": texts(tmp_path, ["", "  \n", "a word"])}, packing=Packing.none)
    assert len(rows_of(job)) == 1 and job.results["parts"]["a"]["dropped"] == {"empty": 2}


def test_nothing_left_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KonomiError, match="no row is left to train on; what was dropped: 1 empty"):
        run(tmp_path, {"a": texts(tmp_path, [" "])})


def test_conversations_without_a_template_are_an_error_that_says_what_to_type(tmp_path: Path) -> None:
    data = {"a": make_artifact(tmp_path / "chats", "messages", [{"messages": MESSAGES[0]}])}
    with pytest.raises(KonomiError, match=r"no chat template.*chat_template=plain"):
        run(tmp_path, data)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0]['content'] }}", "marks no answers"),
        (
            "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %}{{ eos_token }}{% endfor %}",
            "never stop",
        ),
    ],
)
def test_a_template_that_would_teach_the_wrong_thing_is_refused(tmp_path: Path, template: str, message: str) -> None:
    file = tmp_path / "template.jinja"
    file.write_text(template)
    data = {"a": make_artifact(tmp_path / "chats", "messages", [{"messages": MESSAGES[0]}])}
    with pytest.raises(KonomiError, match=message):
        run(tmp_path, data, chat_template=str(file))


def test_a_smoke_run_reads_a_few_rows(tmp_path: Path) -> None:
    job = run(tmp_path, {"a": texts(tmp_path, TEXTS * 100)}, smoke=True)
    assert job.results["documents"] == Tokenize.SMOKE_ROWS


def test_what_is_learned_is_shown(tmp_path: Path) -> None:
    data = make_artifact(tmp_path / "chats", "messages", [{"messages": messages} for messages in MESSAGES])
    job = run(tmp_path, {"chats": data}, chat_template="plain")
    shown = json.loads((job.out / "report.json").read_text())
    assert [block["block"] for block in shown] == ["Table", "Samples"]
    assert shown[1]["samples"][1]["learned"] == "two<|end|>three<|end|>"
    assert not list(job.work.rglob("*.ids"))


def test_faults_are_found_without_running(tmp_path: Path) -> None:
    text, chat = texts(tmp_path, ["a"]), make_artifact(tmp_path / "c", "messages", [{"messages": MESSAGES[0]}])
    pairs = make_artifact(tmp_path / "p", "preference", PAIRS)

    def where(**options: Any) -> list[str]:
        return [fault.where for fault in Tokenize(model=MODEL, **options).check()]

    assert where(data={}) == ["data"]
    assert where(data={"a": text, "b": chat}) == ["data"]
    assert where(data={"a": text}, max_length=1) == ["max_length"]
    assert where(data={"japanese": text}, repeat={"japanes": 2.0}) == ["repeat.japanes"]
    assert where(data={"a": text}, repeat={"a": -1.0}) == ["repeat.a"]
    assert where(data={"a": chat}, too_long=TooLong.split) == ["too_long"]
    assert where(data={"a": text}, too_long=TooLong.cut, packing=Packing.wrapped) == ["too_long"]
    assert where(data={"a": pairs}, packing=Packing.wrapped, repeat={"a": 2.0}) == ["repeat", "packing"]
    assert where(data={"a": chat}, chat_template="/nowhere.jinja") == ["chat_template"]
    assert not where(data={"a": text}, repeat={"a": 2.0})


def test_what_shapes_the_bytes_beside_the_fields_is_named(tmp_path: Path) -> None:
    chat = make_artifact(tmp_path / "c", "messages", [{"messages": MESSAGES[0]}])
    file = tmp_path / "template.jinja"
    found = []
    for template in ("one", "two"):
        file.write_text(template)
        found.append(Tokenize(model=MODEL, data={"a": chat}, chat_template=str(file)).depends())
    assert found[0] != found[1]
    assert {"tokenizers", "trl", "jinja2"} <= set(found[0])


def test_best_fit_fills_bins_no_worse_than_the_paper_says() -> None:
    lengths = [(index * 7919) % 61 + 3 for index in range(500)]
    bins = best_fit_decreasing(lengths, capacity=64)
    assert sorted(index for found in bins for index in found) == list(range(500))
    assert all(sum(lengths[index] for index in found) <= 64 for found in bins)
    assert len(bins) <= 11 / 9 * sum(lengths) / 64 + 1  # the bound of decreasing best fit against the optimum


def test_best_fit_equals_trls(tmp_path: Path) -> None:
    """The same number of rows as `trl.pack_dataset`, whose ties fall otherwise."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    lengths = [(index * 7919) % 61 + 3 for index in range(200)]
    theirs = pack_dataset(Dataset.from_dict({"input_ids": [[1] * length for length in lengths]}), 64, "bfd")
    assert len(best_fit_decreasing(lengths, 64)) == len(theirs)


def test_pieces_are_cut_and_packed_by_closed_form() -> None:
    document = [Piece(0, 0, 10)]
    assert [len(piece) for piece in cut(document, 4, TooLong.split)] == [4, 4, 2]
    assert [len(piece) for piece in cut(document, 4, TooLong.cut)] == [4]
    assert not list(cut(document, 4, TooLong.drop))
    rows = list(pack([Piece(0, 0, 3), Piece(1, 0, 4)], 5, Packing.wrapped))
    assert [[(piece.source, piece.start, piece.stop) for piece in row] for row in rows] == [
        [(0, 0, 3), (1, 0, 2)],
        [(1, 2, 4)],
    ]
