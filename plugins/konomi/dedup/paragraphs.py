"""Paragraphs that stand in several documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from konomi.dedup._passages import Passages
from konomi.registry import register


@register("dedup", "paragraphs")
@dataclass(frozen=True)
class Paragraphs(Passages):
    """Cut paragraphs out that stand in several documents; they end at a blank line (after Dolma; Soldaini+ 2024).

    Paragraphs are equal where they have the same letters and digits, however their lines are broken, and but for the
    case of ASCII letters, white space and punctuation. All documents are kept.

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> from konomi.dedup import Corpus
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> notice = "このページの無断転載を\\n固く禁じます。ご了承ください。"
    >>> pq.write_table(pa.table({"text": [f"一つ目\\n\\n{notice}\\n\\n本文", f"二つ目\\n\\n{notice}"]}), shard)
    >>> cuts = Paragraphs().find(Corpus((shard,))).cuts
    >>> cuts.document.tolist(), cuts.start.tolist(), cuts.end.tolist()
    ([1], [11], [90])
    """

    blank_line: ClassVar[bool] = True
