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


NO_SUCH = Case("a recipe that is not there", ("plan", "smal"), ())
RECIPES = (
    NO_SUCH,
    Case("run of a recipe that is not there", ("run", "smal"), ()),
    Case("help of a recipe that is not there", ("run", "smal", "--help"), ()),
    Case("no recipe to plan", ("plan",), ()),
    Case("no recipe to run", ("run",), ()),
    Case("a recipe by its path", ("plan", "recipes/small.yaml"), ()),
    Case("a recipe by its file", ("plan", "small.yaml"), ()),
    Case("an empty recipe", PLAN, (), files=mine("")),
    Case("a recipe of comments", PLAN, (), files=mine("# nothing yet\n")),
    Case("a recipe that is no YAML", PLAN, (), files=mine("defaults: [konomi, _self_\ncurate: {")),
    Case("a recipe with tabs", PLAN, (), files=mine("defaults:\n\t- konomi\n")),
    Case("a recipe that is a list", PLAN, (), files=mine("- konomi\n- stage@curate: curate\n")),
    Case("a recipe that is a word", PLAN, (), files=mine("curate\n")),
    Case("a recipe in broken UTF-8", PLAN, (), files=mine(b"# \xff\xfe\n" + SMALL.encode())),
    Case("a recipe in Shift-JIS", PLAN, (), files=mine(("# 好み\n" + SMALL).encode("cp932"))),
    Case("a recipe in UTF-16", PLAN, (), files=mine(SMALL.encode("utf-16"))),
    Case("a recipe with a byte order mark", PLAN, (), 0, mine(b"\xef\xbb\xbf" + SMALL.encode())),
    Case("a recipe with CRLF", PLAN, (), 0, mine(SMALL.replace("\n", "\r\n"))),
    Case("a recipe with a NUL", PLAN, (), files=mine(SMALL + "\0")),
    Case("a recipe that gives a key twice", PLAN, (), files=small("curate: {source: {path: a}}\ncurate: {language: ja}\n")),
    Case("a recipe with anchors", PLAN, (), files=small("x: &x [1]\ny: *x\n")),
    Case("a recipe larger than any page", PLAN, (), files=small("# " + "x" * (1 << 20) + "\n")),
    Case("a recipe that is a folder", PLAN, (), prepare=lambda desk: (desk.folder / "recipes/mine.yaml").mkdir()),
    Case("a recipe that is a dangling link", PLAN, (), prepare=lambda desk: (desk.folder / "recipes/mine.yaml").symlink_to("gone")),
    Case("defaults that are no list", PLAN, (), files=mine("defaults: konomi\n")),
    Case("defaults that name what is not there", PLAN, (), files=mine("defaults: [konomi, nope, _self_]\n")),
    Case("a recipe that stands on itself", PLAN, (), files=mine("defaults: [mine, _self_]\n")),
    Case("a recipe without konomi", PLAN, (), files=mine("defaults: [stage@curate: curate, _self_]\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a stage that there is none of", PLAN, (), files=mine(HEAD + "  - stage@curate: currate\n  - _self_\n")),
    Case("a plugin that there is none of", PLAN, (), files=mine(SMALL.replace("curate.dedup: none", "curate.dedup: minhsh"))),
    Case("a plugin of another kind", PLAN, (), files=mine(SMALL.replace("curate.dedup: none", "curate.dedup: normalize"))),
    Case("a kind that the stage does not hold", PLAN, (), files=mine(SMALL.replace("  - _self_", "  - override /loss@curate.loss: dpo\n  - _self_"))),
    Case("a kind misspelt", PLAN, (), files=mine(SMALL.replace("/dedup@", "/dedupe@"))),
    Case("an override of a stage that is not listed", PLAN, (), files=mine(SMALL.replace("/dedup@curate.", "/dedup@clean."))),
    Case("a plugin chosen twice", PLAN, (), files=mine(SMALL.replace("  - _self_", "  - override /dedup@curate.dedup: exact\n  - _self_"))),
    Case("a word where a plugin belongs", PLAN, (), files=small("curate: {source: files}\n")),
    Case("a list where a plugin belongs", PLAN, (), files=small("curate: {source: [files]}\n")),
    Case("an option that there is none of", PLAN, (), files=small("curate: {lnguage: ja}\n")),
    Case("an option of a wrong type", PLAN, (), files=small("curate: {test_share: much}\n")),
    Case("an option that is null", PLAN, (), files=small("curate: {test_share: null}\n")),
    Case("code to run", PLAN, (), files=small("curate: {source: {path: rows.jsonl, _target_: os.system}}\n")),
    Case("another plugin's name", PLAN, (), files=small("curate: {source: {path: rows.jsonl, plugin: source/hub}}\n")),
    Case("a key at the root that nobody reads", PLAN, (), files=small("curate: {source: {path: rows.jsonl}}\nuntill: curate\n")),
    Case("no stages", PLAN, (), files=mine("defaults: [konomi, _self_]\n")),
    Case("stages that need one another", PLAN, (), files=chain('{source: {data: "${artifact:b}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("a stage that reads itself", PLAN, (), files=chain('{source: {data: "${artifact:b}"}}', '{source: {data: "${artifact:b}"}}')),
    Case("an artifact that there is none of", PLAN, (), files=chain('{source: {data: "${artifact:nope}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("an artifact without a name", PLAN, (), files=chain('{source: {data: "${artifact:}"}}', '{source: {data: "${artifact:a}"}}')),
    Case("an artifact that is not given", PLAN, (), files=chain("{language: ja}", '{source: {data: "${artifact:a}"}}')),
    Case("an artifact of a wrong format", PLAN, (), files=mine("defaults: [train, _self_]\ntrain: {data: '${artifact:curate}', model: {name_or_path: .}}\ntokens: {model: {name_or_path: .}}\n")),
    Case("an interpolation of what is not there", PLAN, (), files=small("curate: {language: '${size.language}'}\n")),
    Case("an interpolation of itself", PLAN, (), files=small("curate: {language: '${curate.language}'}\n")),
    Case("an interpolation that is no grammar", PLAN, (), files=small("curate: {language: '${'}\n")),
    Case("an environment variable that is not set", PLAN, (), files=small("curate: {language: '${oc.env:NO_SUCH_THING}'}\n")),
    Case("a resolver that there is none of", PLAN, (), files=small("curate: {language: '${lower:JA}'}\n")),
    Case("a goal that is no stage", PLAN, (), files=small("goal: currate\n")),
    Case("a focus that is no stage", PLAN, (), files=small("focus: [currate]\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a focus that is no list", PLAN, (), files=small("focus: currate\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a stage named with a slash", PLAN, (), files=mine(SMALL.replace("stage@curate", "stage@../x"))),
    Case("a stage named with a space", PLAN, (), files=mine(SMALL.replace("stage@curate", "stage@my stage"))),
    Case("a stage without a name", PLAN, (), files=mine(SMALL.replace("stage@curate", "stage"))),
    Case("a stage with a dot in its name", PLAN, (), files=mine(BARE.replace("stage@curate", "stage@a.b"))),
    Case("a stage named store", PLAN, (), files=mine(BARE.replace("stage@curate", "stage@store"))),
    Case("a stage named in Japanese", PLAN, (), 0, mine(SMALL.replace("curate.", "整え.").replace("@curate", "@整え").replace("curate: {", "整え: {"))),
    Case("a stage with a very long name", PLAN, (), 0, mine(SMALL.replace("@curate", "@" + "c" * 300).replace("curate: {", "c" * 300 + ": {"))),
    Case("a run of a stage with a very long name", ("run", "mine"), (), 0, mine(SMALL.replace("@curate", "@" + "c" * 300).replace("curate: {", "c" * 300 + ": {"))),
    Case("a store that is a number", PLAN, (), 0, small("store: 3\ncurate: {source: {path: rows.jsonl}}\n")),
    Case("a store that is a list", PLAN, (), files=small("store: [a]\ncurate: {source: {path: rows.jsonl}}\n")),
)
USE = ("plan", "small", "curate.dedup=own")
PRESETS = (
    Case("a preset without a base", USE, (), files=preset("own", "threshold: 0.5\n")),
    Case("a preset of a base that is not there", USE, (), files=preset("own", "defaults: [minhsh, _self_]\n")),
    Case("a preset with an option that is not there", USE, (), files=preset("own", "defaults: [minhash, _self_]\ntreshold: 0.5\n")),
    Case("a preset with a value of a wrong type", USE, (), files=preset("own", "defaults: [minhash, _self_]\nthreshold: high\n")),
    Case("a preset with the name of a plugin", USE, (), files=preset("minhash", "defaults: [exact, _self_]\n")),
    Case("a preset with the name of another's", USE, (), files=preset("swallow", "defaults: [minhash, _self_]\n")),
    Case("a preset that is no YAML", USE, (), files=preset("own", "defaults: [minhash\n")),
    Case("a preset that is a list", USE, (), files=preset("own", "[minhash]\n")),
    Case("a preset that is empty", USE, (), files=preset("own", "")),
    Case("a preset in broken UTF-8", USE, (), files=preset("own", b"defaults: [minhash, _self_]\n# \xff\n")),
    Case("a preset with defaults that are no list", USE, (), files=preset("own", "defaults: minhash\n")),
    Case("presets that stand on one another", USE, (), files=preset("own", "defaults: [two, _self_]\n") | preset("two", "defaults: [own, _self_]\n")),
    Case("a preset that is a folder", USE, (), prepare=lambda desk: (desk.folder / "conf/dedup/own.yaml").mkdir(parents=True)),
    Case("a preset with defaults that are null", USE, (), files=preset("own", "defaults:\n")),
)
PROJECTS = (
    Case("two recipes of one name", ("plan", "curate"), (), files={"recipes/curate.yaml": SMALL}),
    Case("a project file that is no TOML", ("plan", "small"), (), files={"pyproject.toml": "[tool.konomi\n"}),
    Case("a project file in broken UTF-8", ("plan", "small"), (), files={"pyproject.toml": b"# \xff\n"}),
    Case("a project without its recipes", ("plan", "small"), (), files={"pyproject.toml": PROJECT.replace('"recipes"', '"recipe"')}),
    Case("a project without its presets", ("plan", "small"), (), files={"pyproject.toml": PROJECT.replace('"conf"', '"config"')}),
    Case("a project without its plugins", ("plan", "small"), (), files={"pyproject.toml": PROJECT + 'plugins = ["plugins"]\n'}),
    Case("a project whose recipes are a list", ("plan", "small"), (), files={"pyproject.toml": PROJECT.replace('"recipes"', '["recipes"]')}),
    Case("a project whose plugins are a word", ("plan", "small"), (), files={"pyproject.toml": PROJECT + 'plugins = "plugins"\n', "plugins/x.py": ""}),
    Case("a project whose plugins are a number", ("plan", "small"), (), files={"pyproject.toml": PROJECT + "plugins = 3\n"}),
    Case("a project whose table is a number", ("plan", "small"), (), files={"pyproject.toml": "[tool]\nkonomi = 3\n"}),
    Case("a project with a key that is not there", ("plan", "small"), (), files={"pyproject.toml": PROJECT + 'plugin = ["plugins"]\n'}),
    Case("a plugin with a syntax error", ("plan", "small"), (), files=plugin("def broken(:\n")),
    Case("a plugin that imports what is not there", ("plan", "small"), (), files=plugin("import no_such_package\n")),
    Case("a plugin that is no dataclass", ("plan", "small"), (), files=plugin("from konomi import register\n@register('dedup', 'own')\nclass Own: ...\n")),
    Case("a plugin that fails as it is imported", ("plan", "small"), (), files=plugin("1 / 0\n")),
    Case("a plugin that exits as it is imported", ("plan", "small"), (), files=plugin("import sys\nsys.exit(3)\n")),
    Case("a plugin with the name of ours", ("plan", "small"), (), files=plugin("from dataclasses import dataclass\nfrom konomi import register\n@register('dedup', 'none')\n@dataclass\nclass Own: ...\n")),
    Case("a plugin with a type that is not there", ("plan", "small", "dedup=own"), (), files=plugin("from __future__ import annotations\nfrom dataclasses import dataclass\nfrom konomi import register\n@register('dedup', 'own')\n@dataclass\nclass Own:\n    size: Sise = 3\n")),
    Case("a plugin in broken UTF-8", ("plan", "small"), (), files={"pyproject.toml": PROJECT + 'plugins = ["plugins"]\n', "plugins/own.py": b"# \xff\n"}),
    Case("listing plugins with a broken one", ("plugins",), (), files=plugin("def broken(:\n")),
    Case("listing recipes with a broken project", ("recipes",), (), files={"pyproject.toml": "[tool.konomi\n"}),
    Case("listing recipes with a broken recipe", ("recipes",), (), 0, mine(b"# \xff\n")),
    Case("a config dir that is not there", ("plan", "small", "--config-dir", "cnf"), ()),
    Case("a config dir that is a file", ("plan", "small", "--config-dir", "rows.jsonl"), ()),
)


@table(*RECIPES)
def test_a_recipe_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*PRESETS)
def test_a_preset_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


@table(*PROJECTS)
def test_a_project_that_is_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)
