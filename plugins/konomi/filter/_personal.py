"""How e-mail addresses, telephone numbers, IP addresses, postal codes and My Numbers are written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

DIGIT = "[0-9０-９]"
HYPHEN = "[-‐‑‒–—―−－ー]"
GAP = f"(?:[ 　]?{HYPHEN}[ 　]?|[ 　])"
"""What parts the groups of a number: one hyphen of any kind, or one space."""

ALONE = f"(?<!{DIGIT})(?<!{DIGIT}[-.－．])(?<![A-Za-z_@/#])"
ENDS = f"(?!{DIGIT})(?![-.－．]{DIGIT})(?![A-Za-z_@])"
"""A number is neither part of a longer one, nor of a word, a path or a version."""

TELEPHONE = (
    "(?:(?:TEL|Tel|tel|ＴＥＬ|Phone|phone|FAX|Fax|fax|ＦＡＸ|電話番号|電話|ファックス|携帯)[ 　]*[:：./]?[ 　]*)"
)


@dataclass(frozen=True)
class Personal:
    """One kind of personal information."""

    score: str
    """Name of the score that counts it."""
    kind: str
    """What `{kind}` in a mask becomes."""
    hint: str
    """A regular expression of RE2 that finds something in every text that holds it, over whole columns."""
    pattern: re.Pattern[str]
    """What is looked for in texts with a hint; the group `kept`, where there is one, stays before the mask."""
    holds: Callable[[str], bool] = lambda found: True
    """Whether what was found is what it looks like."""


def plain_digits(text: str) -> str:
    """Return the digits of a text in ASCII.

    >>> plain_digits("０３-1234")
    '031234'
    """
    return "".join(str(int(character)) for character in text if character.isdecimal())


def is_telephone(found: str) -> bool:
    """Tell whether a number has the digits of a Japanese, an international or a North American telephone number.

    Japan (numbering plan of the Ministry of Internal Affairs): 0 and 9 more digits; 10 more after 050, 060, 070, 080,
    090 and 0800. Abroad: + and 8 to 15 digits (ITU-T E.164). North America: 10 digits, of which the first and the
    fourth are not below 2.
    """
    digits = plain_digits(found)
    if found.startswith(("+", "＋", "(+", "（+")):
        return 8 <= len(digits) <= 15
    if digits.startswith("0"):
        mobile = digits[:3] in {"050", "060", "070", "080", "090"} or digits.startswith("0800")
        return len(digits) == (11 if mobile else 10) and digits[1] != "0"
    return len(digits) == 10 and digits[0] > "1" and digits[3] > "1"


def is_my_number(found: str) -> bool:
    """Tell whether twelve digits have the check digit of an Individual Number (Japan, ordinance 85 of 2014, article 5).

    >>> is_my_number("123456789018"), is_my_number("123456789012")
    (True, False)
    """
    digits = list(map(int, plain_digits(found)))
    weights = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]
    rest = sum(digit * weight for digit, weight in zip(digits, weights, strict=False)) % 11
    return len(digits) == 12 and digits[-1] == (0 if rest <= 1 else 11 - rest)


def is_address(found: str, *, public: bool) -> bool:
    """Tell whether something is an IP address; with `public`, one that is reached over the internet."""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        return False
    if address.version == 6 and int(address) >> 125 != 1:  # outside of 2000::/3, global unicast (RFC 4291)
        return not public and (address.is_link_local or int(address) >> 121 == 0x7E)  # fc00::/7, unique local
    return address.is_global or not public


EMAIL = Personal(
    "emails",
    "EMAIL",
    "[@＠]",
    re.compile(
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}[@＠]"
        r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"
    ),
)
"""Local part and host name (RFC 5321, 4.5.3.1 for the lengths), without the quoted forms that nobody uses."""

TELEPHONE_NUMBER = Personal(
    "phones",
    "PHONE",
    f"[+＋]{DIGIT}"
    f"|(?:^|[^0-9０-９])[0０](?:{DIGIT}{{9}}|{DIGIT}{{1,4}}[ 　()（）]{{0,2}}(?:{HYPHEN}|[ 　()（）])[ 　]?{DIGIT})"
    r"|[2-9][0-9]{2}(?:-|\) ?)[2-9][0-9]{2}-[0-9]{4}",
    re.compile(
        f"(?P<kept>{TELEPHONE})[0０]{DIGIT}{{9}}{ENDS}"
        f"|{ALONE}(?:"
        f"[+＋]{DIGIT}{{8,15}}"
        f"|(?:[(（][+＋]{DIGIT}{{1,3}}[)）]{DIGIT}{{0,5}}|[+＋]{DIGIT}{{1,3}})"
        rf"(?:(?:{GAP}|\.)?[(（]{DIGIT}{{1,5}}[)）]{GAP}?{DIGIT}{{1,10}}|(?:{GAP}|\.){DIGIT}{{1,10}}){{1,5}}"
        f"|[0０]{DIGIT}{{1,4}}{GAP}{DIGIT}{{1,4}}{GAP}{DIGIT}{{3,4}}"
        f"|[0０]{DIGIT}{{1,4}}[(（]{DIGIT}{{1,4}}[)）]{GAP}?{DIGIT}{{3,4}}"
        f"|[(（][0０]{DIGIT}{{1,4}}[)）]{GAP}?{DIGIT}{{1,4}}{GAP}{DIGIT}{{3,4}}"
        f"|[0０](?:[5-9５-９][0０]{DIGIT}{{8}}|[1１][2２][0０]{DIGIT}{{6}}|[8８][0０][0０]{DIGIT}{{7}})"
        r"|[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-[0-9]{4}"
        f"){ENDS}"
    ),
    is_telephone,
)
"""Numbers in groups, mobile and toll-free numbers in one piece; other numbers in one piece only after TEL or 電話."""

MY_NUMBER = Personal(
    "my_numbers",
    "MY_NUMBER",
    f"{DIGIT}{{4}}[ 　]?{HYPHEN}?{DIGIT}{{4}}[ 　]?{HYPHEN}?{DIGIT}{{4}}",
    re.compile(f"{ALONE}{DIGIT}{{4}}(?:{DIGIT}{{8}}|(?P<gap>[ 　]|{HYPHEN}){DIGIT}{{4}}(?P=gap){DIGIT}{{4}}){ENDS}"),
    is_my_number,
)

POSTAL_CODE = Personal(
    "postal_codes",
    "POSTAL_CODE",
    f"〒|{DIGIT}{{3}}{HYPHEN}{DIGIT}{{4}}",
    re.compile(
        f"(?P<kept>〒[ 　]*){DIGIT}{{3}}{HYPHEN}?{DIGIT}{{4}}{ENDS}|{ALONE}{DIGIT}{{3}}{HYPHEN}{DIGIT}{{4}}{ENDS}"
    ),
)


def internet_address(*, public: bool) -> Personal:
    """Return how IP addresses are written, of version 4 and 6 (RFC 4291, section 2.2)."""
    return Personal(
        "ips",
        "IP",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:",
        re.compile(
            r"(?<![0-9A-Za-z.])(?<![0-9]-)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z])(?!\.[0-9])"
            r"|(?<![0-9A-Za-z:.])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{2,34}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![0-9A-Za-z:])"
        ),
        lambda found: is_address(found, public=public),
    )
