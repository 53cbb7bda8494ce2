"""`konomi rerun ARTIFACT [overrides]`: an artifact made again from the recipe in its own manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from konomi import provenance
from konomi.cli import parser
from konomi.cli.show import lineage_of, read_manifest
from konomi.cli.store import parsed, with_store
from konomi.faults import Fault, Faults
from konomi.recipe.keys import differences
from konomi.recipe.planning import Plan, plan_config
from konomi.recipe.recorded import RECIPE, recorded
from konomi.store import Store
from konomi.store.artifact import MANIFEST
from konomi.store.names import folder_of

USAGE = """ARTIFACT [overrides] [--plan] [--store FOLDER]

  konomi rerun swallow-v2                     the same again: what is there is taken, what is missing is made
  konomi rerun swallow-v2 loss.beta=0.2       …with another option
  konomi rerun swallow-v2 refresh=align       …with one stage made anew
  konomi rerun swallow-v2 --plan              what that would do, and what is not as it was then"""


def main(argv: Sequence[str]) -> int:
    """Run a recorded recipe up to the stage that made the artifact."""
    arguments = with_store(parser("rerun", USAGE))
    arguments.add_argument("which", metavar="ARTIFACT", help="a key, its beginning, a name, a stage, a folder")
    arguments.add_argument("overrides", nargs="*", help="further overrides, as of konomi run")
    arguments.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")
    given, store = parsed(arguments, argv)
    from konomi.cli.run import ending, say_project, summary
    from konomi.runner import BEGAN, carry_out, fresh_folder

    os.environ[BEGAN] = str(time.time())
    say_project()
    folder = folder_of(store, given.which)
    manifest = read_manifest(folder)
    before = lineage_of(store, manifest)
    planned = replanned(manifest, before, given.overrides, store, folder)
    for line in changes(manifest, before, planned):
        print(line)
    if given.plan:
        from konomi.cli.plan import text

        print(text(planned, f"konomi rerun {given.which} …"))
        return 0
    summary(planned, print)
    print(ending(carry_out(planned, fresh_folder(planned.recipe), say=print)))
    return 0


def replanned(
    manifest: Mapping[str, Any],
    before: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
    store: Store,
    folder: Path,
) -> Plan:
    """Return the plan of the recipe that a manifest records, with further overrides; raises `Faults`."""
    words = [f"store={store.root}", *overrides]
    if not any(word.startswith("until=") for word in overrides):
        words.append(f"until={manifest['stage']}")
    try:
        with recorded(manifest, words, {item["stage"]: item for item in before.values()}) as composed:
            told = [*manifest.get("overrides", []), *overrides]
            return plan_config(str(manifest.get("recipe")), composed.cfg, told, composed.faults)
    except Faults as found:
        raise Faults(_retold(fault, folder / MANIFEST) for fault in found.faults) from None


def _retold(fault: Fault, manifest: Path) -> Fault:
    """Tell a fault of the recipe that was written down as one of the manifest."""
    if "Could not override" in fault.what:
        group = fault.where.partition("=")[0]
        what = f"the record has the values that {group} chose, and not the choice"
        return Fault(fault.where, what, f"give the values themselves ({group}.OPTION=…); konomi show lists them")
    where = f"recorded in {manifest}"
    return Fault(
        fault.where.replace(f"recipe {RECIPE}", where), fault.what.replace(f"the recipe {RECIPE}", where), fault.hint
    )


def changes(manifest: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]], planned: Plan) -> Iterator[str]:
    """Yield what is not as it was: versions, code, and each stage's options and inputs."""
    then, now = manifest.get("versions") or {}, provenance.versions()
    changed = [f"{name} {then.get(name, 'none')} → {now.get(name, 'none')}" for name in sorted({*then, *now})
               if then.get(name) != now.get(name)]  # fmt: skip
    if changed:
        yield f"versions  {', '.join(changed)}"
    git = [_commit(state) for state in (manifest.get("git"), provenance.git_state())]
    if git[0] != git[1]:
        yield f"code      {git[0]} → {git[1]}"
    made = {str(item["stage"]): item for item in [*before.values(), manifest]}
    for step in planned.steps:
        if (old := made.get(step.name)) and old["key"] != step.key:
            found = [line for line in differences(step.parts, old.get("key_parts", {})) if ".artifact: " not in line]
            yield f"{step.name}  {'; '.join(found) or 'what it reads is another'}"


def _commit(state: Mapping[str, Any] | None) -> str:
    return "no repository" if not state else f"{state['commit'][:12]}{' with changes' if state['dirty'] else ''}"
