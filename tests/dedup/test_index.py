import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import konomi
from konomi.dedup import Indexed
from konomi.dedup.chain import Chain
from konomi.dedup.exact import Equal, Exact
from konomi.dedup.minhash import MinHash, Verify
from konomi.dedup.none import NoDedup
from konomi.faults import Faults
from konomi.testing.dedup import distinct, write_corpus

PLUGINS = (Exact(), MinHash(), MinHash(verify=Verify.exact), Exact(within="crawl"), MinHash(within="crawl"))


def indexed(plugin, folder, texts, prefix, crawl="1"):
    """Deduplicate texts, write the index of what is kept, and return its folder and what was found."""
    corpus = write_corpus(folder / "texts", texts, shards=2, group_rows=4, columns={"crawl": [crawl] * len(texts)})
    found = plugin.find(corpus)
    names = pa.array([f"{prefix}:{row}" for row in range(len(texts))])
    plugin.index(corpus, found.keep, names, folder / "index")
    return str(folder), found


@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_what_earlier_corpora_kept_is_dropped_and_named(tmp_path, plugin):
    own = distinct(12)
    first, _ = indexed(plugin, tmp_path / "first", [*own[:4], own[0], "", "!"], "first")
    plugin = dataclasses.replace(plugin, **({"verify": Verify.estimate} if isinstance(plugin, MinHash) else {}))
    then = dataclasses.replace(plugin, against=(first,))
    second, found = indexed(then, tmp_path / "second", [own[5], own[1], own[1], own[6], own[5], "!"], "second")
    assert found.earlier == [None, "first:1", "first:1", None, None, "first:6"]
    assert found.cluster.tolist() == [0, 1, 2, 3, 0, 5]
    assert found.keep.tolist() == [True, False, False, True, False, False]
    assert (found.similarity == 1).all()
    last = dataclasses.replace(plugin, against=(first, second))
    _, found = indexed(last, tmp_path / "third", [own[6], own[3], own[7], own[0], "", own[5]], "third")
    assert found.earlier == ["second:3", "first:3", None, "first:0", "first:5", "second:0"]
    assert found.keep.tolist() == [False, False, True, False, False, False]


@pytest.mark.parametrize("plugin", [Exact(within="crawl"), MinHash(within="crawl")], ids=str)
def test_the_value_within_which_documents_are_compared_holds_for_earlier_ones(tmp_path, plugin):
    own = [*distinct(4), "短い"]
    first, _ = indexed(plugin, tmp_path / "first", own, "first", crawl="1")
    then = dataclasses.replace(plugin, against=(first,))
    assert indexed(then, tmp_path / "same", own, "same", crawl="1")[1].keep.sum() == 0
    assert indexed(then, tmp_path / "other", own, "other", crawl="2")[1].keep.all()


def test_near_duplicates_of_an_earlier_corpus_have_their_similarity(tmp_path):
    text = " ".join(f"word{number}" for number in range(300))
    first, _ = indexed(MinHash(), tmp_path / "first", [text, *distinct(5)], "first")
    near = text.replace("word150 ", "")
    _, found = indexed(MinHash(against=(first,)), tmp_path / "then", [near, *distinct(5, seed=1)], "then")
    assert found.earlier[0] == "first:0"
    assert 0.9 < found.similarity[0] < 1
    assert found.keep[1:].all()


def test_an_earlier_corpus_in_pieces_is_as_one_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("konomi.dedup.minhash.HELD_BYTES", 5 * 4 * 256)
    monkeypatch.setattr("konomi.dedup.minhash.STAR_DOCUMENTS", 3)
    own = distinct(40)
    first, _ = indexed(MinHash(), tmp_path / "first", own, "first")
    _, found = indexed(MinHash(against=(first,)), tmp_path / "then", [*own[::2], *distinct(4, seed=1)], "then")
    assert found.earlier == [*(f"first:{row}" for row in range(0, 40, 2)), None, None, None, None]


def test_a_chain_keeps_an_index_of_each_step(tmp_path):
    own = distinct(6)
    chain = Chain({"none": NoDedup(), "exact": Exact(), "minhash": MinHash()})
    first, _ = indexed(chain, tmp_path / "first", own, "first")
    assert sorted(path.name for path in (tmp_path / "first" / "index").iterdir()) == ["exact", "minhash"]
    then = Chain({"exact": Exact(against=(first,)), "minhash": MinHash(against=(first,))})
    _, found = indexed(then, tmp_path / "then", [own[2], own[2], "new, and longer than a shingle of five"], "then")
    assert found.earlier == ["first:2", "first:2", None]
    assert not isinstance(NoDedup(), Indexed) and isinstance(Exact(), Indexed)


