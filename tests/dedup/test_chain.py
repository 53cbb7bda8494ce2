import random
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

import konomi
from konomi.dedup import Corpus, Cuts, Duplicates, _cuts
from konomi.dedup.chain import Chain
from konomi.dedup.exact import Exact
from konomi.dedup.minhash import MinHash
from konomi.faults import Faults
from konomi.recipe.recorded import recorded
from konomi.testing.dedup import DedupSuite, distinct, layered, write_corpus


class TestChain(DedupSuite):
    plugin = Chain

    def make(self, **options):
        return Chain({"exact": Exact(), "minhash": MinHash()})


@dataclass(frozen=True)
class Told:
    """Find what it was told, and write down what it was shown."""

    cluster: tuple[int, ...]
    similarity: tuple[float, ...]
    seen: list
    earlier: tuple[str | None, ...] | None = None
    cuts: Cuts | None = None

    def find(self, corpus):
        self.seen.extend(text for _, batch in corpus.texts() for text in batch.to_pylist())
        cluster = np.array(self.cluster)
        keep = cluster == np.arange(len(cluster))
        if self.earlier:
            keep &= np.array([name is None for name in self.earlier])
        return Duplicates(cluster, keep, np.array(self.similarity, np.float32), self.earlier, self.cuts)


def cuts(*rows):
    return Cuts(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


def test_each_step_sees_what_the_ones_before_kept_and_clusters_follow_the_kept_document(tmp_path):
    first, second = Told((0, 0, 2, 2, 4), (1, 0.9, 1, 1, 1), []), Told((0, 0, 2), (1, 0.8, 1), [])
    found = Chain({"first": first, "second": second}).find(write_corpus(tmp_path, list("abcde"), group_rows=2))
    assert first.seen == list("abcde")
    assert second.seen == ["a", "c", "e"]
    assert found.cluster.tolist() == [0, 0, 0, 0, 4]
    assert found.keep.tolist() == [True, False, False, False, True]
    assert found.similarity.tolist() == pytest.approx([1, 0.9, 0.8, 0.8, 1])


def test_two_steps_leave_the_least_similarity_that_the_metric_allows(tmp_path):
    chain = Chain({"one": Told((0, 0, 2), (1, 0.9, 1), []), "two": Told((1, 1), (0.75, 1), [])})
    assert chain.find(write_corpus(tmp_path, list("abc"))).similarity.tolist() == pytest.approx([0.75, 0.65, 1])


def test_a_step_sees_texts_as_the_one_before_cut_them_and_the_cuts_are_of_the_whole_texts(tmp_path):
    texts = ["あいうえお", "kept", None, "0123456789"]
    first = Told((0, 1, 2, 3), (1,) * 4, [], cuts=cuts((0, 3, 6), (3, 2, 4), (3, 6, 8)))
    second = Told((0, 1, 2, 3), (1,) * 4, [], cuts=cuts((0, 0, 6), (3, 1, 3), (3, 4, 5)))
    corpus = write_corpus(tmp_path, texts, group_rows=2)
    found = Chain({"first": first, "second": second}).find(corpus)
    assert second.seen == ["あうえお", "kept", None, "014589"]
    rows = list(zip(*(values.tolist() for values in vars(found.cuts).values()), strict=True))
    assert rows == [(0, 0, 9), (3, 1, 5), (3, 6, 9)]
    left = _cuts.without(pa.array(texts), found.cuts).to_pylist()
    assert left == ["えお", None, None, "059"]


def test_cuts_of_documents_that_a_later_step_drops_are_left_out(tmp_path):
    first = Told((0, 1), (1, 1), [], cuts=cuts((0, 0, 1), (1, 1, 2)))
    found = Chain({"first": first, "second": Told((0, 0), (1, 0.9), [])}).find(write_corpus(tmp_path, ["ab", "cd"]))
    assert found.cuts.document.tolist() == [0]


def test_copies_of_what_an_earlier_corpus_holds_name_its_document_too(tmp_path):
    first, second = Told((0, 0, 2), (1, 1, 1), []), Told((0, 1), (0.9, 1), [], ("old:7", None))
    found = Chain({"first": first, "second": second}).find(write_corpus(tmp_path, list("abc")))
    assert found.earlier == ["old:7", "old:7", None]
    assert found.cluster.tolist() == [0, 1, 2]
    assert found.keep.tolist() == [False, False, True]


def test_cutting_again_gives_what_cutting_at_once_gives(tmp_path):
    draw = random.Random(0)
    for _ in range(200):
        text = "".join(draw.choices("abcdefg", k=30))
        rows = sorted(draw.sample(range(31), 6))
        first = cuts(*((0, rows[index], rows[index + 1]) for index in (0, 2, 4)))
        once = _cuts.without(pa.array([text]), first)[0].as_py()
        rows = sorted(draw.sample(range(len(once) + 1), min(4, len(once) // 2 * 2)))
        if len(rows) < 2:
            continue
        then = cuts(*((0, rows[index], rows[index + 1]) for index in range(0, len(rows) - 1, 2)))
        twice = _cuts.without(pa.array([once]), then)[0].as_py()
        assert _cuts.without(pa.array([text]), _cuts.after(first, then))[0].as_py() == twice


def test_masks_layers_and_row_groups_go_through_a_cutting_step(tmp_path):
    texts = distinct(10)
    corpus = layered(
        write_corpus(tmp_path / "c", texts, shards=2, group_rows=2),
        tmp_path / "l",
        rows=[row not in (0, 1, 2, 3, 8) for row in range(10)],
        texts={5: "laid over"},
    )
    first = Told(tuple(range(5)), (1,) * 5, [], cuts=cuts((1, 0, 5), (3, 0, 3)))
    second = Told(tuple(range(5)), (1,) * 5, [])
    Chain({"first": first, "second": second}).find(corpus)
    assert second.seen == [texts[4], "over", texts[6], texts[7][1:], texts[9]]


@pytest.mark.parametrize("plugin", [Exact, MinHash])
def test_only_equal_values_of_the_column_are_compared(tmp_path, plugin):
    one, other = distinct(2)
    texts = [one, one, one, other, other, "a", "a", one]
    crawls = ["1", "2", "1", None, None, "2", "1", None]
    corpus = write_corpus(tmp_path, texts, shards=2, columns={"crawl": crawls})
    assert plugin(within="crawl").find(corpus).cluster.tolist() == [0, 1, 0, 3, 3, 5, 6, 7]
    with pytest.raises(konomi.faults.KonomiError, match="within: the corpus has no column crwl; did you mean crawl"):
        plugin(within="crwl").find(corpus)


def test_is_composed_from_the_command_line():
    cfg = konomi.compose(
        "curate", ["dedup=chain", "dedup.steps=[exact,by_crawl,minhash]", "dedup.steps.minhash.threshold=0.7"]
    )
    steps = cfg.curate.dedup.steps
    assert list(steps) == ["exact", "by_crawl", "minhash"]
    assert (steps.by_crawl.within, steps.by_crawl.threshold) == ("crawl", 0.8)
    assert (steps.minhash.within, steps.minhash.threshold) == ("", 0.7)
    assert konomi.compose("curate", []).curate.dedup.plugin == "dedup/minhash"
    assert list(konomi.compose("curate", ["dedup=chain"]).curate.dedup.steps) == ["exact", "minhash"]


def test_a_step_that_is_not_there_is_named_with_its_nearest():
    with pytest.raises(Faults, match=r"there is no dedup called minhahs\n +did you mean minhash"):
        konomi.compose("curate", ["dedup=chain", "dedup.steps=[exact,minhahs]"])


def test_a_chain_within_a_chain_is_composed():
    cfg = konomi.compose("curate", ["dedup=chain", "dedup.steps=[chain,none]", "dedup.steps.chain.steps=[exact]"])
    assert list(cfg.curate.dedup.steps.chain.steps) == ["exact"]


def test_its_recipe_is_planned_and_faults_of_steps_have_their_paths(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    source = ["source=files", f"source.path={tmp_path}/t.parquet", "dedup=chain"]
    assert konomi.plan("curate", source)
    with pytest.raises(Faults, match=r"curate\.dedup\.steps\.minhash\.threshold: 2\.0 is no similarity"):
        konomi.plan("curate", [*source, "dedup.steps.minhash.threshold=2.0"])
    assert [fault.where for fault in Chain({}).check()] == ["steps"]


def test_serves_an_empty_corpus_at_every_step():
    found = Chain({"exact": Exact(), "minhash": MinHash()}).find(Corpus(()))
    assert found.cluster.shape == (0,)


def test_a_recorded_recipe_brings_its_steps_again():
    cfg = konomi.compose("curate", ["dedup=chain", "dedup.steps=[by_crawl,exact]", "dedup.steps.exact.equal=letters"])
    manifest = {"recipe_config": OmegaConf.to_container(cfg), "stage": "curate", "inputs": {}}
    with recorded(manifest) as composed:
        again = composed.cfg.curate.dedup
    assert composed.faults == []
    assert again == cfg.curate.dedup
