"""A classifier of quality, learnt from two piles of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault, KonomiError
from konomi.fields import UNKNOWN, choice
from konomi.job import Job
from konomi.registry import register
from konomi.report import Block, Histogram, Note, Table
from konomi.units import Unit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._quality_training import Piles, Telling
    from konomi.source import Source

TEXT = "text"
HASHES = 2**64
SHOWN_NGRAMS = 20
BINS = 20
LEASTS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
"""Limits for which the report says what is kept."""


@register("stage", "quality_classifier")
@dataclass(frozen=True)
class QualityTraining:
    """Learn to tell a good pile of text from a bad one, for the filter `quality_classifier`.

    Logistic regression on hashed n-grams of words or characters (fastText's classifier, Joulin+ 2017, without its
    hidden layer), by AdaGrad; both piles weigh the same. The pages that a good pile is held against should be the crawl
    that is to be filtered: DCLM (Li+ 2024, section 4.4) takes instructions and answers against random pages. Accuracy
    and the area under the ROC curve are measured on texts that were held out by a hash, equal texts together.
    """

    good: Source = choice("source", "files")
    """Texts as they should be."""
    bad: Source = choice("source", "files")
    """Texts as they should not be, or the corpus as it is."""
    unit: Unit = Unit.auto
    """What an n-gram is made of: `word`, `character`, or `auto`, characters only in scripts without spaces."""
    ngrams: int = 2
    """Longest n-gram, in units; the shorter ones count too."""
    bits: int = 20
    """Bits of a feature's number: 20 give a million weights (4 MB)."""
    epochs: int = 5
    """Times that each text is learnt from."""
    learning_rate: float = 10.0
    """Step of AdaGrad."""
    documents: int = 0
    """Most texts of each pile; 0 takes all."""
    test_share: float = 0.1
    """Share of each pile that is held out to measure on."""
    seed: int = 0
    """Seed of the order in which texts are learnt from."""

    SMOKE_DOCUMENTS: ClassVar[int] = 256

    @property
    def makes(self) -> str:
        return "quality_classifier"

    def check(self) -> Iterable[Fault]:
        from konomi.filter._quality_classifier import FEWEST_BITS, MOST_BITS, MOST_NGRAMS

        for name, low, high in (("ngrams", 1, MOST_NGRAMS), ("bits", FEWEST_BITS, MOST_BITS), ("epochs", 1, None)):
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                yield Fault(name, f"{value}; expected {low} {f'to {high}' if high else 'or more'}", f"{name}={low}")
        if self.learning_rate <= 0:
            yield Fault("learning_rate", f"{self.learning_rate} teaches nothing", "learning_rate=10")
        if self.documents < 0:
            yield Fault("documents", f"{self.documents} is below 0", "documents=0 takes all")
        if not 0 < self.test_share < 1:
            what = f"{self.test_share} is no share to measure on; expected a number between 0 and 1"
            yield Fault("test_share", what, "test_share=0.1")
        for name in ("good", "bad"):
            if (format_ := getattr(self, name).format()) not in (TEXT, UNKNOWN):
                yield Fault(name, f"gives rows of the format {format_}, and plain text is learnt from")

    def run(self, job: Job) -> None:
        from konomi.filter import _quality_training as training
        from konomi.filter._quality_classifier import Settings

        piles = self._read(job)
        settings = Settings(self.unit.name, self.ngrams, self.bits)
        epochs = 1 if job.smoke else self.epochs
        model, losses = training.train(
            piles, settings, epochs=epochs, learning_rate=self.learning_rate, seed=self.seed, watch=job.progress
        )
        logits, good = training.held_out_logits(model, piles)
        model.save(job.out)
        right = (logits > 0) == good
        figures = {
            "accuracy": float((right[good].mean() + right[~good].mean()) / 2),
            "area_under_curve": training.area_under_curve(logits, good),
        }
        counts = {
            "good": int(piles.good.sum()),
            "bad": int((~piles.good).sum()),
            "held_out_good": int(good.sum()),
            "held_out_bad": int((~good).sum()),
        }
        job.figures(**figures, **counts, losses=losses)
        job.show(Note(_told(figures, counts), "How well it tells them apart"), *_blocks(logits, good))
        for side, telling in training.most_telling(model, piles, SHOWN_NGRAMS).items():
            job.show(_telling(side, telling))

    def _read(self, job: Job) -> Piles:
        """Write both piles into one file that is mapped into memory, and hold some of each out."""
        import numpy as np
        import pyarrow as pa

        from konomi.filter._quality_training import Piles

        file = job.work / "piles.arrow"
        hashes: dict[bool, NDArray[np.uint64]] = {}
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, pa.schema({TEXT: pa.large_string()})) as writer:
            for side, source in ((True, self.good), (False, self.bad)):
                found = [_write(writer, texts) for texts in self._texts(job, source)]
                hashes[side] = np.concatenate([np.zeros(0, np.uint64), *found])
                if len(np.unique(hashes[side])) < 2:
                    name, count = "good" if side else "bad", len(hashes[side])
                    raise KonomiError(
                        f"{job.name}: the {name} pile has {count} texts; at least two distinct ones are needed"
                    )
        with pa.memory_map(str(file)) as mapped:
            column = pa.ipc.open_file(mapped).read_all().column(TEXT)
        held_out = np.concatenate([_lowest(hashes[side], self.test_share) for side in (True, False)])
        return Piles(column, np.repeat([True, False], [len(hashes[True]), len(hashes[False])]), held_out)

    def _texts(self, job: Job, source: Source) -> Iterator[pa.Array]:
        """Yield the texts of a source that are not blank, as large strings."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from konomi.stage._tables import tables

        left = self.SMOKE_DOCUMENTS if job.smoke else self.documents
        limited = bool(left)
        for table in job.progress(tables(source.load()), unit="batch"):
            texts = table.column(TEXT).cast(pa.large_string()).combine_chunks().drop_null()
            texts = texts.filter(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0))
            texts = texts[:left] if limited else texts
            yield texts
            left -= len(texts)
            if limited and left <= 0:
                return


def _write(writer: Any, texts: pa.Array) -> NDArray[np.uint64]:
    """Append texts to the file; return the hash of each."""
    import pyarrow as pa

    from konomi.stage._ingest import hashes_of

    writer.write_batch(pa.record_batch({TEXT: texts}))
    return hashes_of(texts)


def _lowest(hashes: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Return which texts of a pile are held out: about a share, at least one, and never all."""
    import numpy as np

    distinct = np.unique(hashes)
    limit = min(max(np.uint64(int(share * HASHES)), distinct[0]), distinct[-2])
    found: NDArray[np.bool_] = hashes <= limit
    return found


