"""Secrets that stand where they would be written down: an option's value ends in manifests, logs and folder names.

An option that needs a secret takes the *name* of an environment variable (`token_env`, `api_key_env`). A fault about a
secret never repeats it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from konomi.faults import Fault

_MIXED = r"(?=[\w\-]*\d)[\w\-]{16,}"
"""What follows the mark of a token: long, and with a digit, unlike a name made of words."""
SHAPES = {
    "a token of the Hugging Face hub": re.compile(r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{16,}"),
    "an API key (sk-…)": re.compile(rf"(?<![A-Za-z0-9])sk-{_MIXED}"),
    "a token of GitHub": re.compile(r"(?<![A-Za-z0-9])(?:gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{16,})"),
    "a token of GitLab": re.compile(rf"(?<![A-Za-z0-9])glpat-{_MIXED}"),
    "a token of Slack": re.compile(rf"(?<![A-Za-z0-9])xox[abeprs]-{_MIXED}"),
    "an access key of AWS": re.compile(r"(?<![A-Za-z0-9])A(?:KIA|SIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    "an API key of Google": re.compile(r"(?<![A-Za-z0-9])AIza[\w\-]{35}"),
    "a JSON web token": re.compile(r"(?<![A-Za-z0-9])eyJ[\w\-]{8,}\.eyJ[\w\-]{8,}\.[\w\-]*"),
    "a bearer token": re.compile(rf"(?i)\bbearer\s+{_MIXED}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in an address": re.compile(r"://[^/\s:@]+:[^/\s@]+@"),
}
"""What a secret looks like, by what it is."""
NAMES = re.compile(
    r"(?i)(?:^|_)(?:api_?key|access_key|private_key|secret_key|secret|passw(?:or)?d|credentials?"
    r"|(?:hub|hf|access|auth|bearer|api|session|refresh)_?token)$|^token$"
)
"""Names of options whose value can be nothing but a secret."""
VARIABLES = re.compile(r"(?i)(?:^|_)(?:token|secret|passw(?:or)?d|credentials?|pat|key|apikey)(?:_|$)")
"""Names of environment variables that hold a secret."""
NOTHING = ("", "null", "None", "true", "false")
"""What is typed for an option that holds no secret."""
_READS = re.compile(r"oc\.env:\s*[\"']?(\w+)")
_OVERRIDE = re.compile(r"[+~]*(?P<key>[^=]*)(?:=(?P<value>.*))?", re.DOTALL)
INSTEAD = "put it into an environment variable; an option takes the variable's name (token_env, api_key_env)"


def shape(text: str) -> str | None:
    """Return what secret a text holds or looks like, None where it is none.

    >>> shape("hf_abcdefghijklmnop1234"), shape("hf_datasets"), shape("https://me:pw@example.org/x")
    ('a token of the Hugging Face hub', None, 'a password in an address')
    """
    return next((what for what, pattern in SHAPES.items() if pattern.search(text)), None)


def value_faults(values: Any, where: str = "") -> Iterator[Fault]:
    """Yield a fault for each secret among plain values, and for each option of a secret's name that has one."""
    if isinstance(values, dict):
        for key, value in values.items():
            at = f"{where}.{key}".lstrip(".")
            if what := shape(str(key)):
                yield Fault(where, f"a name in it looks like {what}", INSTEAD)
            elif NAMES.search(str(key)) and isinstance(value, (str, int)) and not isinstance(value, bool) and value:
                yield Fault(at, "a secret may not be written here", INSTEAD)
            else:
                yield from value_faults(value, at)
    elif isinstance(values, (list, tuple)):
        for index, value in enumerate(values):
            yield from value_faults(value, f"{where}[{index}]")
    elif isinstance(values, str) and (what := shape(values)):
        yield Fault(where, f"its value looks like {what}", INSTEAD)


def override_faults(overrides: Iterable[str]) -> Iterator[Fault]:
    """Yield a fault for each override that holds a secret, or reads one out of the environment."""
    for override in overrides:
        match = _OVERRIDE.match(override)
        assert match is not None  # every part of the pattern may be empty
        key, value = match["key"], match["value"] or ""
        where = "an override" if shape(key) else key
        named = NAMES.search(key.rpartition(".")[2]) and value.strip("\"' ") not in NOTHING
        read = next((name for name in _READS.findall(override) if VARIABLES.search(name)), None)
        if what := shape(override):
            yield Fault(where, f"its value looks like {what}", INSTEAD)
        elif named or _named_inside(value):
            yield Fault(where, "a secret may not be written here", INSTEAD)
        elif read:
            yield Fault(where, f"it would write down what the variable {read} holds", INSTEAD)
        elif key == "hydra.job.env_copy" and any(VARIABLES.search(name) for name in re.findall(r"\w+", value)):
            yield Fault(where, "Hydra would write the variable's value into the run's folder", "export it instead")


def _named_inside(value: str) -> bool:
    """Tell whether a mapping given on the command line (`{password: …}`) has a key of a secret's name."""
    return value.lstrip().startswith("{") and any(NAMES.search(name) for name in re.findall(r"([\w\-]+)\s*:", value))
