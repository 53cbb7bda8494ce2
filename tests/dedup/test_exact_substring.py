import random
from itertools import pairwise

import pyarrow as pa
import pytest

from konomi.dedup import _cuts
from konomi.dedup.exact_substring import ExactSubstring, Occurrence
from konomi.testing.dedup import DedupSuite, write_corpus


class TestExactSubstring(DedupSuite):
    plugin = ExactSubstring
    finds_copies = False


def left(folder, texts, **options):
    """Return the texts without what is cut."""
    found = ExactSubstring(**options).find(write_corpus(folder, texts, shards=2, group_rows=3))
    cut = _cuts.without(pa.array(texts, pa.large_string()), found.cuts).to_pylist()
    return [text if new is None else new for text, new in zip(texts, cut, strict=True)]


def by_definition(texts, length, every=False):
    """Return which bytes stand in a run that occurs elsewhere, earlier unless `every`: the definition, by counting."""
    data = [text.encode() for text in texts]
    places = {}
    for document, text in enumerate(data):
        for start in range(len(text) - length + 1):
            places.setdefault(text[start : start + length], []).append((document, start))
    marked = [bytearray(len(text)) for text in data]
    for found in places.values():
        first = found[0]
        apart = [place for place in found[1:] if place[0] != first[0] or place[1] >= first[1] + length]
        for document, start in [*apart, *([first] if every and apart else [])]:
            marked[document][start : start + length] = b"\1" * length
    kept = []
    for text, marks in zip(data, marked, strict=True):
        bounds = [index for index in range(len(text) + 1) if index == len(text) or text[index] & 0xC0 != 0x80]
        kept.append(b"".join(text[low:high] for low, high in pairwise(bounds) if not all(marks[low:high])).decode())
    return kept


def made(draw, alphabet, passages, count):
    return [
        "".join(
            draw.choice(
                [draw.choice(passages)[draw.randrange(30) :], "".join(draw.choices(alphabet, k=draw.randrange(60)))]
            )
            for _ in range(draw.randrange(6))
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("keep", list(Occurrence))
@pytest.mark.parametrize("alphabet", ["ab", "abcdefghijklmnop", "いろはにほへと", "aあ𠮷é"])
@pytest.mark.parametrize("length", [16, 37])
def test_cuts_what_the_definition_cuts(tmp_path, keep, alphabet, length):
    draw = random.Random(length)
    passages = ["".join(draw.choices(alphabet, k=50)) for _ in range(4)]
    texts = made(draw, alphabet, passages, 40)
    expected = by_definition(texts, length, every=keep is Occurrence.none)
    assert expected != texts
    assert left(tmp_path, texts, length=length, keep=keep) == expected


def test_a_passage_of_many_documents_is_kept_once(tmp_path):
    draw = random.Random(0)
    notice = "".join(draw.choices("いろはにほへとちりぬるを", k=60))
    own = ["".join(draw.choices("アイウエオカキクケコ", k=draw.randint(0, 30))) for _ in range(200)]
    texts = [f"{one}{notice}{other}" for one, other in zip(own[::2], own[1::2], strict=True)]
    found = left(tmp_path, texts)
    assert found == by_definition(texts, 100)
    assert sum(notice in text for text in found) == 1


def test_ninety_nine_bytes_stay_and_a_hundred_go(tmp_path):
    draw = random.Random(0)
    run = "".join(draw.choices("abcdefgh", k=100))
    assert left(tmp_path / "99", [f"1{run[:99]}2", f"3{run[:99]}4"]) == [f"1{run[:99]}2", f"3{run[:99]}4"]
    assert left(tmp_path / "100", [f"1{run}2", f"3{run}4"]) == [f"1{run}2", "34"]


def test_a_ruled_line_is_no_repetition_of_itself_at_once(tmp_path):
    for name, texts in (("one", ["=" * 150]), ("two", ["=" * 150, "あ" + "=" * 350])):
        found = left(tmp_path / name, texts)
        assert found == by_definition(texts, 100)
        assert found[0].startswith("=" * 100)


def test_a_whole_copy_is_left_without_text(tmp_path):
    text = "".join(random.Random(0).choices("abcdefgh", k=500))
    assert left(tmp_path, [text, "", text]) == [text, "", ""]


@pytest.mark.parametrize(("options", "where"), [({"length": 15}, "length"), ({"threads": -1}, "threads")])
def test_options_that_cannot_work_are_faults(options, where):
    assert [fault.where for fault in ExactSubstring(**options).check()] == [where]


def test_real_pages_lose_what_the_definition_says(real_rows, tmp_path):
    texts = [row["text"][:4000] for row in real_rows("technical_docs_en")[:150]]
    texts += [row["text"][:4000] for row in real_rows("aozora_ja")[:50]]
    assert left(tmp_path, texts) == by_definition(texts, 100)
