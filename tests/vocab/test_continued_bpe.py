"""Continued BPE: merges after the base's own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from konomi import registry
from konomi.faults import KonomiError
from konomi.testing.vocab import (
    ENGLISH,
    JAPANESE,
    VocabSuite,
    byte_fallback_base,
    byte_level_base,
    corpus,
    random_texts,
)
from konomi.vocab import Extension
from konomi.vocab._bpe import Bpe, Scheme, rebuilt, token_surfaces
from konomi.vocab._contract import Cuts, breaches, changed_ascii, dead, misplaced, not_coarser
from konomi.vocab.continued_bpe import ContinuedBpe, Within, _living

SMALL = ContinuedBpe(size=200, min_frequency=3)


class TestContinuedBpe(VocabSuite):
    plugin = ContinuedBpe


class TestWithinTheFamily(VocabSuite):
    plugin = ContinuedBpe

    def make(self) -> ContinuedBpe:
        return ContinuedBpe(size=200, min_frequency=3, within=Within.family)


class TestShortPieces(VocabSuite):
    plugin = ContinuedBpe

    def make(self) -> ContinuedBpe:
        return ContinuedBpe(size=60, min_frequency=2, max_piece_length=2)


def pieces(extension) -> list[str]:
    surfaces = token_surfaces(extension.tokenizer)
    return [surfaces[id_].decode(errors="replace") for id_ in extension.new_ids]


def test_characters_come_before_the_pieces_made_of_them():
    extension = SMALL.extend(byte_fallback_base(), corpus())
    found = pieces(extension)
    first_long = next(index for index, piece in enumerate(found) if len(piece) > 1)
    assert all(len(piece) == 1 for piece in found[:first_long])
    assert all(len(piece) > 1 for piece in found[first_long:])
    assert set("".join(found[first_long:])) <= set(found[:first_long])
    assert {"の", "、", "。", "日"} <= set(found[:first_long])


def test_a_new_character_comes_from_its_bytes():
    base = byte_fallback_base()
    extension = SMALL.extend(base, corpus())
    vocab = base.get_vocab()
    sources = dict(zip(pieces(extension), extension.sources, strict=True))
    assert sources["日"] == [vocab[f"<0x{byte:02X}>"] for byte in "日".encode()]
    assert sources["日本"] == sources["日"] + sources["本"]


def test_a_byte_level_piece_comes_from_what_the_base_made_of_it():
    base = byte_level_base()
    extension = SMALL.extend(base, corpus())
    sources = dict(zip(pieces(extension), extension.sources, strict=True))
    assert sources["日本語"] == base("日本語", add_special_tokens=False)["input_ids"]


def test_pieces_stay_within_one_script():
    for piece in pieces(SMALL.extend(byte_fallback_base(), corpus())):
        kinds = {"kanji" if "一" <= char <= "鿿" else "kana" if "ぁ" <= char <= "ゖ" else char for char in piece}
        assert len(piece) == 1 or len(kinds & {"kanji", "kana"}) < 2, piece


def test_the_family_of_japanese_scripts_may_be_spanned():
    found = pieces(ContinuedBpe(size=200, min_frequency=3, within=Within.family).extend(byte_fallback_base(), corpus()))
    assert "時間がかかる" in found


def test_no_piece_is_ascii_or_a_space_or_longer_than_allowed():
    for base in (byte_fallback_base(), byte_level_base()):
        extension = ContinuedBpe(size=200, min_frequency=2, max_piece_length=3).extend(base, corpus())
        surfaces = token_surfaces(extension.tokenizer)
        for id_ in extension.new_ids:
            assert min(surfaces[id_]) >= 0x80
            assert "▁" not in surfaces[id_].decode(errors="replace")
            assert sum(byte & 0xC0 != 0x80 for byte in surfaces[id_]) <= 3


def test_rare_characters_and_pairs_stay_out():
    texts = ["猫と犬"] * 4 + ["猫と鳥"] * 2
    found = pieces(ContinuedBpe(size=50, min_frequency=4).extend(byte_fallback_base(), texts))
    assert "猫" in found and "と" in found and "犬" in found
    assert "鳥" not in found


def test_what_saves_most_gets_in():
    """の saves two tokens 30 times, 猫 two 20 times, 犬 two 3 times; の猫 would save one 20 times."""
    texts = ["の猫"] * 20 + ["の犬"] * 3 + ["の"] * 7
    extend = ContinuedBpe(size=3, min_frequency=2, within=Within.family).extend
    assert pieces(extend(byte_fallback_base(), texts)) == ["の", "猫", "の猫"]


def test_saved_tokens_are_counted_exactly():
    """The tokens of the corpus fall by what each entry is said to save."""
    base, texts = byte_fallback_base(), corpus()
    bpe = Bpe.read(base)
    characters, runs = SMALL._count(bpe, texts)
    candidates = SMALL._characters(bpe, characters)
    found, merges = SMALL._pieces(bpe, candidates, runs)
    chosen, state = _living(bpe, [*candidates, *found], merges, 120)
    extended = rebuilt(base, state)
    before, after = (sum(len(tokenizer.tokenize(text)) for text in texts) for tokenizer in (base, extended))
    assert before - after == sum(entry.saved for entry in chosen)


def test_a_piece_is_never_without_its_parts():
    base = byte_fallback_base()
    for size in (5, 17, 60, 120):
        extension = ContinuedBpe(size=size, min_frequency=2).extend(base, corpus())
        assert len(extension.new_ids) == size
        state = json.loads(extension.tokenizer.backend_tokenizer.to_str())
        old = len(Bpe.read(base).state["model"]["merges"])
        for left, right in state["model"]["merges"][old:]:
            assert {left, right, left + right} <= state["model"]["vocab"].keys()


def test_added_tokens_above_the_vocabulary_keep_their_ids():
    """`tokenizers` numbers them by the size of the vocabulary when it loads a file that names them only as added."""
    base = byte_level_base()
    extension = SMALL.extend(base, corpus())
    assert base.convert_tokens_to_ids(["<s>", "</s>", "<pad>"]) == [330, 331, 332]
    assert extension.tokenizer.convert_tokens_to_ids(["<s>", "</s>", "<pad>"]) == [330, 331, 332]
    assert extension.new_ids[0] == 333
    assert extension.tokenizer("<s>日本</s>", add_special_tokens=False)["input_ids"][0] == 330


def test_words_that_only_ignore_merges_reaches_are_left_alone():
    """A vocabulary entry without merges is found as a whole word only; a merge that made it would change old texts."""
    base = byte_level_base()
    state = json.loads(base.backend_tokenizer.to_str())
    hidden = "".join(Bpe.read(base).byte_pieces[byte] for byte in "学習".encode())
    state["model"]["vocab"][hidden] = 333
    for token in state["added_tokens"]:
        state["model"]["vocab"][token["content"]] = token["id"]
    base = rebuilt(base, state)
    assert base("学習", add_special_tokens=False)["input_ids"] == [333]
    extension = SMALL.extend(base, corpus())
    cuts = Cuts.of(base, extension, [*random_texts(100), "学習", "学習を", "を学習"])
    assert {promise: lines for promise, lines in breaches(cuts).items() if lines} == {}


def test_a_normalizer_is_applied_before_learning():
    from tokenizers import normalizers

    base = byte_level_base()
    state = json.loads(base.backend_tokenizer.to_str())
    state["normalizer"] = json.loads(normalizers.NFC().__getstate__())
    base = rebuilt(base, state)
    decomposed = ["か\u3099くせい"] * 9
    found = pieces(ContinuedBpe(size=20, min_frequency=3).extend(base, decomposed))
    assert "がくせい" in found
    assert not any("\u3099" in piece for piece in found)


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_with_and_without_a_leading_space(prefix):
    """Llama 2 puts a `▁` before a text; runs must be cut as they are inside one."""
    base = byte_fallback_base()
    state = json.loads(base.backend_tokenizer.to_str())
    state["normalizer"] = None
    scheme = "always" if prefix else "never"
    state["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
    base = rebuilt(base, state)
    extension = SMALL.extend(base, corpus())
    assert "トークン" in pieces(extension)
    cuts = Cuts.of(base, extension, random_texts(100))
    assert {promise: lines for promise, lines in breaches(cuts).items() if lines} == {}


def test_max_characters_reads_only_the_beginning():
    texts = ["猫" * 10, "犬" * 90]
    found = pieces(ContinuedBpe(size=9, min_frequency=2, max_characters=15).extend(byte_fallback_base(), texts))
    assert {char for piece in found for char in piece} == {"猫", "犬"}
    found = pieces(ContinuedBpe(size=9, min_frequency=2, max_characters=10).extend(byte_fallback_base(), texts))
    assert {char for piece in found for char in piece} == {"猫"}


def test_an_english_corpus_has_nothing_to_add():
    with pytest.raises(KonomiError, match="no run of non-ASCII letters"):
        SMALL.extend(byte_fallback_base(), ENGLISH)


def test_options_that_ask_for_nothing_are_faults():
    wrong = ContinuedBpe(size=0, min_frequency=0, max_piece_length=0, max_characters=-1)
    assert [fault.where for fault in wrong.check()] == ["size", "min_frequency", "max_piece_length", "max_characters"]
    assert list(ContinuedBpe().check()) == []


@pytest.mark.parametrize(
    ("base", "digest"), [(byte_fallback_base, "9086bcbb79d4029c"), (byte_level_base, "121b2e4a76846e23")]
)
def test_another_result_is_another_version(base, digest):
    """Keys hold the plugin's version: raise it in `@register` together with these digests."""
    extension = SMALL.extend(base(), corpus())
    merges = json.loads(extension.tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    made = [merges, extension.tokenizer.convert_ids_to_tokens(extension.new_ids), extension.sources]
    assert hashlib.sha256(json.dumps(made, ensure_ascii=False).encode()).hexdigest()[:16] == digest
    assert registry.get_entry("vocab", "continued_bpe").version == 1


def tokenizer_of(model, **parts):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(model)
    for name, part in parts.items():
        setattr(backend, name, part)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def test_other_models_than_bpe_are_refused_with_the_reason():
    from tokenizers import models

    refused = {
        "Unigram": models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, byte_fallback=False),
        "WordPiece": models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"),
        "WordLevel": models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"),
    }
    for name, model in refused.items():
        with pytest.raises(KonomiError, match=f"continues BPE; this tokenizer is {name}, which .*merges"):
            SMALL.extend(tokenizer_of(model), corpus())


