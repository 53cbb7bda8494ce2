"""What every filter must keep; its author subclasses the suite.

from konomi.testing.filter import FilterSuite

class TestMyFilter(FilterSuite):
    plugin = MyFilter
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Mapping
from typing import Any, ClassVar

from konomi.filter import Filter, Verdicts

Verdict = tuple[str, str | None, dict[str, Any]]
"""Text, reason and scores of one text."""

LONG = 100_000
"""Characters of a long document."""


def texts() -> list[str]:
    """Return texts that real corpora hold and that break careless filters."""
    prose = "いろはにほへと、ちりぬるを。我が世たれぞ、常ならむ。"
    return [
        "",
        "\n",
        " \t　",
        "a",
        "あ",
        "𠮷野家",
        "e\u0301\u200b\ufeff",
        "👩‍👩‍👧‍👦",
        "\x00\x1b[0m",
        "ﾊﾝｶｸ　ＡＢＣ，ｄｅｆ．",
        "schÃ¶n â€œquotedâ€",
        "line\r\nline\rline\u2028line\x85",
        "はい。" * 200,
        "the same words again " * 100,
        "\n\n".join(f"{prose}{number}" for number in range(40)),
        "".join(random.Random(0).choices(prose, k=LONG)),
        "x" * LONG,
        " " * LONG + "x",
        "\n" * LONG,
    ]


class FilterSuite:
    """Shared tests of a filter; override `make` to test other options than the defaults."""

    plugin: ClassVar[type[Any]]
    tolerance: ClassVar[float] = 0.0
    """Relative difference that a score may have in another batch: above 0 for a neural model, whose sums are ordered by
    the shape of what it is given."""

    def make(self) -> Filter:
        """Return the filter under test."""
        made: Filter = self.plugin()
        return made

    def judge(self, filter_: Filter, texts: list[str]) -> Verdicts:
        """Call the filter; override it where the filter `reads` further columns, to hand it some."""
        return filter_(texts)

    def test_gives_a_verdict_on_every_text(self) -> None:
        given = texts()
        verdicts = self.judge(self.make(), list(given))
        assert len(verdicts.texts) == len(verdicts.reasons) == len(given)
        assert all(isinstance(text, str) for text in verdicts.texts)
        assert all(reason is None or (isinstance(reason, str) and reason) for reason in verdicts.reasons)
        assert all(scores.shape == (len(given),) for scores in verdicts.scores.values())

    def test_scores_are_finite_numbers_or_words(self) -> None:
        import numpy as np

        for name, scores in self.judge(self.make(), texts()).scores.items():
            assert scores.dtype.kind == "U" or np.isfinite(scores.astype(np.float64)).all(), name

    def test_serves_an_empty_batch(self) -> None:
        verdicts = self.judge(self.make(), [])
        assert (verdicts.texts, verdicts.reasons) == ([], [])
        assert all(scores.shape == (0,) for scores in verdicts.scores.values())
        assert set(verdicts.scores) == set(self.judge(self.make(), ["a"]).scores)

    def test_the_verdict_does_not_depend_on_the_batch(self) -> None:
        filter_, given = self.make(), texts()
        together = self.judge(filter_, list(given))
        order = list(range(len(together.texts)))
        random.Random(1).shuffle(order)
        shuffled = self.judge(filter_, [given[index] for index in order])
        for place, index in enumerate(order):
            self._assert_same(_verdict(shuffled, place), _verdict(together, index))
        for index, text in enumerate(given):
            self._assert_same(_verdict(self.judge(filter_, [text]), 0), _verdict(together, index))

    def _assert_same(self, one: Verdict, other: Verdict) -> None:
        if not self.tolerance:
            assert one == other
            return
        assert (one[0], one[1] is None) == (other[0], other[1] is None)
        for name, value in one[2].items():
            assert math.isclose(value, other[2][name], rel_tol=self.tolerance, abs_tol=self.tolerance), name

    def test_leaves_the_given_list_alone(self) -> None:
        given = texts()
        self.judge(self.make(), given)
        assert given == texts()

    def test_changes_texts_only_where_it_says_so(self) -> None:
        filter_ = self.make()
        if not filter_.rewrites:
            assert self.judge(filter_, texts()).texts == texts()

    def test_rewriting_again_changes_nothing(self) -> None:
        filter_ = self.make()
        once = self.judge(filter_, texts()).texts
        assert self.judge(filter_, once).texts == once

    def test_gives_text_that_can_be_stored(self) -> None:
        for text in self.judge(self.make(), texts()).texts:
            text.encode("utf-8")

    def test_every_threshold_belongs_to_a_score(self) -> None:
        filter_ = self.make()
        thresholds: Mapping[str, float] = filter_.thresholds() if hasattr(filter_, "thresholds") else {}
        assert set(thresholds) <= set(self.judge(filter_, ["a"]).scores)

    def test_survives_a_process_boundary(self) -> None:
        filter_ = self.make()
        copy = pickle.loads(pickle.dumps(filter_))
        assert self.judge(copy, texts()).reasons == self.judge(filter_, texts()).reasons


def _verdict(verdicts: Verdicts, index: int) -> Verdict:
    scores = {name: values[index].item() for name, values in verdicts.scores.items()}
    return verdicts.texts[index], verdicts.reasons[index], scores
