import random
import zlib

import pytest

from konomi.filter.compression import Compression
from konomi.testing.filter import FilterSuite


class TestCompression(FilterSuite):
    plugin = Compression


class TestCompressionWithoutLimits(FilterSuite):
    plugin = Compression

    def make(self):
        return Compression(min_ratio=0, max_ratio=9, level=9)


def bare_deflate(text, level=6):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return len(packer.compress(text.encode()) + packer.flush()) / len(text.encode())


def test_the_ratio_is_that_of_bare_deflate_over_utf_8():
    texts = ["いろはにほへと、ちりぬるを。" * 7, "the cat sat on the mat", "𠮷野家"]
    for level in (1, 6, 9):
        ratios = Compression(level=level)(texts).scores["ratio"].tolist()
        assert ratios == [bare_deflate(text, level) for text in texts]


def test_a_ratio_on_a_limit_is_kept():
    text = "いろはにほへと、ちりぬるを。我が世たれぞ、常ならむ。有為の奥山、今日越えて、浅き夢見じ、酔いもせず。"
    ratio = bare_deflate(text)
    on = Compression(min_ratio=ratio, max_ratio=ratio)
    assert on([text]).reasons == [None]
    assert Compression(min_ratio=ratio + 1e-9, max_ratio=2)([text]).reasons[0].startswith("compression ratio")
    assert Compression(max_ratio=ratio - 1e-9)([text]).reasons[0].startswith("compression ratio")


def test_repetition_is_too_small_and_noise_too_large():
    noise = "".join(random.Random(0).choices([chr(code) for code in range(0x4E00, 0x9FFF)], k=500))
    small, large = Compression()(["買うなら今！" * 200, noise]).reasons
    assert small == "compression ratio 0.014 < 0.3"
    assert large.endswith("> 0.7")


def test_an_empty_text_has_nothing_to_shrink():
    assert Compression()([""]).scores["ratio"].tolist() == [1.0]


def test_texts_out_of_a_slice_are_measured_by_themselves():
    from konomi.units import arrow_texts

    texts = arrow_texts(["a" * 99, "いろはにほへと" * 3, "z" * 50])
    whole, part = Compression().annotate(texts).scores["ratio"], Compression().annotate(texts.slice(1)).scores["ratio"]
    assert whole[1:].tolist() == part.tolist()


@pytest.mark.parametrize(
    ("options", "where"), [({"level": 0}, "level"), ({"min_ratio": 0.8}, "min_ratio"), ({"min_ratio": -1}, "min_ratio")]
)
def test_wrong_options_are_faults(options, where):
    assert [fault.where for fault in Compression(**options).check()] == [where]


def test_literature_is_between_the_limits(real_rows):
    texts = [row["text"] for row in real_rows("aozora_ja")]
    dropped = [reason for reason in Compression()(texts).reasons if reason]
    assert len(dropped) < 0.05 * len(texts)