def test_bpe_that_cannot_be_continued_is_refused_with_the_reason():
    from tokenizers import models, pre_tokenizers

    letters = {char: index for index, char in enumerate("abc")}
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    refused = {
        "neither byte fallback nor byte-level": tokenizer_of(models.BPE(letters, [])),
        "drops merges at random": tokenizer_of(models.BPE(letters, [], dropout=0.1), pre_tokenizer=level),
        "marks pieces by their place": tokenizer_of(models.BPE(letters, [], end_of_word_suffix="</w>")),
        "256 byte pieces are missing": tokenizer_of(models.BPE(letters, []), pre_tokenizer=level),
    }
    for why, tokenizer in refused.items():
        with pytest.raises(KonomiError, match=why):
            SMALL.extend(tokenizer, corpus())


def test_fallback_bytes_that_are_merged_are_refused():
    base = byte_fallback_base()
    state = json.loads(base.backend_tokenizer.to_str())
    state["model"]["vocab"]["<0xE6><0x97>"] = len(base)
    state["model"]["merges"].append(["<0xE6>", "<0x97>"])
    with pytest.raises(KonomiError, match="merges fallback bytes"):
        SMALL.extend(rebuilt(base, state), corpus())


def test_the_two_schemes_are_told_apart():
    assert Bpe.read(byte_fallback_base()).scheme is Scheme.byte_fallback
    assert Bpe.read(byte_level_base()).scheme is Scheme.byte_level


