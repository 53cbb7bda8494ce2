"""Text from outside, made fit to be shown: escaped, its invisible characters visible, its length bounded.

Texts come from the web, from file names and from models, so nothing in them is trusted: not a tag, not a quote, not a
character that turns the writing direction round or hides what follows.
"""

from __future__ import annotations

import json
import re
import unicodedata

from markupsafe import Markup, escape

INLINE = 300
"""Characters shown of a name, a title, a label, a cell."""

BEGINNING = 600
"""Characters by which the language of a text is known."""

MEANT = frozenset("\n\t\u00ad\u200c\u200d")
"""Unprinted characters that ordinary text uses: line ends, soft hyphens, and the joiners of Persian and of emoji."""

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that print nothing: controls, formats (bidi overrides, tags, zero widths), lone surrogates."""

ARABIC_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
"""Format characters that do print: signs that enclose a number."""

_KANA = re.compile(r"[\u3041-\u30ff\uff66-\uff9f]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_RUN = re.compile(r"(<i>U\+[0-9A-F]+</i>)\1+")
_BACKTICKS = re.compile(r"`([^`\n]{1,120})`")
_CODE = re.compile(r"^(?: {4}|\t|>>> |def |class |import |from \w+ import |[{}]$)", re.MULTILINE)


def shown(text: object, limit: int = INLINE) -> Markup:
    r"""Return a text as HTML: escaped, hidden characters as `<i>U+202E</i>`, at most `limit` characters.

    >>> print(shown("a<b\u202e"))
    a&lt;b<i>U+202E</i>
    """
    whole = str(text)
    html = whole[:limit].replace("\r\n", "\n").translate(_CHARACTERS)
    return Markup(_RUN.sub(_count, html)) + _rest(len(whole) - limit)


def prose(text: object, limit: int = INLINE) -> Markup:
    """Return a sentence of a plugin's author as HTML, with what stands between backticks as code.

    >>> print(prose("a column `text`"))
    a column <code>text</code>
    """
    whole = str(text)
    parts = [
        Markup("<code>{}</code>").format(shown(part)) if index % 2 else shown(part, limit)
        for index, part in enumerate(_BACKTICKS.split(whole[:limit]))
    ]
    return Markup().join(parts) + _rest(len(whole) - limit)


def _rest(count: int) -> Markup:
    return Markup('<b class="more">… {:,} more characters</b>').format(count) if count > 0 else Markup()


class _Characters(dict[int, str]):
    """What stands on the page for each character, found out when one is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = f"<i>U+{code:04X}</i>" if _is_hidden(chr(code)) else str(escape(chr(code)))
        return self[code]


_CHARACTERS = _Characters()


def _count(run: re.Match[str]) -> str:
    return run[1].replace("</i>", f"×{len(run[0]) // len(run[1])}</i>")


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category in HIDDEN and character not in MEANT and character not in ARABIC_SIGNS


def plain(text: object, limit: int = INLINE) -> str:
    r"""Return a text for an attribute or the page's title, where no markup can stand; still to be escaped.

    >>> plain("a\u202eb")
    'a\ufffdb'
    """
    whole = str(text)
    safe = "".join("\ufffd" if _is_hidden(character) else character for character in whole[:limit])
    return f"{safe}…" if len(whole) > limit else safe


def printable(text: str) -> str:
    r"""Return a text for the terminal: what would move its cursor, colour it or turn its direction is spelled out.

    It is spelled as in JSON, and so a JSON text stays one.

    >>> print(printable("a\x1b[31mb\u202e"))
    a\u001b[31mb\u202e
    """
    return text.translate(_SPELLED)


class _Spelled(dict[int, str]):
    """What the terminal gets for each character, found out when one is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = json.dumps(chr(code))[1:-1] if _is_hidden(chr(code)) else chr(code)
        return self[code]


_SPELLED = _Spelled()


def language(text: object) -> str:
    """Return the language tag that picks the right glyphs and line breaks: `ja`, `ko`, `zh`, or none.

    Chinese characters alone are taken for Japanese where they are few (a name, a label), for Chinese in a long text:
    Japanese prose does not go forty characters without kana.

    >>> language("好み"), language("くらし"), language("taste")
    ('ja', 'ja', '')
    """
    start = str(text)[:BEGINNING]
    if start.isascii():
        return ""
    if _KANA.search(start):
        return "ja"
    if _HANGUL.search(start):
        return "ko"
    han = len(_HAN.findall(start))
    if not han:
        return ""
    return "zh" if han > 40 else "ja"


def looks_like_code(text: object) -> bool:
    """Tell whether indentation carries meaning in a text, so that it is set in a fixed width."""
    return bool(_CODE.search(str(text)[:BEGINNING]))
