"""Passages taken out of UTF-8 texts, compiled."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from konomi._units_kernel import compiled

Array = NDArray[Any]


@compiled
def take_out(data: Array, offsets: Array, document: Array, start: Array, end: Array, left: Array, ends: Array) -> Any:
    """Copy the texts `data[offsets[i]:offsets[i + 1]]` without their cuts into `left`; `ends[i]` is where text i ends.

    `document` counts from the first of the texts. Returns how many bytes were written.
    """
    written = 0
    cut = 0
    for text in range(len(offsets) - 1):
        position = offsets[text]
        while cut < len(document) and document[cut] == text:
            stop = offsets[text] + start[cut]
            left[written : written + stop - position] = data[position:stop]
            written += stop - position
            position = offsets[text] + end[cut]
            cut += 1
        left[written : written + offsets[text + 1] - position] = data[position : offsets[text + 1]]
        written += offsets[text + 1] - position
        ends[text] = written
    return written


@compiled
def merged(document: Array, start: Array, end: Array) -> Any:
    """Join sorted cuts of one document that touch or overlap, in place; return how many are left."""
    count = 0
    for cut in range(len(document)):
        if count and document[cut] == document[count - 1] and start[cut] <= end[count - 1]:
            end[count - 1] = max(end[count - 1], end[cut])
            continue
        document[count], start[count], end[count] = document[cut], start[cut], end[cut]
        count += 1
    return count


@compiled
def moved_back(
    document: Array, start: Array, end: Array, cut_document: Array, cut_start: Array, cut_end: Array
) -> None:
    """Change cuts of texts that had been cut before so that they say where that is in the uncut texts.

    Both lists are sorted. A cut that begins where a passage had been taken out begins after it.
    """
    first = 0
    for cut in range(len(document)):
        while first < len(cut_document) and cut_document[first] < document[cut]:
            first += 1
        shift = 0
        earlier = first
        while earlier < len(cut_document) and cut_document[earlier] == document[cut]:
            if cut_start[earlier] - shift > start[cut]:
                break
            shift += cut_end[earlier] - cut_start[earlier]
            earlier += 1
        begin = start[cut] + shift
        while earlier < len(cut_document) and cut_document[earlier] == document[cut]:
            if cut_start[earlier] - shift >= end[cut]:
                break
            shift += cut_end[earlier] - cut_start[earlier]
            earlier += 1
        start[cut], end[cut] = begin, end[cut] + shift
