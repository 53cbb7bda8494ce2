"""Overrides and flags that are wrong, and some that only look so."""

from __future__ import annotations

import pytest

from .desk import Case, Desk, table


def plan(name: str, *words: str, says: tuple[str, ...] = (), code: int = 2) -> Case:
    return Case(name, ("plan", *words), says, code)


def run(name: str, *words: str, says: tuple[str, ...] = (), code: int = 2) -> Case:
    return Case(name, ("run", *words), says, code)


# fmt: off
CASES = (
    plan("a kind that no stage holds", "small", "loss=ipo", says=("loss=ipo: no stage of this recipe holds a loss", "they hold: ")),
    plan("a kind misspelt", "small", "soruce=hub", says=("soruce=hub: there is no soruce", "did you mean source? (known: ")),
    plan("a kind that several stages hold", "train", "model=hub", says=("model=hub: 2 stages hold a model", "type tokens.model=hub or train.model=hub")),
    plan("an option of a kind that several stages hold", "train", "model.revision=main", says=("model.revision=main: 2 stages hold a model", "type tokens.model.revision=main or train.model.revision=main")),
    plan("a plugin misspelt", "small", "source=fles", says=("source=fles: there is no source called fles", "did you mean files? (known: ")),
    plan("a plugin of another kind", "small", "source=minhash", says=("source=minhash: there is no source called minhash", "minhash is a dedup (known: ")),
    plan("a plugin of another kind in its place", "small", "curate.dedup=normalize", says=("curate.dedup=normalize: there is no dedup called normalize", "normalize is a filter (known: ")),
    plan("a number where a plugin belongs", "small", "dedup=3", says=("dedup=3: one name is chosen here, not 3", "known: ")),
    plan("null where a plugin belongs", "small", "dedup=null", says=("dedup=null: one name is chosen here, not null", "known: ")),
    plan("nothing where a plugin belongs", "small", "dedup=", says=("curate.dedup: a dedup belongs here, found '' (known: ", "on the command line type curate.dedup=NAME; in a recipe: override")),
    plan("a mapping where a plugin belongs", "small", "dedup={plugin: dedup/exact}", says=("curate.dedup.plugin: the plugin is dedup/none, and its name cannot be written over", "choose it: dedup@curate.dedup=exact")),
    plan("a list where one plugin belongs", "small", "dedup=[exact,minhash]", says=("dedup=[exact,minhash]: one name is chosen here, not [exact,minhash]", "type curate.dedup=chain 'curate.dedup.steps=[exact,minhash]'")),
    plan("one of a list misspelt", "small", "filter=[normalise,length]", says=("filter=[normalise,length]: there is no filter called normalise", "did you mean normalize? (known: ")),
    plan("one of a list twice", "small", "filter=[length,length]", says=("curate.filter: length is given twice, and one name holds one plugin", "a preset of another name may stand beside it")),
    plan("a number in a list of plugins", "small", "filter=[3]", says=("filter=[3]: names are chosen here, found [3]", "known: ")),
    plan("a list that is not closed", "small", "filter=[normalize", says=("filter=[normalize: there is no filter called [normalize", "did you mean normalize? (known: ")),
    plan("an option misspelt", "small", "source.pth=x", says=("source.pth=x: source/files has no option pth", "did you mean path? (known: ")),
    plan("an option of the stage misspelt", "small", "curate.lnguage=ja", says=("curate.lnguage=ja: stage/curate has no option lnguage", "did you mean language? (known: ")),
    plan("an option below an option", "small", "curate.language.name=ja", says=("curate.language.name=ja: curate.language is a value, nothing is below it", "type curate.language=…")),
    plan("an option of a stage that is not there", "small", "currate.language=ja", says=("currate.language=ja: there is no currate.language", "did you mean curate? (known: ")),
    plan("an option at the root", "small", "language=ja", says=("language=ja: there is no language", "it is an option of curate: type curate.language=…")),
    plan("a word where a number belongs", "small", "curate.test_share=abc", says=("curate.test_share=abc: Value 'abc' of type 'str' could not be converted to Float",)),
    plan("a number with a comma", "small", "curate.test_share=0,1", says=("curate.test_share=0,1: several values where one belongs", "a sweep takes -m; one text with a comma is typed")),
    plan("nan where a number belongs", "small", "curate.test_share=nan", says=("curate.test_share: nan; expected at least 0 and less than 1", "test_share=0.01")),
    plan("inf where a number belongs", "small", "curate.test_share=inf", says=("curate.test_share: inf; expected at least 0 and less than 1", "test_share=0.01")),
    plan("a number below its range", "small", "curate.test_share=-0.1", says=("curate.test_share: -0.1; expected at least 0 and less than 1", "test_share=0.01")),
    plan("a number above its range", "small", "curate.test_share=1", says=("curate.test_share: 1.0; expected at least 0 and less than 1", "test_share=0.01")),
    plan("null where a number belongs", "small", "curate.test_share=null", says=("curate.test_share=null: field 'curate.test_share' is not Optional",)),
    plan("a list where a number belongs", "small", "curate.test_share=[1]", says=("curate.test_share=[1]: Value '[1]' of type 'list' could not be converted to Float",)),
    plan("a fraction where a count belongs", "small", "curate.test_rows=1.5", says=("curate.test_rows=1.5: Value '1.5' of type 'float' could not be converted to Integer",)),
    plan("a count below zero", "small", "source.limit=-1", says=("curate.source.limit: -1 is below 0",)),
    plan("a count beyond all machines", "small", "curate.shard_rows=" + "9" * 30, code=0),
    plan("a choice that there is none of", "small", "source.on_error=skip", says=("source.on_error=skip: Invalid value 'skip', expected one of [raise, drop]",)),
    plan("a word where yes or no belongs", "train", "train.trainer.bf16=perhaps", says=("train.trainer.bf16: SFTConfig.bf16 takes bool | None, found 'perhaps'",)),
    plan("a language that is none", "small", "curate.language=Japanese!", says=("curate.language: Japanese! is no language tag", "curate.language=ja, curate.language=en, curate.language=zh-Hant")),
    plan("two faults at once", "small", "curate.test_share=2", "dedup=minhsh", says=("dedup=minhsh: there is no dedup called minhsh", "did you mean minhash? (known: ")),
    plan("a key of nobody", "small", "frobnicate=1", says=("frobnicate=1: there is no frobnicate", "known: ")),
    plan("a key of konomi misspelt", "small", "untill=curate", says=("untill=curate: there is no untill", "did you mean until? (known: ")),
    plan("a new key at the root", "small", "+frobnicate=1", code=0),
    plan("a new option that the plugin has not", "small", "+curate.frobnicate=1", says=("curate.frobnicate: there is no option frobnicate", "known: ")),
    plan("forced where it is not there", "small", "++curate.frobnicate=1", says=("curate.frobnicate: there is no option frobnicate", "known: ")),
    plan("forced with a wrong type", "small", "++curate.test_share=abc", says=("++curate.test_share=abc: Value 'abc' of type 'str' could not be converted to Float",)),
    plan("a new option that is there already", "small", "+curate.language=ja", says=("curate.language is there already", "type it without the +: curate.language=ja")),
    plan("a deletion of what is not there", "small", "~frobnicate", says=("~frobnicate: there is no frobnicate", "known: ")),
    plan("a deletion of an option", "small", "~curate.language", says=("~curate.language: curate.language cannot be taken away", "give it another value: curate.language=…")),
    plan("a deletion of a plugin", "small", "~curate.source", says=("~curate.source: curate.source cannot be taken away", "give it another value: curate.source=…")),
    plan("a deletion of a stage", "train", "~curate", says=("tokens.data.rows: there is no stage and no stored artifact called curate; known: ",)),
    plan("a deletion of an option with its value", "small", "~curate.language=ja", says=("~curate.language=ja: curate.language cannot be taken away", "give it another value: curate.language=…")),
    plan("a bracket that is not closed", "small", "name=a(b", code=0),
    plan("a quote that is not closed", "small", 'name="a', code=0),
    plan("a brace that is not closed", "small", "name={a", code=0),
    plan("a dollar and a brace that is not closed", "small", "name=${a", says=("name=${a: the value cannot be read", "quote it twice: 'name=\"…\"'; a reference is ${NAME}")),
    plan("an interpolation of nothing", "small", "name=${nope}", says=("name: Interpolation key 'nope' not found",)),
    plan("an empty word", "small", "", says=("'': an empty word was typed", "leave it out; a variable of the shell may be unset")),
    plan("a blank", "small", " ", says=("'': an empty word was typed", "leave it out; a variable of the shell may be unset")),
    plan("only a value", "small", "=3", says=("=3: no name stands where one belongs before the =", "type KEY=VALUE, or STAGE.OPTION=VALUE")),
    plan("only a key", "small", "x", says=("x: is no override", "type KEY=VALUE; one recipe is run at a time")),
    plan("only a key that there is", "small", "name", says=("name: is no override", "type KEY=VALUE; one recipe is run at a time")),
    plan("only a dot", "small", ".=1", says=(".=1: no name stands where one belongs before the =", "type KEY=VALUE, or STAGE.OPTION=VALUE")),
    plan("a key that ends in a dot", "small", "curate.=1", says=("curate.=1: no name stands where one belongs before the =", "type KEY=VALUE, or STAGE.OPTION=VALUE")),
    plan("a key with two dots", "small", "curate..language=ja", says=("curate..language=ja: no name stands where one belongs before the =", "type KEY=VALUE, or STAGE.OPTION=VALUE")),
    plan("blanks around the sign", "small", "name = a", says=("name = a: there are blanks around the =", "type name=…")),
    plan("a key in Japanese", "small", "名前=太郎", says=("名前=太郎: there is no 名前", "known: ")),
    plan("a value in Japanese with blanks", "small", "name=好み の 本 (改)", code=0),
    plan("a value with emoji", "small", "name=🍣=寿司", code=0),
    plan("a value of a line feed", "small", "name=a\nb", code=0),
    plan("a value with half a surrogate pair", "small", "name=\udce3", says=("'name=\\udce3': is no UTF-8", "type it in a UTF-8 terminal")),
    plan("a path with half a surrogate pair", "small", "source.path=\udce3.jsonl", says=("'source.path=\\udce3.jsonl': is no UTF-8", "type it in a UTF-8 terminal")),
    plan("a very long value", "small", "name=" + "a" * 100_000, code=0),
    plan("a deadline that is no time", "small", "deadline=3x", says=("deadline: '3x' is no length of time", "type deadline=90m or deadline=23h")),
    plan("a deadline in words", "small", "deadline=tomorrow", says=("deadline: 'tomorrow' is no length of time", "type deadline=90m or deadline=23h")),
    plan("a deadline of nothing", "small", "deadline=0", says=("deadline: 0 is no length of time", "type deadline=90m or deadline=23h")),
    plan("a deadline that has no end", "small", "deadline=inf", says=("deadline: inf is no length of time", "type deadline=90m or deadline=23h")),
    plan("a deadline below zero", "small", "deadline=-1h", says=("deadline: '-1h' is no length of time", "type deadline=90m or deadline=23h")),
    plan("a deadline that is not a number", "small", "deadline=nan", says=("deadline: nan is no length of time", "type deadline=90m or deadline=23h")),
    plan("until that is no stage", "small", "until=currate", says=("until: there is no stage currate", "did you mean curate? (known: ")),
    plan("refresh that is no stage", "small", "refresh=all", says=("refresh: there is no stage all", "known: ")),
    plan("refresh of what is not needed", "train", "until=curate", "refresh=train", says=("refresh: curate does not need the stage train",)),
    plan("goal that is no stage", "small", "goal=tokens", says=("goal: there is no stage tokens", "known: ")),
    plan("focus that is no stage", "small", "focus=[tokens]", says=("focus: there is no stage tokens", "known: ")),
    plan("focus that is a word", "small", "focus=curate", says=("focus: expected a list of stages, found curate", "type focus=[curate]")),
    plan("a store that is empty", "small", "store=", says=("store: expected a folder, found nothing", "type store=FOLDER")),
    plan("a store that is a mapping", "small", "store={a: 1}", says=("store: expected a folder, found {'a': 1}", "type store=FOLDER")),
    plan("a sweep without -m", "small", "curate.language=ja,en", says=("curate.language=ja,en: several values where one belongs", "a sweep takes -m; one text with a comma is typed")),
    plan("a sweep of plugins without -m", "small", "dedup=exact,minhash", says=("dedup=exact,minhash: several values where one belongs", "a sweep takes -m; one text with a comma is typed")),
    plan("a range without -m", "small", "curate.test_rows=range(1,3)", says=("curate.test_rows=range(1,3): several values where one belongs", "a sweep takes -m; one text with a comma is typed")),
    plan("-m without a sweep", "small", "-m", code=0),
    plan("a sweep with one wrong point", "small", "-m", "curate.test_share=0.1,2", says=("curate.test_share: 2.0; expected at least 0 and less than 1", "test_share=0.01")),
    plan("a sweep with a wrong plugin", "small", "-m", "dedup=exact,minhsh", says=("dedup@curate.dedup=minhsh: there is no dedup called minhsh", "did you mean minhash? (known: ")),
    plan("a sweep of a wrong range", "small", "-m", "curate.test_rows=range(1)", code=0),
    plan("an artifact that there is none of", "train", "train.data=${artifact:tokns}", says=("train.data: there is no stage and no stored artifact called tokns; did you mean tokens? (known: ",)),
    plan("a word where an artifact belongs", "train", "train.data=tokns", says=("train.data: there is no stage and no stored artifact called tokns; did you mean tokens?",)),
    plan("an artifact of another format", "train", "train.data=${artifact:curate}", says=("train.data: takes tokens, and the stage curate leaves text", "put a tokenize stage between them")),
    plan("a library's argument misspelt", "train", "train.trainer.lerning_rate=1e-3", says=("train.trainer.lerning_rate: SFTConfig has no argument lerning_rate", "did you mean learning_rate?")),
    plan("a library's argument of a wrong type", "train", "train.trainer.learning_rate=fast", says=("train.trainer.learning_rate: SFTConfig.learning_rate takes float, found 'fast'",)),
    plan("a trainer of other rows", "train", "train.trainer=dpo", says=("train.trainer: dpo trains on token_pairs, and this stage has tokens", "known for tokens: sft")),
    plan("a recipe's name twice", "small", "small", says=("small: is no override", "type KEY=VALUE; one recipe is run at a time")),
    plan("two recipes", "small", "train", says=("train: is no override", "type KEY=VALUE; one recipe is run at a time")),
    plan("a flag of nobody", "small", "--frobnicate", says=("unrecognized arguments: --frobnicate", "konomi run --help lists what there is")),
    plan("a flag misspelt", "small", "--mutirun", says=("unrecognized arguments: --mutirun", "konomi run --help lists what there is")),
    plan("a flag without its value", "small", "--config-dir", says=("argument --config-dir/-cd: expected one argument", "konomi run --help lists what there is")),
    plan("another recipe by Hydra's flag", "small", "--config-name", "train", says=("--config-name: the recipe is the first word", "type konomi run RECIPE; see --config-dir")),
    plan("a rerun by Hydra's flag", "small", "--experimental-rerun", "x", says=("--experimental-rerun: it unpickles a file", "use konomi run with the same overrides")),
    run("a wrong --cfg", "small", "--cfg", "jobs", says=("argument --cfg/-c: invalid choice: 'jobs' (choose from 'job', 'hydra', 'all')", "konomi run --help lists what there is")),
    run("a wrong --info", "small", "--info", "everything", says=("argument --info/-i: invalid choice: 'everything' (choose from 'all', 'config', 'defaults', 'defaults-tree',", "konomi run --help lists what there is")),
    run("a package that is not there", "small", "--cfg", "job", "--package", "nope", says=("package 'nope' not found in config",), code=1),
    run("a launcher that is not installed", "small", "-m", "hydra/launcher=ray", "curate.language=ja,en", says=("hydra/launcher=ray: there is no hydra/launcher called ray", "it is not installed; type: pip install 'konomi[ray]'")),
    run("a launcher of nobody", "small", "-m", "hydra/launcher=jobllib", "curate.language=ja,en", says=("hydra/launcher=jobllib: there is no hydra/launcher called jobllib", "did you mean joblib? (known: ")),
    run("a sweeper that is not installed", "small", "-m", "hydra/sweeper=optuna", "curate.language=ja,en", says=("hydra/sweeper=optuna: there is no hydra/sweeper called optuna", "it is not installed; type: pip install hydra-optuna-sweeper")),
    run("a setting of Hydra's that there is none of", "small", "hydra.rn.dir=x", says=("hydra.rn.dir=x: there is no hydra.rn.dir", "did you mean run? (known: ")),
    run("an interval that the sweeper does not know", "small", "-m", "curate.test_share=interval(0,0.5)", says=("curate.test_share=interval(0,0.5): an interval is a sweeper's that searches, and none is chosen", "type a list, KEY=1,2,3, or choose a sweeper that searches:")),
    run("a sweep without -m, run", "small", "curate.language=ja,en", says=("curate.language=ja,en: several values where one belongs", "a sweep takes -m; one text with a comma is typed")),
    run("a run's folder that is a file", "small", "hydra.run.dir=rows.jsonl", says=("rows.jsonl: File exists",), code=1),
    run("a sweep's folder that is a file", "small", "-m", "curate.language=ja,en", "hydra.sweep.dir=rows.jsonl", says=("rows.jsonl: File exists",), code=1),
    run("a tab completion of nothing", "--completion", says=("unrecognized arguments: --completion", "konomi run --help lists what there is")),
    Case("a command of nobody", ("plam", "small"), ("there is no command plam; did you mean plan? (known: ",)),
    Case("a command in capitals", ("RUN", "small"), ("there is no command RUN; did you mean run? (known: ",)),
    Case("a flag before the command", ("--foo",), ("there is no command --foo; known: ",)),
    Case("compare without a folder", ("compare",), ("error: the following arguments are required: FOLDER",)),
    Case("compare of what is not there", ("compare", "nope"), ("nope holds no run: there is no such folder; give the folder of a run, or of a sweep (multirun/…)",), 1),
    Case("compare of a file", ("compare", "rows.jsonl"), ("rows.jsonl holds no run: no run.json in it or below; give the folder of a run, or of a sweep (multirun/…)",), 1),
    Case("compare of an empty folder", ("compare", "conf"), ("conf holds no run: no run.json in it or below; give the folder of a run, or of a sweep (multirun/…)",), 1),
    Case("show without a name", ("show",), ("error: the following arguments are required: which",)),
    Case("show of what is not there", ("show", "nope"), ("there is no artifact nope in",), 1),
    Case("plugins of a kind that there is none of", ("plugins", "dedupe"), ("there is no kind dedupe; did you mean dedup? (known: ",), 1),
    Case("a plugin that there is none of, listed", ("plugins", "dedup/minhsh"), ("there is no dedup called minhsh; did you mean minhash? (known: ",), 1),
    Case("a plan as JSON and smoke", ("plan", "small", "--json", "--smoke"), ("--json: a smoke run has no plan to print", "leave out one of --json and --smoke")),
)
# fmt: on


@pytest.fixture
def _modelled(desk: Desk) -> None:
    (desk.folder / "model").symlink_to(desk.model())


@pytest.mark.usefixtures("_modelled")
@table(*CASES)
def test_what_is_typed_wrong_is_told(desk: Desk, case: Case) -> None:
    desk.check(case)


def test_of_what_is_given_twice_the_last_one_holds(desk: Desk) -> None:
    for twice, once in (
        (["curate.language=ja", "curate.language=en"], "curate.language=en"),
        (["dedup=exact", "dedup=minhash"], "dedup=minhash"),
        (["dedup=exact", "curate.dedup=minhash"], "curate.dedup=minhash"),
    ):
        assert desk.type("plan", "small", *twice).said == desk.type("plan", "small", once).said
