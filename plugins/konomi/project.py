"""The plugins of a project's own folder, imported under one package, in this process and in those that work for it."""

from __future__ import annotations

import importlib.machinery
import pkgutil
import sys
import types
from collections.abc import Sequence

from konomi import registry

PROJECT_PACKAGE = "konomi_project"
"""Name under which a project's plugin files are imported, so that theirs can shadow nobody's."""


def load(folders: Sequence[str], owner: str = "the project") -> None:
    """Import the plugins in a project's folders."""
    if folders and PROJECT_PACKAGE not in sys.modules:
        package = types.ModuleType(PROJECT_PACKAGE)
        package.__path__ = [*folders]
        package.__spec__ = importlib.machinery.ModuleSpec(PROJECT_PACKAGE, None, is_package=True)
        sys.modules[PROJECT_PACKAGE] = package
    for found in pkgutil.iter_modules([*folders]):
        if not found.name.startswith("_"):
            registry.load_module(f"{PROJECT_PACKAGE}.{found.name}", owner=owner)


def folders() -> list[str]:
    """Return the folders whose plugins were imported here."""
    return [*getattr(sys.modules.get(PROJECT_PACKAGE), "__path__", ())]
