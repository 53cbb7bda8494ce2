"""Documents that break careless rules: nothing, one character, megabytes in a line, bytes that are no text."""

import numpy as np
import pyarrow as pa
import pytest

from konomi import registry

RULES = ("gopher_quality", "c4", "fineweb", "repetition")


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("language", ["auto", "ja", "any"])
def test_small_odd_texts_have_finite_scores(name, language):
    options = {} if name == "repetition" else {"language": language}
    judge = registry.get("filter", name)(**options)
    texts = [
        "",
        "\n",
        "\n" * 50,
        "a",
        "あ",
        "…",
        "・",
        "[",
        "]",
        "{",
        "\x00",
        "\x00" * 9,
        "\ud800",
        "\U0010ffff",
        "\U00040000. ",
    ]
    verdicts = judge(texts)
    assert len(verdicts.reasons) == len(texts)
    assert all(np.isfinite(scores.astype(float)).all() for scores in verdicts.scores.values())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("piece", "megabytes"),
    [("x", 10), ("あ", 10), ("a ", 1), ("\n", 10), ("a\n", 1), ("\x00", 1), ("。", 1), ("...", 1)],
)
def test_megabytes_of_one_thing_are_judged(name, piece, megabytes):
    text = piece * (megabytes * 1_000_000 // len(piece.encode()))
    assert len(registry.get("filter", name)()([text]).reasons) == 1


@pytest.mark.parametrize("name", RULES)
def test_bytes_that_are_no_utf8_do_no_harm(name):
    broken = [b"\xff\xfe broken \xc3", b"\xe3\x81", b"\xf0\x9f", b"ok.\n\x80\x80", bytes(range(256)) * 4]
    texts = pa.array(broken, pa.large_binary()).view(pa.large_string())
    found = registry.get("filter", name)().annotate(texts)
    assert all(np.isfinite(scores.astype(float)).all() for scores in found.scores.values())


@pytest.mark.parametrize("name", RULES)
def test_a_part_of_a_column_is_judged_like_the_whole(name):
    judge = registry.get("filter", name)()
    texts = pa.array(["It rained. " * 9, None, "雨が降った。" * 9, "x\ny\nx"], pa.large_string())
    whole, part = judge.annotate(texts), judge.annotate(texts.slice(2, 2))
    assert {name: scores[2:].tolist() for name, scores in whole.scores.items()} == {
        name: scores.tolist() for name, scores in part.scores.items()
    }
    assert whole.texts is None or whole.texts.slice(2, 2).equals(part.texts)
