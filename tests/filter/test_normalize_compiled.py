"""The compiled rewriting makes what rewriting whole Python strings makes."""

import random
import unicodedata

import pytest

from konomi.filter.normalize import MAYBE_MOJIBAKE, Form, Normalize, mend_mojibake
from konomi.units import arrow_texts

PIECES = [
    *"aZ09 \t\n\r\x0b\x0c\x1c\x85\u2028\x00\x1b\x1f\u00ad\u200b\ufeff",
    *"　\u00a0\u2003ｶｷﾞﾊﾟァー（）「」，．、。，．１２Ａ％￥①㈱㍻ﬁ½ª²…‥·é",
    *"かがきﾞ漢字語𠮷々\u3099\u0301\u0327\u1161한\u037a\u00a8\ufdfa\ufb1d",
    *("\r\n", "\n\n\n", "か、", "き，", "漢．", "１，", "，２", "\U000e0067", "\U0001f469\u200d", "\ud800", "schÃ¶n"),
]
OPTIONS = [
    *({"form": form} for form in Form),
    {"controls": False},
    {"whitespace": False},
    {"controls": False, "whitespace": False, "form": Form.NFC},
    {"punctuation": False},
    {"mojibake": False},
    {"width": True, "form": Form.none},
    {"blank_lines": 0},
    {"blank_lines": 3},
    {"inner_spaces": True},
]


def by_strings(judge, text):
    return judge._rewrite(mend_mojibake(text) if judge.mojibake and MAYBE_MOJIBAKE.search(text) else text)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equals_rewriting_whole_strings(options):
    judge, draw = Normalize(**options), random.Random(str(options))
    weights = [draw.choice((1, 1, 8)) for _ in PIECES]
    texts = ["".join(draw.choices(PIECES, weights, k=draw.randint(0, 25))) for _ in range(400)]
    found = judge.annotate(arrow_texts(texts)).texts.cast("large_binary")
    for text, new in zip(texts, found.to_pylist(), strict=True):
        expected = by_strings(judge, text)
        assert (text if new is None else new.decode("utf-8", "surrogatepass")) == expected, repr(text)
        assert (new is None) is (text == expected), repr(text)


def test_every_character_becomes_what_unicode_says():
    characters = [
        chr(code) for code in range(0x20, 0x30000) if unicodedata.category(chr(code)) not in ("Cc", "Cf", "Cs")
    ]
    judge = Normalize(mojibake=False, controls=False, whitespace=False)
    texts = [f"x{character}y" for character in characters]
    assert judge(texts).texts == [unicodedata.normalize("NFKC", text) for text in texts]


def test_texts_that_stay_are_null_also_in_a_slice():
    texts = arrow_texts(["古い　物", "そのまま", "", "a b", "行末 "])
    assert Normalize().annotate(texts).texts.to_pylist() == ["古い 物", None, None, None, "行末"]
    assert Normalize().annotate(texts.slice(3)).texts.to_pylist() == [None, "行末"]


def test_width_alone_leaves_what_else_the_form_would_change():
    assert Normalize(form=Form.NFC, width=True)(["ｶﾞｷﾞ ＡＢ％ x² ㈱ ½"]).texts == ["ガギ AB% x² ㈱ ½"]
    assert Normalize(form=Form.NFC)(["ｶﾞ Ａ"]).texts == ["ｶﾞ Ａ"]


def test_commas_in_numbers_do_not_make_a_majority():
    text = "人口は、１，０００と、２，０００である，と言う。"
    assert Normalize(form=Form.NFC)([text]).texts == [text]
    assert Normalize(form=Form.NFC)(["「はい」，それは，よい、です．"]).texts == ["「はい」、それは、よい、です。"]
