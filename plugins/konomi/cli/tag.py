"""`konomi tag KEY NAME`: a name for an artifact, usable wherever a model or data is asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from konomi.cli import parser
from konomi.cli.store import parsed, table, with_store
from konomi.faults import KonomiError
from konomi.store.names import give, key_of, names, take_away

USAGE = """[ARTIFACT NAME] [--move] [--delete NAME] [--store FOLDER] [--json]

  konomi tag align swallow-v2             the newest artifact of the stage align is swallow-v2 from now on
  konomi tag runs/sft/…/sft my-chat-1     the one that a run's folder links to
  konomi tag                              list the names
  konomi run sft model.name_or_path=swallow-v2"""


def main(argv: Sequence[str]) -> int:
    """Name an artifact, list the names, or take one away."""
    arguments = with_store(parser("tag", USAGE))
    arguments.add_argument("words", nargs="*", metavar="ARTIFACT NAME", help="a key, its beginning, a stage, a name, …")
    arguments.add_argument("--move", action="store_true", help="give a name that exists to another artifact")
    arguments.add_argument(
        "--delete", metavar="NAME", help="take a name away; the artifact stays until konomi store gc"
    )
    arguments.add_argument("--json", action="store_true", help="print the names as JSON and nothing else")
    given, store = parsed(arguments, argv)
    if given.delete is not None:
        if given.words:
            raise KonomiError("--delete takes one name and nothing else; type konomi tag --delete NAME")
        print(f"{given.delete} named {take_away(store, given.delete)}, and names nothing now")
    elif not given.words:
        known = names(store)
        rows = [(name, key if store.has(key) else f"{key} (gone)") for name, key in known.items()]
        text = "\n".join(table(rows)) if rows else f"no names in {store.root}; type konomi tag ARTIFACT NAME"
        print(json.dumps(known, ensure_ascii=False, indent=1) if given.json else text)
    elif len(given.words) == 2:
        key = key_of(store, given.words[0])
        give(store, given.words[1], key, move=given.move)
        print(f"{given.words[1]} names {key}")
    else:
        raise KonomiError("type konomi tag ARTIFACT NAME, or konomi tag alone to list the names")
    return 0
