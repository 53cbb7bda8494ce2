"""What every deduplicator must keep; its author subclasses the suite.

from konomi.testing.dedup import DedupSuite

class TestMyDedup(DedupSuite):
    plugin = MyDedup
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from konomi.dedup import Corpus, Dedup, Duplicates, Shard


def write_corpus(
    folder: Path,
    texts: Sequence[str | None],
    *,
    shards: int = 1,
    group_rows: int = 1000,
    column: str = "text",
    type_: str = "string",
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Corpus:
    """Write texts, and further columns, into Parquet shards and return them as a corpus."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({column: pa.array(texts, type_), **(columns or {})})
    rows = -(-len(texts) // shards) if texts else 0
    paths = []
    for number in range(shards):
        path = folder / f"shard-{number:05}.parquet"
        pq.write_table(table.slice(number * rows, rows), path, row_group_size=group_rows)
        paths.append(path)
    return Corpus(tuple(paths), column)


def layered(corpus: Corpus, folder: Path, *, rows: Sequence[bool], texts: Mapping[int, str]) -> Corpus:
    """Return the documents of `corpus` that `rows` chooses, with `texts` laid over some, by their rows in the files."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    shards, first = [], 0
    for number, part in enumerate(corpus.parts()):
        file = pq.ParquetFile(part.path)
        last = first + file.metadata.num_rows
        over = pa.array([texts.get(row) for row in range(first, last)], "large_string")
        layer = folder / f"layer-{number:05}.parquet"
        with pq.ParquetWriter(layer, pa.schema({corpus.column: over.type})) as writer:
            start = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                writer.write_table(pa.table({corpus.column: over.slice(start, count)}), row_group_size=max(count, 1))
                start += count
        shards.append(Shard(part.path, np.array(rows[first:last], np.bool_), (layer,), part.beside))
        first = last
    return dataclasses.replace(corpus, shards=tuple(shards))


def distinct(count: int, seed: int = 0) -> list[str]:
    """Return documents in Japanese or English that share nothing but their alphabet."""
    draw = random.Random(seed)
    kana = [chr(code) for code in range(ord("ぁ"), ord("ん") + 1)]
    documents = []
    for number in range(count):
        if number % 2:
            documents.append("".join(draw.choices(kana, k=draw.randint(60, 200))))
        else:
            documents.append(" ".join("".join(draw.choices("abcdefgh", k=6)) for _ in range(draw.randint(20, 60))))
    return documents


def similarities(texts: Sequence[str], plugin: Any) -> Any:
    """Return the exact Jaccard similarity of all pairs, from matrix products over the shingles that two share.

    `plugin` is a MinHash, whose shingles are taken; shape (n, n).
    """
    import numpy as np
    import pyarrow as pa

    shingles, ends = plugin._units(pa.array(texts)).ngrams(plugin.shingle_size)
    owner = np.repeat(np.arange(len(texts)), np.diff(ends, prepend=0))
    pairs = np.unique(np.stack([shingles, owner.astype(np.uint64)]), axis=1)
    sizes = np.bincount(pairs[1].astype(int), minlength=len(texts))
    _, number, often = np.unique(pairs[0], return_inverse=True, return_counts=True)
    shared = np.zeros((len(texts), len(texts)), np.float32)
    number, rows = number[often[number] > 1], pairs[1][often[number] > 1].astype(int)
    for low in range(0, number.max() + 1, 16384):
        own = (number >= low) & (number < low + 16384)
        block = np.zeros((len(texts), 16384), np.float32)
        block[rows[own], number[own] - low] = 1
        shared += block @ block.T
    return shared / np.maximum(sizes[:, None] + sizes[None, :] - shared, 1)


def answer(found: Duplicates) -> list[list[Any]]:
    """Return all that was found, to compare."""
    cuts = found.cuts and [found.cuts.document, found.cuts.start, found.cuts.end]
    return [values.tolist() for values in (found.cluster, found.keep, found.similarity, *(cuts or ()))]


class DedupSuite:
    """Shared tests of a deduplicator; override `make` to test other options than the defaults."""

    plugin: ClassVar[type[Any]]
    finds_copies: ClassVar[bool] = True
    """Whether equal documents are duplicates to it; False for one that keeps everything."""

    def make(self, **options: Any) -> Dedup:
        """Return the deduplicator under test."""
        made: Dedup = self.plugin(**options)
        return made

    def find(self, folder: Path, texts: Sequence[str | None], **layout: Any) -> Duplicates:
        """Return what is found among texts; `layout` is how they are written."""
        return self.make().find(write_corpus(folder, texts, **layout))

    def test_keeps_one_document_of_each_cluster(self, tmp_path: Path) -> None:
        import numpy as np

        own = distinct(12)
        found = self.find(tmp_path, [*own, *own[:5], own[0]])
        everyone = np.arange(18)
        assert found.cluster.shape == found.keep.shape == found.similarity.shape == (18,)
        assert found.keep.dtype == np.bool_
        assert (found.keep == (found.cluster == everyone)).all()
        assert found.keep[found.cluster].all()
        assert (found.similarity[found.keep] == 1).all()
        assert ((found.similarity >= 0) & (found.similarity <= 1)).all()

    def test_equal_documents_are_one(self, tmp_path: Path) -> None:
        own = distinct(12)
        found = self.find(tmp_path, [*own, *own[:5], own[0]])
        expected = [*range(12), 0, 1, 2, 3, 4, 0] if self.finds_copies else list(range(18))
        assert found.cluster.tolist() == expected

    def test_keeps_documents_that_have_nothing_in_common(self, tmp_path: Path) -> None:
        assert self.find(tmp_path, distinct(200)).keep.all()

    def test_shards_and_row_groups_do_not_matter(self, tmp_path: Path) -> None:
        texts = [*distinct(30), *distinct(30)[10:20]]
        whole = self.find(tmp_path / "whole", texts)
        cut = self.find(tmp_path / "cut", texts, shards=3, group_rows=4, type_="large_string")
        assert answer(whole) == answer(cut)

    def test_threads_do_not_matter(self, tmp_path: Path) -> None:
        if "threads" not in {field.name for field in dataclasses.fields(self.plugin)}:
            pytest.skip(f"{self.plugin.__name__} has no threads")
        corpus = write_corpus(tmp_path, [*distinct(30), *distinct(30)[10:20]], shards=3, group_rows=4)
        one, many = self.make(threads=1).find(corpus), self.make(threads=4).find(corpus)
        assert answer(one) == answer(many)

    def test_cuts_are_sorted_apart_and_between_characters(self, tmp_path: Path) -> None:
        shared = ["あいうえおかきくけこ" * 8, "the quick brown fox jumps over the lazy dog and on"]
        texts = ["\n\n".join([own, *shared, own[::-1], shared[number % 2]]) for number, own in enumerate(distinct(9))]
        cuts = self.find(tmp_path, texts).cuts
        if cuts is None:
            pytest.skip(f"{self.plugin.__name__} cuts nothing")
        rows = list(zip(cuts.document.tolist(), cuts.start.tolist(), cuts.end.tolist(), strict=True))
        assert rows and rows == sorted(rows)
        for document, start, end in rows:
            assert texts[document].encode()[start:end].decode()
        for (one, _, end), (other, start, _) in itertools.pairwise(rows):
            assert one < other or end < start

    def test_serves_a_corpus_without_documents(self, tmp_path: Path) -> None:
        for corpus in (Corpus(()), write_corpus(tmp_path, [])):
            found = self.make().find(corpus)
            assert found.cluster.shape == found.keep.shape == found.similarity.shape == (0,)

    def test_documents_of_next_to_nothing_stay_apart(self, tmp_path: Path) -> None:
        assert self.find(tmp_path, ["", "a", "b", "あ", "い", "𠮷", "!", "?", "。", "👍", "👎"]).keep.all()

    def test_serves_one_character_and_a_million(self, tmp_path: Path) -> None:
        long = "".join(random.Random(0).choices("いろはにほへとちりぬるを", k=1_000_000))
        found = self.find(tmp_path, ["あ", long, "い", long])
        assert found.cluster.tolist() == ([0, 1, 2, 1] if self.finds_copies else [0, 1, 2, 3])

    def test_reads_the_column_that_it_is_told(self, tmp_path: Path) -> None:
        texts = distinct(6)
        found = self.find(tmp_path, [*texts, texts[2]], column="body", columns={"text": list("abcdefg")})
        assert found.keep.sum() == (6 if self.finds_copies else 7)

    def test_sees_the_chosen_rows_with_what_is_laid_over_them(self, tmp_path: Path) -> None:
        own = distinct(16)
        written = [*own, own[2], own[3], own[4], own[0]]
        rows = [row not in (1, 7, 16, 17) for row in range(20)]
        over = {5: own[6], 18: "。".join(own[8:10]), 7: own[0]}
        layout: Any = {"shards": 3, "group_rows": 4}
        parts = layered(write_corpus(tmp_path / "parts", written, **layout), tmp_path / "over", rows=rows, texts=over)
        read = [over.get(row, text) for row, text in enumerate(written) if rows[row]]
        seen, expected = self.make().find(parts), self.find(tmp_path / "plain", read)
        assert parts.count() == len(read)
        assert [text for _, batch in parts.texts() for text in batch.to_pylist()] == read
        assert answer(seen) == answer(expected)

    def test_a_column_that_decides_may_stand_in_a_file_beside(self, tmp_path: Path) -> None:
        if "keep_by" not in {field.name for field in dataclasses.fields(self.plugin)}:
            pytest.skip(f"{self.plugin.__name__} has no keep_by")
        own = distinct(6)
        plain = write_corpus(tmp_path / "text", [*own, *own[:2]], shards=2, group_rows=3)
        scores = write_corpus(
            tmp_path / "scores", [""] * 8, shards=2, group_rows=3, column="none", columns={"score": range(8)}
        )
        rows = [True] * 7 + [False]
        parts = layered(plain, tmp_path / "over", rows=rows, texts={})
        beside = [
            dataclasses.replace(part, beside=(score.path,))
            for part, score in zip(parts.parts(), scores.parts(), strict=True)
        ]
        corpus = dataclasses.replace(parts, shards=tuple(beside))
        assert corpus.values("score").to_pylist() == list(range(7))
        found = self.make(keep_by="score").find(corpus)
        assert found.cluster.tolist() == ([6, *range(1, 7)] if self.finds_copies else list(range(7)))

    def test_leaves_no_files_behind(self, tmp_path: Path) -> None:
        corpus = write_corpus(tmp_path / "corpus", distinct(6))
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        self.make().find(dataclasses.replace(corpus, scratch=scratch))
        assert list(scratch.iterdir()) == []
