"""What a plugin's dataclass says about its fields beyond their type.

loss: Loss = choice("loss", "dpo")                   one plugin of a kind, chosen in the recipe
filter: dict[str, Filter] = choices("filter", "normalize", "length")   several, in order, by name
data: Artifact = artifact("text", "messages")        what an earlier stage left, of these formats
threads: int = field(default=0, metadata=NOT_IN_KEY) cannot change the result
limit: float = decides(0.3)                          changes what follows from a filter's scores, and no score
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NOT_IN_KEY: Mapping[str, Any] = MappingProxyType({"in_key": False})
"""Metadata of a field whose value is not in the key: it cannot change a byte of the result (threads), or what it names
is in the key by its content, through `depends()` (the path of a file)."""


DECIDES: Mapping[str, Any] = MappingProxyType({"decides": True})
"""Metadata of a filter's field that shapes no score, only what follows from the scores: a threshold, a list of rules.

It is in the stage's key, and not in the key of the scores, which another limit reads again."""


UNKNOWN = "?"
"""Format of an artifact whose own stage has faults: what reads it has nothing new to say."""


def choice(kind: str, default: str | None, *, in_key: bool = True) -> Any:
    """Declare a field that holds one plugin of `kind`; `default` names a plugin or a preset, None is no default.

    One that cannot change a byte of the result (an engine) is not `in_key`.
    """
    metadata = {"kind": kind, "default": default, "many": False, "in_key": in_key}
    return dataclasses.field(default=None, metadata=metadata)


def choices(kind: str, *defaults: str) -> Any:
    """Declare a field that holds several plugins of `kind`, in order, as a dict from their names."""
    return dataclasses.field(default_factory=dict, metadata={"kind": kind, "default": list(defaults), "many": True})


def decides(default: Any) -> Any:
    """Declare a filter's field that only decides on scores (`DECIDES`)."""
    return dataclasses.field(default=default, metadata=DECIDES)


def artifact(*takes: str, optional: bool = False) -> Any:
    """Declare a field that reads an earlier stage's artifact of one of the formats `takes`."""
    metadata = {"artifact": takes, "optional": optional}
    return dataclasses.field(default=None, metadata=metadata)


def artifacts(*takes: str, optional: bool = False) -> Any:
    """Declare a field that reads several artifacts, as a dict from names of the user's own."""
    metadata = {"artifact": takes, "optional": optional, "many": True}
    return dataclasses.field(default_factory=dict, metadata=metadata)


def in_key(field: dataclasses.Field[Any]) -> bool:
    """Tell whether a field shapes the result, and so the key."""
    return bool(field.metadata.get("in_key", True))
