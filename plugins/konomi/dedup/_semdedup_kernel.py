"""The walk of SemDeDup through one cluster, compiled."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]


@compiled
def walk(similarities: Array, start: int, least: float, head: Array, nearness: Array) -> None:
    """Give each document from `start` on to the most similar one kept before it, where that is above `least`.

    `similarities` (b, m) are those of b documents to all m up to and with them, in the order of preference. `head[i]`
    is i itself where document i is kept.
    """
    for row in range(len(similarities)):
        document = start + row
        head[document], nearness[document] = document, 1.0
        best = least
        for other in range(document):
            if head[other] == other and similarities[row, other] > best:
                best = similarities[row, other]
                head[document], nearness[document] = other, best
