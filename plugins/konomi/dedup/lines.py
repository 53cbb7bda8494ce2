"""Lines that stand in several documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from konomi.dedup._passages import Passages
from konomi.registry import register


@register("dedup", "lines")
@dataclass(frozen=True)
class Lines(Passages):
    """Cut lines out that stand in several documents: menus, notices, headers (after CCNet; Wenzek+ 2020, 3.1).

    Lines are equal where they have the same letters and digits, but for the case of ASCII letters, white space and
    punctuation. CCNet and Dolma (Soldaini+ 2024) compare paragraphs that are lines. All documents are kept.

    >>> import pathlib, tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> from konomi.dedup import Corpus
    >>> shard = pathlib.Path(tempfile.mkdtemp()) / "texts.parquet"
    >>> notice = "Copyright 2024 by the authors. All rights reserved."
    >>> pq.write_table(pa.table({"text": [f"一つ目\\n{notice}\\n本文", f"二つ目\\n{notice.upper()}\\n本文"]}), shard)
    >>> cuts = Lines().find(Corpus((shard,))).cuts
    >>> cuts.document.tolist(), cuts.start.tolist(), cuts.end.tolist()
    ([1], [10], [62])
    """

    blank_line: ClassVar[bool] = False