def test_an_index_of_other_options_is_refused_with_what_differs(tmp_path):
    first, _ = indexed(MinHash(), tmp_path / "first", distinct(3), "first")
    (fault,) = MinHash(num_bands=14, against=(first,)).check()
    assert (fault.where, fault.hint) == ("against", "type num_bands=32, or make that index again")
    assert "was made with num_bands=32 (here 14)" in fault.what
    with pytest.raises(Faults, match="num_bands=32"):
        MinHash(num_bands=14, against=(first,)).find(write_corpus(tmp_path / "texts", ["a"]))
    (fault,) = Exact(against=(first,)).check()
    assert fault.what.endswith("holds no index of dedup/exact (it holds one of dedup/minhash)")
    (fault,) = Exact(against=(str(tmp_path / "nowhere"),)).check()
    assert fault.what.endswith("holds no index of dedup/exact")
    (fault,) = MinHash(verify=Verify.exact, against=(first,)).check()
    assert fault.where == "verify"
    indexed(MinHash(), tmp_path / "first" / "index", distinct(3), "again")
    (fault,) = MinHash(against=(first,)).check()
    assert "holds 2 indexes" in fault.what


def test_an_index_of_another_version_of_the_plugin_is_refused(tmp_path):
    first, _ = indexed(MinHash(), tmp_path / "first", distinct(3), "first")
    file = tmp_path / "first" / "index" / "index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 1}))
    (fault,) = MinHash(against=(first,)).check()
    assert "was made by version 1 of dedup/minhash (here 2)" in fault.what


def test_a_damaged_configuration_is_no_index(tmp_path):
    first, _ = indexed(Exact(), tmp_path / "first", distinct(3), "first")
    file = tmp_path / "first" / "index" / "index.json"
    for text in ("{", "[]", json.dumps({"plugin": "dedup/exact"})):
        file.write_text(text)
        assert [fault.where for fault in Exact(against=(first,)).check()] == ["against"]


POINTS = (("a", 0, "one"), ("b", 0, "one"), ("c", 1, "one"), ("d", 0, "other"))


@pytest.mark.parametrize("plugin", [Exact(equal=Equal.bytes), MinHash()], ids=str)
def test_the_key_follows_what_the_index_holds_and_not_where_it_lies(tmp_path, plugin):
    folders = [indexed(plugin, tmp_path / name, distinct(3, seed), named)[0] for name, seed, named in POINTS]
    a, b, c, d = (dataclasses.replace(plugin, against=(folder,)).depends() for folder in folders)
    assert a == b
    assert a != c and a != d
    assert plugin.depends() == {}


def test_an_earlier_corpus_of_nothing_and_a_corpus_of_nothing_are_served(tmp_path):
    for name, plugin in (("exact", Exact()), ("minhash", MinHash())):
        empty, _ = indexed(plugin, tmp_path / name / "empty", [], "empty")
        then = dataclasses.replace(plugin, against=(empty,))
        folder, found = indexed(then, tmp_path / name / "then", ["a", "a"], "then")
        assert found.keep.tolist() == [True, False]
        last = dataclasses.replace(plugin, against=(folder,))
        assert last.find(write_corpus(tmp_path / name / "nothing", [])).keep.shape == (0,)


def test_a_folder_without_an_index_is_a_fault_of_the_plan(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    given = ["source=files", f"source.path={tmp_path}/t.parquet", f"dedup.against=[{tmp_path}]"]
    with pytest.raises(Faults, match=r"curate\.dedup\.against: .* holds no index of dedup/minhash"):
        konomi.plan("curate", given)


def test_names_are_read_for_the_rows_that_are_asked_for(tmp_path):
    first, _ = indexed(Exact(), tmp_path / "first", distinct(9), "first")
    found = Exact(against=(first,)).find(write_corpus(tmp_path / "texts", distinct(9)[::-1]))
    assert found.earlier == [f"first:{row}" for row in range(8, -1, -1)]
    assert found.cluster.tolist() == np.arange(9).tolist()