def test_the_suite_notices_merges_that_do_not_stand_last():
    """A merge with priority over the old ones (score 0 in SentencePiece) cuts across an old piece."""
    base, text = byte_level_base(), JAPANESE[0]
    tokens = base.tokenize(text)
    at = next(index for index, token in enumerate(tokens) if index and len(token) > 1)
    left, right = tokens[at - 1][-1], tokens[at][0]
    assert left + right not in base.get_vocab()
    for last, breached in ((True, False), (False, True)):
        state = Bpe.read(base).extended([left + right], [(left, right)])
        merges = state["model"]["merges"]
        state["model"]["merges"] = merges if last else [merges[-1], *merges[:-1]]
        vocab = base.get_vocab()
        extension = Extension(rebuilt(base, state), [len(base)], [[vocab[left], vocab[right]]])
        assert bool(list(not_coarser(Cuts.of(base, extension, [text])))) is breached


def test_the_suite_notices_dead_pieces_wrong_sources_and_ascii_pieces():
    base = byte_fallback_base()
    extension = SMALL.extend(base, corpus())
    state = json.loads(extension.tokenizer.backend_tokenizer.to_str())

    no_merges = json.loads(json.dumps(state))
    no_merges["model"]["merges"] = Bpe.read(base).state["model"]["merges"]
    assert len(list(dead(Extension(rebuilt(base, no_merges), extension.new_ids, extension.sources)))) > 40

    wrong = [extension.sources[1], *extension.sources[1:]]
    assert len(list(misplaced(base, Extension(extension.tokenizer, extension.new_ids, wrong)))) == 1

    piece = "zq"
    assert piece not in base.get_vocab()
    ascii_ = Bpe.read(base).extended([piece], [("z", "q")])
    sources = [base(piece, add_special_tokens=False)["input_ids"]]
    grown = Extension(rebuilt(base, ascii_), [len(base)], sources)
    assert list(changed_ascii(Cuts.of(base, grown, [f"a {piece} b"])))


