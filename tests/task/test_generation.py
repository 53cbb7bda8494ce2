import dataclasses
from pathlib import Path

import pytest
import torch

from konomi.report import Bars, Note, Samples, Table
from konomi.report.intervals import wilson
from konomi.store import Artifact
from konomi.task import NotApplicable, Subject
from konomi.task._decode import end_tokens
from konomi.task.generation import Generation
from konomi.testing.task import TaskSuite, data_artifact, tiny_model, tiny_tokenizer

PROMPTS = ["The cat", "A dog ran to", "猫が", "Where"]
CHAT = [{"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": "yes"}]} for p in PROMPTS]


class TestGreedy(TaskSuite):
    plugin = Generation

    def make(self, folder: Path) -> Generation:
        return Generation(prompts=PROMPTS, max_new_tokens=8, pattern="a")


class TestSampledFromChats(TaskSuite):
    plugin = Generation

    def make(self, folder: Path) -> Generation:
        data = data_artifact(folder / "chats", "messages", CHAT)
        return Generation(data=data, max_new_tokens=6, temperature=0.8, top_p=0.9, samples=2, pattern="[a-m]")

    def subject(self, seed: int = 0) -> Subject:
        return dataclasses.replace(super().subject(seed), tokenizer=tiny_tokenizer(chat=True))


def write(tokenizer=None, model=None, **options):
    task = Generation(**({"prompts": PROMPTS, "max_new_tokens": 8} | options))
    return task.evaluate(Subject("m", model or tiny_model(), tokenizer or tiny_tokenizer())).rows


def seen_prompts(monkeypatch, tokenizer, **options):
    """Return the prompts that reach the model, as text."""
    asked = []

    def record(subject, requests, **_):
        asked.extend(tokenizer.decode(request.prompt) for request in requests)
        raise KeyboardInterrupt

    monkeypatch.setattr("konomi.task._decode.answers", record)
    with pytest.raises(KeyboardInterrupt):
        Generation(**options).evaluate(Subject("m", tiny_model(), tokenizer))
    return asked


def test_greedy_answers_are_those_of_the_likeliest_token_each_time():
    for prompt, row in zip(PROMPTS, write(), strict=True):
        ids = tiny_tokenizer()(prompt)["input_ids"]
        start = len(ids)
        for _ in range(8):
            with torch.no_grad():
                ids.append(int(tiny_model()(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] == tiny_tokenizer().eos_token_id:
                break
        assert row["output"] == tiny_tokenizer().decode(ids[start:], skip_special_tokens=True)
        assert row["finished"] == (ids[-1] == tiny_tokenizer().eos_token_id)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_do_not_depend_on_what_else_is_in_the_batch(temperature):
    together = write(temperature=temperature, batch_size=16)
    assert write(temperature=temperature, batch_size=1) == together
    assert write(temperature=temperature, prompts=PROMPTS[2:]) == together[2:]


def test_stops_at_the_end_token_and_says_so():
    model = type(tiny_model())(tiny_model().config).eval()
    torch.nn.init.zeros_(model.lm_head.weight)  # every token is as likely, so the first, <s>, is taken
    model.generation_config.eos_token_id = [0]
    rows = write(model=model)
    assert [(row["finished"], row["tokens"], row["output"]) for row in rows] == [(1, 0, "")] * 4


def test_ends_at_what_the_model_names_and_at_the_end_of_the_tokenizer():
    model = type(tiny_model())(tiny_model().config)
    model.generation_config.eos_token_id = [7, 9]
    subject = Subject("m", model, tiny_tokenizer())
    assert end_tokens(subject) == sorted({7, 9, tiny_tokenizer().eos_token_id})


def test_sampling_follows_the_model():
    """The share of each first token over many streams is its probability, within what chance allows."""
    n = 400
    rows = write(prompts=["The cat"], temperature=1.0, samples=n, max_new_tokens=1, batch_size=n)
    with torch.no_grad():
        ids = torch.tensor([tiny_tokenizer()("The cat")["input_ids"]])
        likely = tiny_model()(ids, use_cache=False).logits[0, -1].softmax(-1).topk(5)
    for token, expected in zip(likely.indices.tolist(), likely.values.tolist(), strict=True):
        text = tiny_tokenizer().decode([token], skip_special_tokens=True)
        if "\ufffd" in text:
            continue  # several bytes read alike
        share = sum(row["output"] == text for row in rows) / n
        assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n) ** 0.5)


def test_another_seed_gives_other_answers_and_the_same_seed_the_same():
    one, two = write(temperature=1.0), write(temperature=1.0, seed=1)
    assert write(temperature=1.0) == one
    assert [row["output"] for row in one] != [row["output"] for row in two]
    assert [row["seed"] for row in two] == [1] * 4


def test_top_p_keeps_to_the_likeliest_tokens():
    rows = write(prompts=["The cat"], temperature=1.0, samples=40, top_p=1e-6)
    assert {row["output"] for row in rows} == {write(prompts=["The cat"])[0]["output"]}


