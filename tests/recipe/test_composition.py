"""A recipe and its overrides become one configuration; every mistake is told, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import konomi
from konomi.faults import Faults


def faults(recipe: str, *overrides: str) -> str:
    with pytest.raises(Faults) as caught:
        konomi.plan(recipe, overrides)
    return str(caught.value)


def test_a_stage_brings_its_kinds_with_their_defaults(kitchen: Path) -> None:
    cfg = konomi.compose("meal")
    assert (cfg.lunch.flavour.plugin, cfg.lunch.flavour.grams) == ("flavour/salt", 1.0)
    assert cfg.word.spice.plugin == "spice/saffron"


def test_a_stage_stands_twice_with_choices_of_its_own(kitchen: Path) -> None:
    cfg = konomi.compose("meal", ["lunch.flavour.grams=2"])
    assert (cfg.lunch.flavour.plugin, cfg.dinner.flavour.plugin) == ("flavour/salt", "flavour/pepper")
    assert cfg.lunch.flavour.grams == 2


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("dish.flavour=pepper", "dish.flavour.plugin", "flavour/pepper"),
        ("flavour=pepper", "dish.flavour.plugin", "flavour/pepper"),
        ("flavour=strong", "dish.flavour.grams", 5.0),
        ("flavour.grams=0.25", "dish.flavour.grams", 0.25),
        ("library.max_steps=3", "dish.library.max_steps", 3),
        ("dish.library.learning_rate=1e-5", "dish.library.learning_rate", 1e-5),
    ],
)
def test_short_forms_reach_the_one_stage_that_holds_the_kind(
    kitchen: Path, override: str, path: str, value: object
) -> None:
    found = OmegaConf.select(konomi.compose("one", [override]), path)
    assert found == value


def test_a_short_form_that_means_two_stages_lists_them(kitchen: Path) -> None:
    said = faults("meal", "flavour=salt")
    assert "2 stages hold a flavour" in said
    assert "lunch.flavour=salt or dinner.flavour=salt" in said


def test_focus_says_which_stage_a_short_form_means(kitchen: Path) -> None:
    (kitchen / "focused.yaml").write_text("# Focused.\ndefaults: [meal, _self_]\nfocus: [dinner]\n", encoding="utf-8")
    assert konomi.compose("focused", ["flavour.corns=9"]).dinner.flavour.corns == 9


@pytest.mark.parametrize(
    "value",
    [
        "日本 語",
        "a=b",
        "a(b)",
        "日本=(x) y",
        "it's",
        'say "hi"',
        "C:\\本\\",
        "ｆｕｌｌ",
        "a {b}",
        "[not a list",
        "#x",
        "1e5本",
    ],
)
def test_values_reach_the_recipe_whole(kitchen: Path, value: str) -> None:
    assert konomi.compose("one", [f"word.word={value}"]).word.word == value


def test_several_plugins_keep_their_order_and_names(kitchen: Path) -> None:
    cfg = konomi.compose("courses", ["menu.flavours=[rice,big_soup,soup]", "menu.flavours.soup.litres=9"])
    assert list(cfg.menu.flavours) == ["rice", "big_soup", "soup"]
    assert [cfg.menu.flavours[name].get("litres") for name in ("big_soup", "soup")] == [2, 9]
    ((name, _),) = konomi.plan("courses", ["course=[rice]"]).steps[0].parts["fields"]["flavours"]
    assert name == "rice"


def test_one_plugin_given_twice_is_a_fault(kitchen: Path) -> None:
    assert "twice" in faults("courses", "course=[soup,soup]")


def test_the_order_of_filters_is_part_of_the_key(kitchen: Path) -> None:
    one, other = (konomi.plan("courses", [f"course=[{order}]"]).steps[0].key for order in ("soup,rice", "rice,soup"))
    assert one != other


def test_every_fault_of_a_line_is_told_at_once(kitchen: Path) -> None:
    said = faults(
        "meal",
        "lunch.flavour=sugar",
        "dinner.flavour.corns=many",
        "word.wrod=x",
        "lunch.library.lerning_rate=1",
        "nowhere.x=1",
    )
    for expected in (
        "there is no flavour called sugar", "known: pepper, salt, strong", "many", "did you mean word",
        "did you mean learning_rate", "there is no nowhere.x",
    ):  # fmt: skip
        assert expected in said


def test_a_name_of_another_kind_is_recognised(kitchen: Path) -> None:
    assert "saffron is a spice" in faults("meal", "lunch.flavour=saffron")


def test_a_negative_value_is_the_plugins_own_fault(kitchen: Path) -> None:
    assert "lunch.flavour.grams: -1.0 is less than nothing" in faults("meal", "lunch.flavour.grams=-1")


def test_a_string_where_a_plugin_belongs_is_a_fault(kitchen: Path) -> None:
    (kitchen / "stringy.yaml").write_text("defaults: [meal, _self_]\nlunch: {flavour: pepper}\n", encoding="utf-8")
    said = faults("stringy")
    assert "a flavour belongs where 'pepper' stands" in said
    assert "override /flavour@STAGE.flavour: pepper" in said


def test_a_plugins_name_cannot_be_written_over(kitchen: Path) -> None:
    said = faults("meal", "lunch.flavour.plugin=flavour/pepper")
    assert "cannot be written over" in said
    assert "flavour@lunch.flavour=pepper" in said


@pytest.mark.parametrize("where", ["word", "lunch.flavour"])
def test_a_target_is_refused(kitchen: Path, where: str) -> None:
    head, _, tail = where.partition(".")
    node = f"{{{tail}: {{_target_: os.system}}}}" if tail else "{_target_: os.system}"
    (kitchen / "evil.yaml").write_text(f"defaults: [meal, _self_]\n{head}: {node}\n", encoding="utf-8")
    with pytest.raises(Faults):
        konomi.plan("evil")


def test_a_free_target_is_refused(kitchen: Path) -> None:
    (kitchen / "evil.yaml").write_text(
        "defaults: [meal, _self_]\nextra: {deep: [{_target_: os.system}]}\n", encoding="utf-8"
    )
    assert "never code to run" in faults("evil")


@pytest.mark.parametrize(
    "block",
    [
        "callbacks: {x: {_target_: os.system}}",
        "job_logging: {handlers: {file: {filename: /tmp/x}}}",
        "job: {env_set: {PYTHONPATH: /tmp}}",
        "sweeper: {params: {x: '1,2'}}",
        "run: {dir: /tmp/elsewhere}",
    ],
)
def test_a_recipe_may_not_change_hydra(kitchen: Path, block: str) -> None:
    (kitchen / "evil.yaml").write_text(f"defaults: [meal, _self_]\nhydra: {{{block}}}\n", encoding="utf-8")
    assert "may not change it" in faults("evil")


def test_the_command_line_may_change_hydra(kitchen: Path) -> None:
    assert konomi.plan("meal", ["hydra.run.dir=elsewhere"]).steps


def test_an_unknown_recipe_names_the_nearest(kitchen: Path) -> None:
    assert "did you mean meal" in faults("maels")


def test_two_stages_that_need_one_another_are_a_fault(kitchen: Path) -> None:
    assert "need one another" in faults("meal", "lunch.data=${artifact:dinner}")


def test_a_stage_that_is_not_there_is_a_fault(kitchen: Path) -> None:
    said = faults("meal", "lunch.data=${artifact:wrod}")
    assert "wrod" in said
    assert "did you mean word" in said


def test_formats_are_compared_before_any_work(kitchen: Path) -> None:
    said = faults("meal", "dinner.side=${artifact:lunch}")
    assert "takes text, and the stage lunch leaves model" in said


def test_a_preset_with_the_name_of_a_plugin_is_a_clash(kitchen: Path) -> None:
    (kitchen / "flavour" / "pepper.yaml").write_text("defaults: [salt, _self_]\n", encoding="utf-8")
    assert "has the name of the plugin" in faults("meal")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grams: 3\n", "names no plugin"),
        ("defaults: [sugar, _self_]\n", "known: pepper, salt"),
        ("defaults: [salt, _self_]\ngrms: 3\n", "did you mean grams"),
        ("defaults: [salt, _self_]\ngrams: lots\n", "lots"),
        ("a: &a [1]\nb: *a\n", "aliases"),
        ("- just\n- a list\n", "expected a mapping"),
    ],
)
def test_a_wrong_preset_is_a_fault_with_its_file(kitchen: Path, text: str, said: str) -> None:
    file = kitchen / "flavour" / "odd.yaml"
    file.write_text(text, encoding="utf-8")
    told = faults("meal")
    assert said in told
    assert "odd.yaml" in told


def test_composing_twice_gives_the_same(kitchen: Path) -> None:
    assert konomi.compose("meal") == konomi.compose("meal")


def test_composing_works_inside_a_hydra_application(kitchen: Path) -> None:
    from hydra import initialize

    with initialize(config_path=None, version_base="1.3"):
        assert konomi.compose("meal").word.word == "hello"


def test_options_that_are_mappings_take_names_of_ones_own(kitchen: Path) -> None:
    cfg = konomi.compose("one", ["word.extra.taste=味", "dish.library.max_steps=3"])
    assert cfg.word.extra == {"taste": "味"}
    assert konomi.compose("one", ["word.extra={a: b}"]).word.extra == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("defaults: [meal, _self_]\nword: {extra: {trust_remote_code: 'true'}}\n", "a recipe may not say it"),
        ("defaults: [meal, _self_]\nhydra: {job: {name: ../../escaped}}\n", "may not change it"),
        ("", "it is empty, or does not stand on konomi"),
    ],
)
def test_what_only_the_command_line_may_say_is_a_fault_in_a_recipe(kitchen: Path, text: str, said: str) -> None:
    (kitchen / "sly.yaml").write_text(text, encoding="utf-8")
    assert said in faults("sly")


def test_a_recipe_that_would_blow_up_is_not_read(kitchen: Path) -> None:
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    lines = ["a: &a [x, x, x, x, x]", *(f"{name}: &{name} [*{above}, *{above}, *{above}]" for above, name in pairs)]
    (kitchen / "bomb.yaml").write_text("\n".join(lines), encoding="utf-8")
    assert "aliases" in faults("bomb")


def test_a_fault_upstream_is_told_once_and_begets_no_other(kitchen: Path) -> None:
    with pytest.raises(Faults) as caught:
        konomi.plan("meal", ["lunch.flavour.grams=-1"])
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("override", ["flavour=3", "flavour=null", "dish.flavour=true", "flavour=[salt,pepper]"])
def test_a_choice_is_one_name(kitchen: Path, override: str) -> None:
    said = faults("one", override)
    assert override in said
    assert "Traceback" not in said


def test_a_value_that_cannot_be_resolved_is_the_only_fault(kitchen: Path) -> None:
    with pytest.raises(Faults) as caught:
        konomi.plan("one", ["flavour.grams=${nowhere}"])
    assert [fault.where for fault in caught.value.faults] == ["dish.flavour.grams"]


def test_a_plugins_hint_names_its_options_as_they_are_typed(kitchen: Path) -> None:
    assert "type dish.flavour.grams=1, or dish.flavour.names=[you]" in faults("one", "flavour.grams=-1")