def _told(figures: dict[str, float], counts: dict[str, int]) -> str:
    return (
        f"Learnt from {counts['good'] - counts['held_out_good']} good and {counts['bad'] - counts['held_out_bad']} bad"
        f" texts. Of {counts['held_out_good']} good and {counts['held_out_bad']} bad ones that were held out, it takes"
        f" {100 * figures['accuracy']:.1f} % for what they are (the mean of both piles); the area under the curve is"
        f" {figures['area_under_curve']:.4f}."
    )


def _blocks(logits: NDArray[np.float64], good: NDArray[np.bool_]) -> Iterator[Block]:
    import numpy as np

    from konomi.filter._quality_classifier import sigmoid

    probabilities = sigmoid(logits)
    rows = [
        [least, *(f"{100 * (probabilities[side] >= least).mean():.1f} %" for side in (good, ~good))] for least in LEASTS
    ]
    note = "Of the texts that were held out."
    yield Table("What a limit keeps", ["least", "good texts kept", "bad texts kept"], rows, note)
    for name, side in (("good", good), ("bad", ~good)):
        counts, edges = np.histogram(probabilities[side], BINS, range=(0, 1))
        edges_shown: Sequence[float] = [round(float(edge), 4) for edge in edges]
        yield Histogram(f"Probability of held-out {name} texts", list(edges_shown), counts.tolist(), 0.5)


def _telling(side: bool, telling: Sequence[Telling]) -> Table:
    rows = [[one.text, round(one.push, 4), round(one.weight, 3)] for one in telling]
    note = "By how much it moves the logit of the pile's average text, summed over its occurrences there."
    return Table(f"What speaks for {'good' if side else 'bad'}", ["n-gram", "push", "weight"], rows, note)
