import json
import random
import re

import pytest

from konomi.faults import KonomiError
from konomi.filter.decontaminate import SHOWN_CHARACTERS, Decontaminate
from konomi.testing.filter import FilterSuite
from konomi.units import arrow_texts

ENGLISH = "A baker sells nine rolls for two euros each, and then four loaves for five euros each. How much is it?"
JAPANESE = (
    "ある店でりんごを三個、みかんを五個買いました。りんごは一個百円、みかんは一個六十円です。代金はいくらでしょう。"
)


def write(file, texts, column="question"):
    file.write_text("".join(json.dumps({column: text, "id": 1}) + "\n" for text in texts), encoding="utf-8")
    return str(file)


@pytest.fixture
def sums(tmp_path):
    return write(tmp_path / "sums.jsonl", [ENGLISH, JAPANESE])


class TestDecontaminate(FilterSuite):
    plugin = Decontaminate

    @pytest.fixture(autouse=True)
    def _sets(self, tmp_path):
        self.sets = {"sums": write(tmp_path / "sums.jsonl", [ENGLISH, JAPANESE, "the same words again " * 5])}

    def make(self):
        return Decontaminate(sets=self.sets)


def test_thirteen_words_are_a_hit_and_twelve_are_none(sums):
    words = ENGLISH.split()
    texts = [" ".join(["Look:", *words[3 : 3 + count], "and so on"]) for count in (12, 13)]
    found = Decontaminate(sets={"sums": sums})(texts)
    assert found.scores["ngrams"].tolist() == [0, 1]
    assert found.reasons == [None, f"sums n-grams 1 > 0: {' '.join(words[3:16])} and so on"]


def test_twenty_five_characters_are_a_hit_and_twenty_four_are_none(sums):
    plain = re.sub("[、。]", "", JAPANESE)
    texts = [f"さて、{plain[4 : 4 + count]}という話。" for count in (24, 25)]
    found = Decontaminate(sets={"sums": sums})(texts)
    assert found.scores["ngrams"].tolist() == [0, 1]
    assert found.scores["passage"].tolist() == ["", f"{plain[4:29]}という話。"]


def test_case_punctuation_and_lines_do_not_hide_a_passage(sums):
    shouted = re.sub("[.,?]", "\n", ENGLISH).upper()
    spaced = "\n".join(JAPANESE.replace("、", "，"))
    assert [reason[:4] for reason in Decontaminate(sets={"sums": sums})([shouted, spaced]).reasons] == ["sums"] * 2


def test_a_passage_is_found_in_a_text_of_another_language(sums):
    """The set's item says what is counted, not the text around it."""
    around = "This is an English page about something else entirely. " * 30
    found = Decontaminate(sets={"sums": sums})([around + JAPANESE, "日本語の文章です。" * 60 + ENGLISH]).scores
    assert (found["ngrams"] > 0).tolist() == [True, True]
    assert found["passage"].tolist()[0].startswith("ある店で") and found["passage"].tolist()[1].startswith("A baker")


def test_names_the_set_with_most_of_a_text(tmp_path):
    sets = {
        "short": write(tmp_path / "short.jsonl", [" ".join(ENGLISH.split()[:13])]),
        "long": write(tmp_path / "long.jsonl", [" ".join(ENGLISH.split()[4:])]),
    }
    found = Decontaminate(sets=sets)([ENGLISH, " ".join(ENGLISH.split()[:14])]).scores
    assert found["set"].tolist() == ["long", "short"]


def test_only_marks_where_asked_and_on_the_same_scores(sums):
    found = Decontaminate(sets={"sums": sums}).annotate(arrow_texts([ENGLISH, "nothing"])).scores
    assert Decontaminate(sets={"sums": sums}, drop=False).decide(found) == [None, None]
    assert Decontaminate(sets={"sums": sums}, most_ngrams=int(found["ngrams"][0])).decide(found) == [None, None]
    back = {name: values.astype(object) if values.dtype.kind == "U" else values for name, values in found.items()}
    assert Decontaminate(sets={"sums": sums}).decide(back)[0].startswith("sums n-grams 9 > 0: A baker sells")


def plain_counts(text, items, size):
    """The definition, spelled out with tuples of words."""

    def grams(words):
        return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]

    known = {gram for item in items for gram in grams(item.split())}
    words = text.split()
    hits = [at for at, gram in enumerate(grams(words)) if gram in known]
    covered = {place for at in hits for place in range(at, at + size)}
    first = words[hits[0] :] if hits else []
    return len(hits), len(covered) / max(len(words), 1), " ".join(first)[:SHOWN_CHARACTERS].strip()


