"""What goes wrong while a stage runs, said in a line; the traceback of a programming fault is kept in the run's log."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from konomi.faults import KonomiError
from konomi.store.full import full_disk

OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|failed to allocate|DefaultCPUAllocator", re.IGNORECASE)
LOWER = "lower the stage's batch size or max_length (align.trainer.per_device_train_batch_size=1), or its threads"


class Broken(KonomiError):
    """Something raised what nobody foresaw; the log has the traceback."""


@contextlib.contextmanager
def blaming(part: str) -> Iterator[None]:
    """Note which part of a stage (`filter length`) raised an error, for `telling` to say; the error stays as it is."""
    try:
        yield
    except KonomiError:
        raise
    except Exception as error:
        error.add_note(part)
        raise


@contextlib.contextmanager
def telling(stage: str, plugin: str, log: Path) -> Iterator[None]:
    """Turn what a stage raises beyond konomi's own errors into one line that names stage, plugin and log."""
    try:
        yield
    except KonomiError:
        raise
    except MemoryError as error:
        plugin = _with_part(plugin, error)
        raise KonomiError(f"{stage} ({plugin}): there is not enough memory; {LOWER}") from error
    except Exception as error:
        plugin = _with_part(plugin, error)
        if is_out_of_memory(error):
            raise KonomiError(f"{stage} ({plugin}): there is not enough memory; {LOWER}") from error
        if full := full_disk(error):
            said = f"{full}; nothing half-written was published. Make room and type the same command again"
            raise KonomiError(f"{stage}: {said}") from error
        _keep(log)
        if isinstance(error, OSError):
            raise KonomiError(f"{stage} ({plugin}): {os_error(error)}") from error
        if missing := missing_package(error):
            raise KonomiError(f"{stage} ({plugin}): {missing}") from error
        said = " ".join(str(error).split())
        what = f"{type(error).__name__}{f': {said[:300]}' if said else ''}"
        raise Broken(f"{stage} ({plugin}) failed: {what}; the traceback is in {log}") from error


def _with_part(plugin: str, error: BaseException) -> str:
    """Return a plugin with the part of it that `blaming` noted."""
    return ", ".join([plugin, *getattr(error, "__notes__", ())[:1]])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell torch's and other libraries' words for a lack of memory from other runtime errors."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None
    )


def missing_package(error: BaseException) -> str:
    """Return what to type where a package is not installed; empty where something else is wrong."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    package = error.name.partition(".")[0]
    return f"the package {package} is not installed; type: pip install {package}"


def os_error(error: OSError) -> str:
    """Return an error of the system in words."""
    if full := full_disk(error):
        return f"{full} ({error.filename or 'while writing'}); nothing half-written was published"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _keep(log: Path) -> None:
    """Append the traceback that is being handled to a log, where that can be written."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(traceback.format_exc())