def test_a_prompt_of_the_recipe_is_a_turn_where_there_is_a_template(monkeypatch):
    chat, plain = tiny_tokenizer(chat=True), tiny_tokenizer()
    assert seen_prompts(monkeypatch, chat, prompts=["A dog"]) == ["<user>A dog</s><assistant>"]
    assert seen_prompts(monkeypatch, chat, prompts=["A dog"], plain=True) == ["A dog"]
    assert seen_prompts(monkeypatch, plain, prompts=["A dog"]) == ["A dog"]


def test_messages_are_answered_with_a_template_and_read_as_text_without(monkeypatch, tmp_path):
    talk = [
        {"role": "system", "content": "Be"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "no"},
    ]
    data = data_artifact(tmp_path / "chats", "messages", [{"messages": talk}])
    chat, plain = tiny_tokenizer(chat=True), tiny_tokenizer()
    assert seen_prompts(monkeypatch, chat, data=data) == ["<system>Be</s><user>Hi</s><assistant>"]
    assert seen_prompts(monkeypatch, plain, data=data) == ["Be\n\nHi"]


@pytest.mark.parametrize("makes", ["preference", "prompt_completion"])
def test_plain_prompts_of_data_stay_plain_and_each_is_asked_once(monkeypatch, tmp_path, makes):
    data = data_artifact(tmp_path / "data", makes, [{"prompt": p} for p in ("A", "B", "A", "C")])
    chat = tiny_tokenizer(chat=True)
    assert seen_prompts(monkeypatch, chat, data=data) == ["A", "B", "C"]
    assert seen_prompts(monkeypatch, chat, data=data, limit=2) == ["A", "B"]


def test_a_prompt_that_is_too_long_loses_its_beginning_and_that_is_told(monkeypatch):
    task = Generation(prompts=["zebra " * 100, "A"], max_new_tokens=8)
    result = task.evaluate(Subject("m", tiny_model(), tiny_tokenizer()))
    assert "1 of 2 prompts were longer than the 120 tokens" in result.shown[0].text
    assert len(result.rows) == 2


def test_a_model_without_room_for_an_answer_cannot_do_it():
    with pytest.raises(NotApplicable, match="context of 128 tokens has no room"):
        write(max_new_tokens=128)


def test_the_style_is_searched_in_the_answer_without_surrounding_blanks():
    task = Generation(prompts=PROMPTS, pattern=r"^A\b.*\.$", max_new_tokens=8)
    model = Subject("m", tiny_model(), tiny_tokenizer())
    from konomi.task._decode import Answer

    row = task._row(model.tokenizer, "p", 0, Answer(model.tokenizer("\n A dog ran.\n")["input_ids"], True))
    assert row["style"] == 1 and row["score"] == 1.0
    row = task._row(model.tokenizer, "p", 0, Answer(model.tokenizer("And.")["input_ids"], True))
    assert row["style"] == 0


def test_shares_have_wilson_intervals_unless_prompts_are_answered_more_than_once():
    subject = Subject("m", tiny_model(), tiny_tokenizer())
    once = Generation(prompts=PROMPTS, pattern="a", max_new_tokens=8).evaluate(subject).metrics["style"]
    assert (once.low, once.high) == wilson(round(once.value * 4), 4)
    often = Generation(prompts=PROMPTS, pattern="a", max_new_tokens=8, temperature=1.0, samples=3).evaluate(subject)
    style = often.metrics["style"]
    assert style.n == 4 and (style.low, style.high) != wilson(round(style.value * 12), 12)


def test_shows_all_models_side_by_side_and_the_style_before_and_after():
    task = Generation(prompts=PROMPTS, pattern="a", max_new_tokens=8, shown=3)
    results = {f"m{n}": task.evaluate(Subject(f"m{n}", tiny_model(n), tiny_tokenizer())) for n in (0, 1)}
    samples, bars, table = task.side_by_side(results, {"m1": "m0"})
    assert isinstance(samples, Samples) and len(samples.samples) == 3
    assert samples.samples[0] == {
        "prompt": "The cat",
        "m0": results["m0"].rows[0]["output"],
        "m1": results["m1"].rows[0]["output"],
    }
    assert isinstance(bars, Bars) and bars.values == [result.metrics["style"].value for result in results.values()]
    assert isinstance(table, Table) and table.rows[0][0] == "m0 → m1"
    assert not any(isinstance(block, Note) for block in (samples, bars, table))


def test_says_at_plan_time_what_is_wrong():
    wrong = Generation(limit=0, samples=2, top_p=0.5, temperature=0.0, pattern="(")
    assert [fault.where for fault in wrong.check()] == ["prompts", "limit", "samples", "top_p", "pattern"]
    assert [fault.where for fault in Generation(prompts=["x"], temperature=-1, top_p=0).check()] == [
        "temperature",
        "top_p",
    ]
    assert not list(Generation(data=Artifact("s", "messages", "k", Path("x"))).check())
