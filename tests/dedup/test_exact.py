import pytest

from konomi.dedup._options import Keep
from konomi.dedup.exact import Equal, Exact
from konomi.faults import KonomiError
from konomi.testing.dedup import DedupSuite, write_corpus


class TestExact(DedupSuite):
    plugin = Exact


class TestExactByBytes(DedupSuite):
    plugin = Exact

    def make(self, **options):
        return Exact(equal=Equal.bytes, **options)


class TestExactByLetters(DedupSuite):
    plugin = Exact

    def make(self, **options):
        return Exact(equal=Equal.letters, **options)


@pytest.mark.parametrize(
    ("one", "other", "equal_in"),
    [
        ("同じ文章", "同じ文章", {"bytes", "spaces", "letters"}),
        ("a  b\n", " a b", {"spaces", "letters"}),
        ("ＡＢＣ　ｶﾅ", "ABC カナ", {"spaces", "letters"}),
        ("now here", "nowhere", {"letters"}),
        ("Hello, World!", "hello world", {"letters"}),
        ("!!!", "???", set()),
        ("कि", "का", set()),
        ("一つ", "二つ", set()),
    ],
)
def test_equality_is_what_the_option_says(tmp_path, one, other, equal_in):
    found = {
        equal.name
        for equal in Equal
        if not Exact(equal=equal).find(write_corpus(tmp_path / equal.name, [one, other])).keep.all()
    }
    assert found == equal_in


def test_keeps_the_first_copy_unless_told_otherwise(tmp_path):
    corpus = write_corpus(tmp_path, ["a", "b", "a", "b", "a"])
    assert Exact().find(corpus).cluster.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("keep", "values", "kept"),
    [
        (Keep.largest, [1, 5, 3], 1),
        (Keep.smallest, [1, 5, 3], 0),
        (Keep.largest, [None, 5, 7], 2),
        (Keep.smallest, [None, 7, 7], 1),
        (Keep.largest, ["2024-01-02", "2025-06-01", "1999-01-01"], 1),
        (Keep.largest, [float("nan"), -1.0, None], 1),
    ],
)
def test_a_column_decides_which_copy_is_kept(tmp_path, keep, values, kept):
    corpus = write_corpus(tmp_path, ["a", "a", "a"], columns={"quality": values})
    assert Exact(keep_by="quality", keep=keep).find(corpus).cluster.tolist() == [kept] * 3


def test_a_missing_column_is_named_with_its_nearest(tmp_path):
    corpus = write_corpus(tmp_path, ["a"], columns={"quality": [1]})
    with pytest.raises(KonomiError, match="did you mean quality"):
        Exact(keep_by="qualty").find(corpus)
    with pytest.raises(KonomiError, match="no column texts; did you mean text"):
        Exact().find(type(corpus)(corpus.shards, "texts"))


def test_a_column_without_an_order_is_refused(tmp_path):
    corpus = write_corpus(tmp_path, ["a", "b"], columns={"meta": [{"x": [1]}, {"x": [2]}]})
    with pytest.raises(KonomiError, match="meta has no order"):
        Exact(keep_by="meta").find(corpus)


def test_says_what_its_normalisation_depends_on():
    assert set(Exact().depends()) == {"pyarrow"}
    assert Exact(equal=Equal.bytes).depends() == {}
