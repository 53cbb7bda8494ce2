"""Recipes, presets and projects that are wrong."""

from __future__ import annotations

from .desk import PROJECT, SMALL, Case, Desk, table

HEAD = "defaults:\n  - konomi\n"
BARE = "defaults: [konomi, stage@curate: curate, _self_]\n"
PLAN = ("plan", "mine")


def mine(text: str | bytes) -> dict[str, str | bytes]:
    return {"recipes/mine.yaml": text}


def small(tail: str) -> dict[str, str | bytes]:
    return mine(SMALL.partition("curate: {")[0] + tail)


def chain(first: str, second: str) -> dict[str, str | bytes]:
    """Return a recipe of two curations, each reading rows as said."""
    head = "defaults: [konomi, stage@a: curate, stage@b: curate, override /source@a.source: artifact, "
    return mine(head + f"override /source@b.source: artifact, _self_]\na: {first}\nb: {second}\n")


def preset(name: str, text: str | bytes) -> dict[str, str | bytes]:
    return {f"conf/dedup/{name}.yaml": text}


def plugin(text: str) -> dict[str, str | bytes]:
    return {"pyproject.toml": PROJECT + 'plugins = ["plugins"]\n', "plugins/own.py": text}


NO_SUCH = Case(
    "a recipe that is not there",
    ("plan", "smal"),
    ("recipe smal: there is no such recipe", "did you mean small? (known: "),
)
# fmt: off
RECIPES = (
    NO_SUCH,
    Case("run of a recipe that is not there", ("run", "smal"), ("recipe smal: there is no such recipe", "did you mean small? (known: ")),
    Case("help of a recipe that is not there", ("run", "smal", "--help"), ("recipe smal: there is no such recipe", "did you mean small? (known: ")),
    Case("no recipe to plan", ("plan",), ("which recipe? known: ", "type konomi run quickstart")),
    Case("no recipe to run", ("run",), ("which recipe? known: ", "type konomi run quickstart")),
    Case("a recipe by its path", ("plan", "recipes/small.yaml"), ("recipes/small.yaml: a recipe comes first", "a recipe is called by its name: type konomi run small")),
    Case("a recipe by its file", ("plan", "small.yaml"), ("small.yaml: a recipe comes first", "a recipe is called by its name: type konomi run small")),
    Case("an empty recipe", PLAN, ("recipe mine: it is empty, or does not stand on konomi", "let it begin with defaults: [konomi, stage@NAME: STAGE, _self_]"), files=mine("")),
    Case("a recipe of comments", PLAN, ("recipe mine: it is empty, or does not stand on konomi", "let it begin with defaults: [konomi, stage@NAME: STAGE, _self_]"), files=mine("# nothing yet\n")),
    Case("a recipe that is no YAML", PLAN, ("line 2: not valid YAML: did not find expected ',' or ']'",), files=mine("defaults: [konomi, _self_\ncurate: {")),
    Case("a recipe with tabs", PLAN, ("line 2: not valid YAML: found character that cannot start any token; indent with blanks, not with tabs",), files=mine("defaults:\n\t- konomi\n")),
    Case("a recipe that is a list", PLAN, ("expected a mapping that begins with defaults: [konomi, …, _self_], found a list",), files=mine("- konomi\n- stage@curate: curate\n")),
    Case("a recipe that is a word", PLAN, ("recipe mine: it is empty, or does not stand on konomi", "let it begin with defaults: [konomi, stage@NAME: STAGE, _self_]"), files=mine("curate\n")),
    Case("a recipe in broken UTF-8", PLAN, ("line 1: byte 0xff is not UTF-8; save the file as UTF-8",), files=mine(b"# \xff\xfe\n" + SMALL.encode())),
    Case("a recipe in Shift-JIS", PLAN, ("line 1: byte 0x8d is not UTF-8; save the file as UTF-8",), files=mine(("# 好み\n" + SMALL).encode("cp932"))),
    Case("a recipe in UTF-16", PLAN, ("line 1: byte 0xff is not UTF-8; save the file as UTF-8",), files=mine(SMALL.encode("utf-16"))),
    Case("a recipe with a byte order mark", PLAN, (), 0, mine(b"\xef\xbb\xbf" + SMALL.encode())),
    Case("a recipe with CRLF", PLAN, (), 0, mine(SMALL.replace("\n", "\r\n"))),
    Case("a recipe with a NUL", PLAN, ("not valid YAML: the character U+0000 may not stand in it",), files=mine(SMALL + "\0")),
    Case("a recipe that gives a key twice", PLAN, ("line 9: not valid YAML: found duplicate key curate",), files=small("curate: {source: {path: a}}\ncurate: {language: ja}\n")),
    Case("a recipe with anchors", PLAN, ("too large or too deeply nested, or it holds YAML aliases (&name, *name); write the values out",), files=small("x: &x [1]\ny: *x\n")),
    Case("a recipe larger than any page", PLAN, ("too large or too deeply nested, or it holds YAML aliases (&name, *name); write the values out",), files=small("# " + "x" * (1 << 20) + "\n")),
    Case("a recipe that is a folder", PLAN, ("recipe mine: there is no such recipe", "known: "), prepare=lambda desk: (desk.folder / "recipes/mine.yaml").mkdir()),
    Case("a recipe that is a dangling link", PLAN, ("recipe mine: there is no such recipe", "known: "), prepare=lambda desk: (desk.folder / "recipes/mine.yaml").symlink_to("gone")),
    Case("defaults that are no list", PLAN, ("recipe mine: Invalid defaults list in 'mine', defaults must be a list (got str)",), files=mine("defaults: konomi\n")),
    Case("defaults that name what is not there", PLAN, ("recipe mine: its defaults name nope, which is not there", "known: "), files=mine("defaults: [konomi, nope, _self_]\n")),
    Case("a recipe that stands on itself", PLAN, ("recipe mine: its defaults lead back to itself; take one of them out",), files=mine("defaults: [mine, _self_]\n")),
    Case("a recipe without konomi", PLAN, ("recipe mine: it is empty, or does not stand on konomi", "let it begin with defaults: [konomi, stage@NAME: STAGE, _self_]"), files=mine("defaults: [stage@curate: curate, _self_]\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a stage that there is none of", PLAN, ("recipe mine: there is no stage called currate", "did you mean curate? (known: "), files=mine(HEAD + "  - stage@curate: currate\n  - _self_\n")),
    Case("a plugin that there is none of", PLAN, ("recipe mine: there is no dedup called minhsh", "did you mean minhash? (known: "), files=mine(SMALL.replace("curate.dedup: none", "curate.dedup: minhsh"))),
    Case("a plugin of another kind", PLAN, ("recipe mine: there is no dedup called normalize", "normalize is a filter (known: "), files=mine(SMALL.replace("curate.dedup: none", "curate.dedup: normalize"))),
    Case("a kind that the stage does not hold", PLAN, ("recipe mine: override /loss@curate.loss: there is no such place in its defaults", "a stage has to bring a loss under that name: stage@curate: STAGE"), files=mine(SMALL.replace("  - _self_", "  - override /loss@curate.loss: dpo\n  - _self_"))),
    Case("a kind misspelt", PLAN, ("recipe mine: override /dedupe@curate.dedup: there is no such place", "dedupe is no kind; did you mean dedup?"), files=mine(SMALL.replace("/dedup@", "/dedupe@"))),
    Case("an override of a stage that is not listed", PLAN, ("recipe mine: override /dedup@clean.dedup: there is no such place in its defaults", "a stage has to bring a dedup under that name: stage@clean: STAGE"), files=mine(SMALL.replace("/dedup@curate.", "/dedup@clean."))),
    Case("a plugin chosen twice", PLAN, ("defaults: override /dedup@curate.dedup: is given twice, and one of them would be lost", "take one of them out"), files=mine(SMALL.replace("  - _self_", "  - override /dedup@curate.dedup: exact\n  - _self_"))),
    Case("a word where a plugin belongs", PLAN, ("recipe mine: a source belongs where 'files' stands", "choose it in the defaults: override /source@STAGE.source: files"), files=small("curate: {source: files}\n")),
    Case("a list where a plugin belongs", PLAN, ("recipe mine: a source belongs where 'files' stands", "choose it in the defaults: override /source@STAGE.source: files"), files=small("curate: {source: [files]}\n")),
    Case("an option that there is none of", PLAN, ("recipe mine, curate.lnguage: stage/curate has no option lnguage", "did you mean language? (known: "), files=small("curate: {lnguage: ja}\n")),
    Case("an option of a wrong type", PLAN, ("recipe mine, curate.test_share: Value 'much' of type 'str' could not be converted to Float",), files=small("curate: {test_share: much}\n")),
    Case("an option that is null", PLAN, ("recipe mine, curate.test_share: Incompatible value 'None' for field of type 'float'",), files=small("curate: {test_share: null}\n")),
    Case("code to run", PLAN, ("curate.source._target_: recipes name plugins, never code to run", "choose a plugin, or register one of your own"), files=small("curate: {source: {path: rows.jsonl, _target_: os.system}}\n")),
    Case("another plugin's name", PLAN, ("curate.source.plugin: the plugin is source/files, and its name cannot be written over", "choose it: source@curate.source=hub"), files=small("curate: {source: {path: rows.jsonl, plugin: source/hub}}\n")),
    Case("a key at the root that nobody reads", PLAN, ("untill: there is no such option, and nothing refers to it", "did you mean until?"), files=small("curate: {source: {path: rows.jsonl}}\nuntill: curate\n")),
    Case("no stages", PLAN, ("the recipe has no stages", "list one: stage@NAME: STAGE"), files=mine("defaults: [konomi, _self_]\n")),
    Case("stages that need one another", PLAN, ("a.source.data: the stages b → a → b need one another",), files=chain('{source: {data: "${artifact:b}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("a stage that reads itself", PLAN, ("b.source.data: the stages b → b need one another",), files=chain('{source: {data: "${artifact:b}"}}', '{source: {data: "${artifact:b}"}}')),
    Case("an artifact that there is none of", PLAN, ("a.source.data: there is no stage and no stored artifact called nope; known: ",), files=chain('{source: {data: "${artifact:nope}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("an artifact without a name", PLAN, ("a.source.data: TypeError raised while resolving interpolation: register_resolvers.<locals>.<lambda>() missing",), files=chain('{source: {data: "${artifact:}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("an artifact that is not given", PLAN, ("a.source.data: nothing is given, text or messages or prompt_completion or preference is needed", 'name the stage that makes it: a.source.data="${artifact:STAGE}"'), files=chain("{language: ja}", '{source: {data: "${artifact:a}"}}')),
    Case("an artifact of a wrong format", PLAN, ("train.data: takes tokens, and the stage curate leaves text", "put a tokenize stage between them"), files=mine("defaults: [train, _self_]\ntrain: {data: '${artifact:curate}', model: {name_or_path: .}}\ntokens: {model: {name_or_path: .}}\n")),
    Case("an interpolation of what is not there", PLAN, ("curate.language: Interpolation key 'size.language' not found",), files=small("curate: {language: '${size.language}'}\n")),
    Case("an interpolation of itself", PLAN, ("curate.language: Recursive interpolation detected",), files=small("curate: {language: '${curate.language}'}\n")),
    Case("an interpolation that is no grammar", PLAN, ("no viable alternative at input '${' full_key: curate.language object_type=dict",), files=small("curate: {language: '${'}\n")),
    Case("an environment variable that is not set", PLAN, ("curate.language: a recipe may not use ${oc.env:…}", "give the value on the command line"), files=small("curate: {language: '${oc.env:NO_SUCH_THING}'}\n")),
    Case("a resolver that there is none of", PLAN, ("curate.language: a recipe may not use ${lower:…}", "a recipe may use ${artifact:STAGE}"), files=small("curate: {language: '${lower:JA}'}\n")),
    Case("a goal that is no stage", PLAN, ("goal: there is no stage currate", "did you mean curate? (known: "), files=small("goal: currate\n")),
    Case("a focus that is no stage", PLAN, ("focus: there is no stage currate", "did you mean curate? (known: "), files=small("focus: [currate]\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a focus that is no list", PLAN, ("focus: expected a list of stages, found currate", "type focus=[currate]"), files=small("focus: currate\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a stage named with a slash", PLAN, ("defaults: stage@../x: '../x' is no name for a stage: expected letters, digits, _ and -, and a letter first", "type stage@NAME: STAGE"), files=mine(BARE.replace("stage@curate", "stage@../x"))),
    Case("a stage named with a space", PLAN, ("defaults: stage@my stage: 'my stage' is no name for a stage: expected letters, digits, _ and -, and a letter", "type stage@NAME: STAGE"), files=mine(BARE.replace("stage@curate", "stage@my stage"))),
    Case("a stage without a name", PLAN, ("defaults: stage: the stage has no name", "type stage@NAME: STAGE"), files=mine(BARE.replace("stage@curate", "stage"))),
    Case("a stage with a dot in its name", PLAN, ("defaults: stage@a.b: 'a.b' is no name for a stage: expected letters, digits, _ and -, and a letter first", "type stage@NAME: STAGE"), files=mine(BARE.replace("stage@curate", "stage@a.b"))),
    Case("a stage named store", PLAN, ("defaults: stage@store: store is a word of konomi's own", "give the stage another name"), files=mine(BARE.replace("stage@curate", "stage@store"))),
    Case("a stage named in Japanese", PLAN, (), 0, mine(SMALL.replace("curate.", "整え.").replace("@curate", "@整え").replace("curate: {", "整え: {"))),
    Case("a stage with a very long name", PLAN, ("it is no name of a stage",), files=mine(SMALL.replace("@curate", "@" + "c" * 300).replace("curate: {", "c" * 300 + ": {"))),
    Case("a store that a recipe names", PLAN, ("store: a recipe may not say it", "say it on the command line instead"), files=small("store: 3\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a store that is a list", PLAN, ("store: expected a folder, found ['a']", "type store=FOLDER"), files=small("store: [a]\ncurate: {source: {path: rows.jsonl}}\n")),
)
# fmt: on
USE = ("plan", "small", "curate.dedup=own")
# fmt: off
PRESETS = (
    Case("a preset without a base", USE, ("names no plugin; begin with defaults: [PLUGIN, _self_]",), files=preset("own", "threshold: 0.5\n")),
    Case("a preset of a base that is not there", USE, ("there is no dedup called minhsh; did you mean minhash? (known: ",), files=preset("own", "defaults: [minhsh, _self_]\n")),
    Case("a preset with an option that is not there", USE, ("treshold: did you mean threshold? (known: ",), files=preset("own", "defaults: [minhash, _self_]\ntreshold: 0.5\n")),
    Case("a preset with a value of a wrong type", USE, ("Value 'high' of type 'str' could not be converted to Float",), files=preset("own", "defaults: [minhash, _self_]\nthreshold: high\n")),
    Case("a preset with the name of a plugin", USE, ("of the project desk has the name of the plugin that konomi registered; rename the file",), files=preset("minhash", "defaults: [exact, _self_]\n")),
    Case("a preset with the name of another's", USE, ("dedup/swallow: is brought by konomi (",), files=preset("swallow", "defaults: [minhash, _self_]\n")),
    Case("a preset that is no YAML", USE, ("line 2: not valid YAML: did not find expected ',' or ']'",), files=preset("own", "defaults: [minhash\n")),
    Case("a preset that is a list", USE, ("expected a mapping that begins with defaults: [PLUGIN, _self_]",), files=preset("own", "[minhash]\n")),
    Case("a preset that is empty", USE, ("names no plugin; begin with defaults: [PLUGIN, _self_]",), files=preset("own", "")),
    Case("a preset in broken UTF-8", USE, ("line 2: byte 0xff is not UTF-8; save the file as UTF-8",), files=preset("own", b"defaults: [minhash, _self_]\n# \xff\n")),
    Case("a preset with defaults that are no list", USE, ("its defaults are no list; begin with defaults: [minhash, _self_]",), files=preset("own", "defaults: minhash\n")),
    Case("presets that stand on one another", USE, ("stands on own, which stands on it; begin with a plugin's name",), files=preset("own", "defaults: [two, _self_]\n") | preset("two", "defaults: [own, _self_]\n")),
    Case("a preset that is a folder", USE, ("curate.dedup=own: there is no dedup called own", "known: "), prepare=lambda desk: (desk.folder / "conf/dedup/own.yaml").mkdir(parents=True)),
    Case("a preset with defaults that are null", USE, ("names no plugin; begin with defaults: [PLUGIN, _self_]",), files=preset("own", "defaults:\n")),
)
# fmt: on
# fmt: off
PROJECTS = (
    Case("two recipes of one name", ("plan", "curate"), ("recipe curate: is brought by konomi (", "rename one of them"), files={"recipes/curate.yaml": SMALL}),
    Case("a project file that is no TOML", ("plan", "small"), ("not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 13)",), files={"pyproject.toml": "[tool.konomi\n"}),
    Case("a project file in broken UTF-8", ("plan", "small"), ("not valid TOML: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",), files={"pyproject.toml": b"# \xff\n"}),
    Case("a project without its recipes", ("plan", "small"), ("[tool.konomi] recipes: there is no folder", "make it, or take recipes out"), files={"pyproject.toml": PROJECT.replace('"recipes"', '"recipe"')}),
    Case("a project without its presets", ("plan", "small"), ("[tool.konomi] conf: there is no folder", "make it, or take conf out"), files={"pyproject.toml": PROJECT.replace('"conf"', '"config"')}),
    Case("a project without its plugins", ("plan", "small"), ("[tool.konomi] plugins: there is no folder", "make it, or take plugins out"), files={"pyproject.toml": PROJECT + 'plugins = ["plugins"]\n'}),
    Case("a project whose recipes are a list", ("plan", "small"), ("[tool.konomi] recipes: expected a folder, found ['recipes']", 'type recipes = "recipes"'), files={"pyproject.toml": PROJECT.replace('"recipes"', '["recipes"]')}),
    Case("a project whose plugins are a word", ("plan", "small"), ("[tool.konomi] plugins: expected a list of folders, found 'plugins'", 'type plugins = ["plugins"]'), files={"pyproject.toml": PROJECT + 'plugins = "plugins"\n', "plugins/x.py": ""}),
    Case("a project whose plugins are a number", ("plan", "small"), ("[tool.konomi] plugins: expected a list of folders, found 3", 'type plugins = ["plugins"]'), files={"pyproject.toml": PROJECT + "plugins = 3\n"}),
    Case("a project whose table is a number", ("plan", "small"), ("[tool.konomi]: expected a table, found 3", 'type recipes = "recipes" in it'), files={"pyproject.toml": "[tool]\nkonomi = 3\n"}),
    Case("a project with a key that is not there", ("plan", "small"), ("[tool.konomi] plugin: there is no such key", "did you mean plugins? (known: "), files={"pyproject.toml": PROJECT + 'plugin = ["plugins"]\n'}),
    Case("a plugin with a syntax error", ("plan", "small"), ("the plugins of the project desk cannot be imported: SyntaxError in",), 1, files=plugin("def broken(:\n")),
    Case("a plugin that imports what is not there", ("plan", "small"), ("the plugins of the project desk cannot be imported: ModuleNotFoundError in",), 1, files=plugin("import no_such_package\n")),
    Case("a plugin that is no dataclass", ("plan", "small"), ("line 2: Own: put @register above @dataclass, its fields are the plugin's options; mend it",), 1, files=plugin("from konomi import register\n@register('dedup', 'own')\nclass Own: ...\n")),
    Case("a plugin that fails as it is imported", ("plan", "small"), ("the plugins of the project desk cannot be imported: ZeroDivisionError in",), 1, files=plugin("1 / 0\n")),
    Case("a plugin that exits as it is imported", ("plan", "small"), ("the plugins of the project desk cannot be imported: SystemExit in",), 1, files=plugin("import sys\nsys.exit(3)\n")),
    Case(
        "a plugin with the name of ours",
        ("plan", "small"),
        ("dedup/none is registered twice: by konomi (konomi.dedup.none.NoDedup) and by the project desk (konomi_project.own.Own);",),
        1,
        files=plugin("from dataclasses import dataclass\nfrom konomi import register\n@register('dedup', 'none')\n@dataclass\nclass Own: ...\n"),
    ),
    Case(
        "a plugin with a type that is not there",
        ("plan", "small", "dedup=own"),
        ("konomi_project.own.Own.size: the type 'Sise' is not known at run time (name 'Sise' is not defined); import it outside",),
        1,
        files=plugin("from __future__ import annotations\nfrom dataclasses import dataclass\nfrom konomi import register\n@register('dedup', 'own')\n@dataclass\nclass Own:\n    size: Sise = 3\n"),
    ),
    Case("listing plugins with a broken one", ("plugins",), ("the plugins of the project desk cannot be imported: SyntaxError in",), 1, files=plugin("def broken(:\n")),
    Case("listing recipes with a broken project", ("recipes",), ("not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 13)",), files={"pyproject.toml": "[tool.konomi\n"}),
    Case("listing recipes with a broken recipe", ("recipes",), (), 0, mine(b"# \xff\n")),
    Case("a config dir that is not there", ("plan", "small", "--config-dir", "cnf"), ("--config-dir: there is no folder",)),
    Case("a config dir that is a file", ("plan", "small", "--config-dir", "rows.jsonl"), ("--config-dir: there is no folder",)),
)
# fmt: on


@table(*RECIPES)
def test_a_recipe_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*PRESETS)
def test_a_preset_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*PROJECTS)
def test_a_project_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)