def test_the_learning_is_the_same_in_another_process_with_another_hash_seed():
    program = (
        "import json, sys\n"
        "from konomi.testing.vocab import byte_level_base, corpus\n"
        "from konomi.vocab.continued_bpe import ContinuedBpe\n"
        "extension = ContinuedBpe(size=200, min_frequency=3).extend(byte_level_base(), corpus())\n"
        "print(extension.tokenizer.backend_tokenizer.to_str())\n"
    )
    env = {**os.environ, "PYTHONHASHSEED": "4", "RAYON_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout
    here = SMALL.extend(byte_level_base(), corpus()).tokenizer.backend_tokenizer.to_str()
    assert json.loads(found) == json.loads(here)


@pytest.mark.slow
def test_real_japanese_takes_a_third_of_an_english_tokenizers_tokens(real_rows):
    from konomi.vocab._contract import encode
    from konomi.vocab._fertility import Meter

    texts = [row["text"] for row in real_rows("aozora_ja")[:120]]
    train = [text for index, text in enumerate(texts) if index % 10]
    held_out = [line for index, text in enumerate(texts) if not index % 10 for line in text.splitlines() if line][:1500]
    base = byte_fallback_base()
    extension = ContinuedBpe(size=2000).extend(base, train)
    cuts = Cuts.of(base, extension, held_out)
    assert {promise: lines for promise, lines in breaches(cuts).items() if lines} == {}
    before = Meter(base).measure(held_out, cuts.before)
    after = Meter(extension.tokenizer).measure(held_out, encode(extension.tokenizer, held_out))
    assert before.characters_per_token < 0.36
    assert after.tokens / before.tokens < 0.36
    assert after.coverage > 0.94