def test_counts_as_the_definition_does(tmp_path):
    draw = random.Random(3)
    letters = [" ".join(draw.choices("abc", k=draw.randint(1, 60))) for _ in range(120)]
    items, texts = letters[:6], letters[6:]
    judge = Decontaminate(sets={"one": write(tmp_path / "one.jsonl", items)}, words=5)
    scores = judge(texts).scores
    expected = [plain_counts(text, items, 5) for text in texts]
    assert scores["ngrams"].tolist() == [count for count, _, _ in expected]
    assert scores["share"].tolist() == pytest.approx([share for _, share, _ in expected])
    assert scores["passage"].tolist() == [passage for _, _, passage in expected]
    assert 20 < sum(count > 0 for count, _, _ in expected) < len(texts)


def test_sets_are_read_from_parquet_and_plain_text_too(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"q": [ENGLISH], "n": [1]}), tmp_path / "one.parquet")
    (tmp_path / "two.txt").write_text(f"A title\n\n{JAPANESE}\n", encoding="utf-8")
    sets = {"one": str(tmp_path / "one.parquet"), "two": [str(tmp_path / "two.txt")]}
    assert list(Decontaminate(sets=sets).check()) == []
    assert Decontaminate(sets=sets)([JAPANESE, ENGLISH]).scores["set"].tolist() == ["two", "one"]


def test_only_the_named_columns_are_looked_for(tmp_path):
    file = tmp_path / "both.jsonl"
    file.write_text(json.dumps({"question": ENGLISH, "answer": JAPANESE}) + "\n", encoding="utf-8")
    judge = Decontaminate(sets={"both": str(file)}, columns={"both": ["question"]})
    assert judge([ENGLISH, JAPANESE]).scores["set"].tolist() == ["both", ""]


def test_the_content_of_a_set_is_in_the_key_and_its_place_is_not(tmp_path, sums):
    copy = write(tmp_path / "copy.jsonl", [ENGLISH, JAPANESE])
    other = write(tmp_path / "other.jsonl", [ENGLISH])
    depends = [Decontaminate(sets={"sums": path}).depends() for path in (sums, copy, other)]
    assert depends[0] == depends[1] != depends[2]
    assert Decontaminate(sets={"other name": sums}).depends() != depends[0]


def test_a_set_that_changed_is_read_anew(tmp_path):
    file = tmp_path / "set.jsonl"
    judge = Decontaminate(sets={"set": write(file, [ENGLISH])})
    assert judge([JAPANESE]).reasons == [None]
    write(file, [JAPANESE])
    assert judge([JAPANESE]).reasons != [None]


def test_bad_sets_are_faults(tmp_path, sums):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "numbers.jsonl").write_text('{"n": 1}\n')
    paths = {"none": str(tmp_path / "no.jsonl"), "empty": str(tmp_path / "empty.jsonl"), "sums": sums}
    columns = {"sums": ["qestion"], "els": ["a"]}
    judge = Decontaminate(sets={**paths, "numbers": str(tmp_path / "numbers.jsonl")}, columns=columns)
    said = {fault.where: fault.what for fault in judge.check()}
    assert said["sets.none"] == f"nothing matches {tmp_path}/no.jsonl"
    assert said["sets.empty"] == f"there is not one row in {tmp_path}/empty.jsonl"
    assert said["columns.sums"] == "there is no column qestion"
    assert said["columns.els"] == "there is no set els"
    assert "plain columns: n" in said["sets.numbers"]
    wrong = Decontaminate(words=0, characters=0, most_ngrams=-1).check()
    assert [fault.where for fault in wrong] == ["words", "characters", "most_ngrams", "sets"]


def test_items_that_are_too_short_are_told(tmp_path, caplog):
    file = write(tmp_path / "short.jsonl", ["two words", ENGLISH, "はい"])
    Decontaminate(sets={"short": file})(["a"])
    assert "short: 2 of 3 texts are too short to be looked for" in caplog.text
    with pytest.raises(KonomiError, match="not one of its 1 texts has 13 words or 25 characters"):
        Decontaminate(sets={"tiny": write(tmp_path / "tiny.jsonl", ["two words"])})(["a"])


def test_finds_planted_test_questions_in_real_pages_and_nothing_else(real_rows, tmp_path):
    pages = [row["text"] for row in real_rows("technical_docs_en")]
    english = [row["question"] for row in real_rows("gsm8k_test")]
    pairs = real_rows("mgsm_en_ja")
    items = {"gsm8k": english, "mgsm_ja": [row["question_ja"] for row in pairs]}
    sets = {name: write(tmp_path / f"{name}.jsonl", texts) for name, texts in items.items()}
    draw = random.Random(0)
    planted = dict(zip(draw.sample(range(len(pages)), 200), draw.choices(["gsm8k", "mgsm_ja"], k=200), strict=True))
    texts = list(pages)
    for row, name in planted.items():
        place = draw.randrange(len(pages[row]) + 1)
        texts[row] = f"{pages[row][:place]} {draw.choice(items[name])} {pages[row][place:]}"
    found = Decontaminate(sets=sets)(texts).scores["set"].tolist()
    assert {row: name for row, name in enumerate(found) if name} == planted
