"""The command `konomi`. Each sub-command is a module that is imported when it is asked for.

konomi run RECIPE [overrides] [Hydra's flags]     konomi plugins [KIND[/NAME]] [--json]
konomi plan RECIPE [overrides] [-m] [--smoke]     konomi recipes
konomi compare FOLDER…                            konomi show ARTIFACT
konomi diff A B                                   konomi rerun ARTIFACT [overrides]
konomi tag ARTIFACT NAME                          konomi store ls | why A B | gc | verify
"""

from __future__ import annotations

import argparse
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from konomi.failures import LOWER, missing_package, os_error
from konomi.faults import Faults, KonomiError, Stopped, did_you_mean

COMMANDS = {
    "run": "run a recipe, or a sweep of it with -m",
    "plan": "say what a recipe would do, what is cached and why not, what it costs, and every mistake in it",
    "plugins": "list what there is to choose from",
    "recipes": "list the recipes",
    "compare": "put runs or a sweep side by side, as a table and a page",
    "show": "show what made an artifact: recipe, versions, lineage, results",
    "diff": "show how two artifacts differ: recipes, versions, results",
    "rerun": "make an artifact again from its own record, with further overrides",
    "tag": "name an artifact, list the names, take one away",
    "store": "list the store, tell why keys differ, delete what nothing refers to, verify",
}
EXIT_FAULTS, EXIT_STOPPED, EXIT_INTERRUPTED = 2, 75, 130  # those of konomi.runner, which is heavier to import


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 well, 1 an error, 2 faults, 75 stopped, 130 interrupted)."""
    gc.disable()  # a command that only looks ends before garbage matters; a run switches it on again
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        return int(_module("completion").main(arguments[1:]))
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        from konomi import __version__

        print(f"konomi {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"konomi: there is no command {command}; {did_you_mean(command, COMMANDS)}", file=sys.stderr)
        return EXIT_FAULTS
    try:
        Path.cwd()
    except OSError:
        print(f"konomi {command}: the working folder is not there any more; go to another: cd FOLDER", file=sys.stderr)
        return 1
    try:
        return int(_module(command).main(rest))
    except Faults as faults:
        count = len(faults.faults)
        print(f"konomi {command}: {count} {'fault' if count == 1 else 'faults'}\n{_safe(faults)}", file=sys.stderr)
        return EXIT_FAULTS
    except Stopped as stopped:
        print(f"\nkonomi: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    except KonomiError as error:
        print(f"konomi {command}: {_safe(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise  # whoever read our output has gone; `entry` ends quietly
    except OSError as error:
        print(f"konomi {command}: {_safe(os_error(error))}", file=sys.stderr)
        return 1
    except MemoryError:
        print(f"konomi {command}: there is not enough memory; {LOWER}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        said = "konomi: interrupted; whole stages are kept, the same command goes on from there"
        print(f"\n{said}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        print(f"konomi {command}: {missing_package(error) or bug(error)}", file=sys.stderr)
        return 1


def entry() -> None:
    """The console script: `main`, and a clean end where the reader of a pipe has gone."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Japanese shows codes, and no traceback
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    gc.freeze()  # the interpreter's last collection would walk all that the system frees at once
    sys.exit(code)


def _safe(said: object) -> str:
    """Return what an error says without what a terminal would act on; it may quote a file's name or a text."""
    from konomi.report.text import printable

    return printable(str(said))


def bug(error: Exception) -> str:
    """Keep the traceback of what nobody foresaw, and say where it is."""
    import traceback

    from konomi.store.content import cache_folder

    said = " ".join(str(error).split())[:300]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "error.log"
        log.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
    except (OSError, RuntimeError):
        return f"{what}; KONOMI_CACHE=FOLDER names a folder that can be written, for the traceback"
    return f"{what}; this is a fault of konomi's or of a plugin's, and its traceback is in {log}"


def _module(name: str) -> Any:
    return importlib.import_module(f"konomi.cli.{name}")


def _overview() -> str:
    lines = [f"  konomi {name:<9} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "konomi: compose the making of a language model from plugins that one likes",
            "",
            *lines,
            "",
            "  konomi COMMAND --help     options of a command",
            "  konomi run quickstart     the whole way, tiny, on this machine, without a network",
        ]
    )


def parser(command: str, usage: str, **kwargs: str) -> argparse.ArgumentParser:
    """Return an argument parser for a sub-command."""
    return argparse.ArgumentParser(
        prog=f"konomi {command}",
        usage=f"konomi {command} {usage}",
        description=COMMANDS[command],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,  # type: ignore[arg-type]
    )
