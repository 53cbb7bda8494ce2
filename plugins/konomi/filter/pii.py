"""Personal information, masked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.faults import Fault
from konomi.filter import Annotation
from konomi.filter._limits import ByLimits, Limit
from konomi.registry import register

if TYPE_CHECKING:
    import re

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from konomi.filter._personal import Personal


@register("filter", "pii")
@dataclass(frozen=True)
class Pii(ByLimits):
    """Rewrite a text with e-mail addresses, telephone numbers and IP addresses masked; drops nothing.

    How many were masked of each kind is kept as scores. Telephone numbers of Japan (with hyphens, brackets, spaces,
    full-width digits, +81), of North America, and of elsewhere with +; numbers in one piece where they are mobile,
    toll-free, or follow TEL or 電話. What is only like one stays: dates, ISBNs, versions, amounts. Names and street
    addresses are not looked for.

    >>> Pii()(["連絡は 03-1234-5678 か taro@example.co.jp まで。発売は 2024-01-15。"]).texts
    ['連絡は [PHONE] か [EMAIL] まで。発売は 2024-01-15。']
    """

    rewrites: ClassVar[bool] = True

    email: bool = True
    """Mask e-mail addresses."""
    phone: bool = True
    """Mask telephone numbers."""
    ip: bool = True
    """Mask IP addresses, of version 4 and 6."""
    only_public_ips: bool = True
    """With `ip`: leave private, local and documentation addresses, which name nobody (`192.168.0.1`)."""
    postal_code: bool = False
    """Mask Japanese postal codes: 〒 or three digits, a hyphen and four."""
    my_number: bool = False
    """Mask Japanese Individual Numbers: twelve digits, of which the last must fit the others."""
    mask: str = "[{kind}]"
    """What stands instead; `{kind}` becomes EMAIL, PHONE, IP, POSTAL_CODE or MY_NUMBER."""

    def check(self) -> Iterable[Fault]:
        if not (self.email or self.phone or self.ip or self.postal_code or self.my_number):
            yield Fault("email", "nothing is to be masked", "turn one of them on, or leave the filter out")
        if "{" in (rest := self.mask.replace("{kind}", "")) or "}" in rest:
            yield Fault("mask", f"{self.mask} has braces about something else than kind", "mask='[{kind}]'")

    def annotate(self, texts: pa.Array) -> Annotation:
        import numpy as np

        from konomi.filter._rewriting import only_changed, strings_at

        kinds = self._kinds()
        hinted = np.array([_occurs(texts, kind.hint) for kind in kinds], dtype=np.bool_).reshape(len(kinds), len(texts))
        rows = np.flatnonzero(hinted.any(axis=0))
        found = np.zeros((len(kinds), len(texts)), np.int64)
        changed: dict[int, str] = {}
        for row, text in zip(rows.tolist(), strings_at(texts, rows), strict=True):
            masked = text
            for place in np.flatnonzero(hinted[:, row]).tolist():
                masked, found[place, row] = self._masked(masked, kinds[place])
            if masked != text:
                changed[row] = masked
        return Annotation(
            {kind.score: counts for kind, counts in zip(kinds, found, strict=True)}, only_changed(len(texts), changed)
        )

    def limits(self) -> list[Limit]:
        return []

    def _kinds(self) -> list[Personal]:
        """Return what is looked for, in order: the longer numbers first."""
        from konomi.filter import _personal

        chosen = (
            (self.email, _personal.EMAIL),
            (self.ip, _personal.internet_address(public=self.only_public_ips)),
            (self.my_number, _personal.MY_NUMBER),
            (self.phone, _personal.TELEPHONE_NUMBER),
            (self.postal_code, _personal.POSTAL_CODE),
        )
        return [kind for wanted, kind in chosen if wanted]

    def _masked(self, text: str, kind: Personal) -> tuple[str, int]:
        """Return a text with all of one kind masked, and how many those were."""
        mask, count = self.mask.replace("{kind}", kind.kind), 0

        def replaced(match: re.Match[str]) -> str:
            nonlocal count
            kept = match.groupdict().get("kept") or ""
            found = match[0][len(kept) :]
            if not kind.holds(found):
                return match[0]
            count += 1
            return kept + mask

        return kind.pattern.sub(replaced, text), count


def _occurs(texts: pa.Array, hint: str) -> NDArray[Any]:
    """Tell for each text whether something in it is worth a closer look."""
    import pyarrow.compute as pc

    found: NDArray[np.bool_] = pc.match_substring_regex(texts, hint).to_numpy(zero_copy_only=False)
    return found
