"""Continued BPE."""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from konomi.faults import Fault, KonomiError
from konomi.registry import register
from konomi.vocab import Extension
from konomi.vocab._runs import Within

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from konomi.vocab._bpe import Bpe
    from konomi.vocab._merges import Ids

RUNS_AT_ONCE = 1 << 13
LONGEST_UTF8 = 4
"""Bytes that a character can take in UTF-8."""
SPARE = 1.25
"""Merges learnt for each entry asked for: some fall away (too long, already in the vocabulary, cut a character)."""
OTHER_SPACES_AND_CONTROLS = "CZ"
"""Unicode categories of which no new character is made, the ideographic space excepted."""
IDEOGRAPHIC_SPACE = "\u3000"
WORD_MARK = "▁"
"""How SentencePiece writes a space; a new piece that held it alone would change ASCII text."""


@dataclass(frozen=True)
class Entry:
    """A candidate for the vocabulary."""

    piece: str
    """As `tokenizer.json` writes it."""
    sources: Ids
    """The base ids that spelt it."""
    saved: int
    """Tokens that it saves on the corpus."""
    parts: tuple[str, str] | None = None
    """The two pieces that it was first made of; None for a character."""


@register("vocab", "continued_bpe")
@dataclass(frozen=True)
class ContinuedBpe:
    """Add pieces to a BPE tokenizer by going on with its merges, learnt from the base's own cuts of a corpus.

    The new merges stand after all old ones, so a text is first cut as before and then cut less: every new token is a
    run of old ones (a coarsening), and ASCII text, which has no new piece, is tokenised bit for bit as before. Where
    the base falls back on bytes, frequent characters are added first. What saves most tokens on the corpus gets in.

    Sources: continued BPE training (arXiv 2512.03989); Swallow's vocabulary expansion of Llama 2 (arXiv 2404.17790).

    >>> from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    >>> from transformers import PreTrainedTokenizerFast
    >>> backend = Tokenizer(models.BPE())
    >>> backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    >>> backend.decoder = decoders.ByteLevel()
    >>> letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    >>> trainer = trainers.BpeTrainer(initial_alphabet=letters, vocab_size=262, show_progress=False)
    >>> backend.train_from_iterator(["a cat, a hat"] * 9, trainer)
    >>> base = PreTrainedTokenizerFast(tokenizer_object=backend)
    >>> extension = ContinuedBpe(size=8, min_frequency=2).extend(base, ["日本語の日本", "日本"])
    >>> text = "a cat は日本語の本"
    >>> len(base.tokenize(text)), len(extension.tokenizer.tokenize(text))
    (21, 15)
    """

    size: int = 11_176
    """Largest number of new entries; the default is Swallow's addition to Llama 2's 32,000."""
    min_frequency: int = 5
    """Fewest occurrences in the corpus of a new character, or of the pair behind a new piece."""
    max_piece_length: int = 16
    """Longest new piece in characters (SentencePiece's default)."""
    within: Within = Within.script
    """What a piece may span: one `script` (kanji, hiragana, katakana apart), or the `family` of Japanese scripts."""
    max_characters: int = 50_000_000
    """Characters of the corpus to learn from, from its beginning; 0 takes all. 12 million take 0.7 GB of memory."""

    def check(self) -> Iterable[Fault]:
        """Yield options that ask for nothing, or for the impossible."""
        for name, least in (("size", 1), ("min_frequency", 1), ("max_piece_length", 1), ("max_characters", 0)):
            if getattr(self, name) < least:
                yield Fault(name, f"{getattr(self, name)} is below {least}", f"type {name}={least} or more")

    def depends(self) -> Mapping[str, Any]:
        return {"tokenizers": importlib.metadata.version("tokenizers"), "unicode": unicodedata.unidata_version}

    def extend(self, tokenizer: PreTrainedTokenizerFast, corpus: Iterable[str]) -> Extension:
        """Return the extended tokenizer; raises `KonomiError` where its kind cannot be continued by merges."""
        from konomi.vocab._bpe import Bpe, rebuilt

        bpe = Bpe.read(tokenizer)
        characters, runs = self._count(bpe, corpus)
        candidates = self._characters(bpe, characters)
        pieces, merges = self._pieces(bpe, candidates, runs)
        chosen, state = _living(bpe, [*candidates, *pieces], merges, self.size)
        if not chosen:
            raise KonomiError(
                f"nothing to add: the corpus ({characters.total()} characters) has no run of non-ASCII letters that"
                f" occurs {self.min_frequency} times or more and is more than one token; give a corpus of the language,"
                " or lower min_frequency"
            )
        new_ids = list(range(bpe.first_new_id, bpe.first_new_id + len(chosen)))
        return Extension(rebuilt(tokenizer, state), new_ids, [list(entry.sources) for entry in chosen])

    def _count(self, bpe: Bpe, corpus: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
        """Return how often each character and each run of letters occurs."""
        from konomi.vocab._runs import pattern

        characters: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        normalizer = bpe.normalizer()
        find = pattern(self.within).findall
        left = self.max_characters
        for text in corpus:
            if self.max_characters:
                text = text[:left]
                left -= len(text)
            letters = normalizer.normalize_str(text) if normalizer else text
            characters.update(letters)
            runs.update(find(letters))
            if self.max_characters and not left:
                break
        return characters, runs

    def _characters(self, bpe: Bpe, counted: Mapping[str, int]) -> list[Entry]:
        """Return the characters that the base spells in bytes, most saving first; none in a byte-level tokenizer."""
        from konomi.vocab._bpe import Scheme

        if bpe.scheme is Scheme.byte_level:
            return []
        entries = [
            Entry(char, bpe.spelt_in_bytes(char), saved=times * (len(char.encode()) - 1))
            for char, times in counted.items()
            if times >= self.min_frequency and char not in bpe.vocab and _may_be_a_piece(char)
        ]
        return sorted(entries, key=lambda entry: (-entry.saved, entry.piece))

    def _pieces(
        self, bpe: Bpe, characters: Sequence[Entry], runs: Mapping[str, int]
    ) -> tuple[list[Entry], list[tuple[str, str]]]:
        """Return the pieces that continued merging makes, and the merges in their order."""
        from konomi.vocab._bpe import Scheme
        from konomi.vocab._merges import learn_merges

        words: Counter[Ids] = Counter()
        for run, ids in _words(bpe, [entry.piece for entry in characters], sorted(runs)):
            words[ids] += runs[run]
        piece_of = {id_: piece for piece, id_ in bpe.vocab.items()}
        sources_of: dict[int, Ids] = {}
        for id_, entry in enumerate(characters, bpe.first_new_id):
            piece_of[id_], sources_of[id_] = entry.piece, entry.sources
        bytes_per_character = 1 if bpe.scheme is Scheme.byte_fallback else LONGEST_UTF8
        longest = self.max_piece_length * bytes_per_character
        learnt = learn_merges(words, int(self.size * SPARE), min_frequency=self.min_frequency, longest=longest)

        entries: dict[str, Entry] = {}
        merges: list[tuple[str, str]] = []
        for merge in learnt:
            left, right = ("".join(piece_of[id_] for id_ in part) for part in (merge.left, merge.right))
            piece, ids = left + right, merge.left + merge.right
            if piece in bpe.vocab or not self._short_enough(bpe, ids, piece_of):
                continue
            merges.append((left, right))
            if piece in entries:  # the base cuts one text in two ways, by what stands beside it
                entries[piece] = replace(entries[piece], saved=entries[piece].saved + merge.applied)
            else:
                sources = tuple(source for id_ in ids for source in sources_of.get(id_, (id_,)))
                entries[piece] = Entry(piece, sources, merge.applied, (left, right))
        return list(entries.values()), list(dict.fromkeys(merges))

    def _short_enough(self, bpe: Bpe, ids: Ids, piece_of: Mapping[int, str]) -> bool:
        surface = b"".join(bpe.surfaces.get(id_) or piece_of[id_].encode() for id_ in ids)
        return sum(not _continues(byte) for byte in surface) <= self.max_piece_length


def _continues(byte: int) -> bool:
    """Tell whether a byte is inside a UTF-8 character, not at its beginning."""
    from konomi.vocab._bpe import FIRST_NON_ASCII_BYTE

    return byte & 0b1100_0000 == FIRST_NON_ASCII_BYTE


def _may_be_a_piece(char: str) -> bool:
    from konomi.vocab._runs import FIRST_NON_ASCII

    if ord(char) < FIRST_NON_ASCII or char == WORD_MARK:
        return False
    return char == IDEOGRAPHIC_SPACE or unicodedata.category(char)[0] not in OTHER_SPACES_AND_CONTROLS


def _words(bpe: Bpe, new_characters: Sequence[str], runs: Sequence[str]) -> Iterator[tuple[str, Ids]]:
    """Yield the runs as base ids, cut where the pre-tokenizer cuts and where bytes are left for a rare character."""
    from konomi.vocab._bpe import Scheme

    segmenter = bpe.segmenter(new_characters)
    closed = {bpe.vocab[piece] for piece in bpe.byte_pieces} if bpe.scheme is Scheme.byte_fallback else set()
    for start in range(0, len(runs), RUNS_AT_ONCE):
        some = runs[start : start + RUNS_AT_ONCE]
        for run, encoding in zip(some, segmenter.encode_batch(some, add_special_tokens=False), strict=True):
            word: list[int] = []
            in_word = None
            for id_, word_id in zip(encoding.ids, encoding.word_ids, strict=True):
                if word_id != in_word or id_ in closed:
                    if len(word) > 1:
                        yield run, tuple(word)
                    word, in_word = [], word_id
                if id_ not in closed:
                    word.append(id_)
            if len(word) > 1:
                yield run, tuple(word)


def _living(
    bpe: Bpe, candidates: Sequence[Entry], merges: Sequence[tuple[str, str]], size: int
) -> tuple[list[Entry], dict[str, Any]]:
    """Return the chosen entries and the `tokenizer.json` with them, every one of which some text is cut into.

    A merge learnt where the base cuts a text in one way also applies where it cuts it in another, and may then
    forestall a piece; such a piece is left out, and the next best takes its place.
    """
    from konomi.vocab._bpe import dead_pieces

    dead: set[str] = set()
    while True:
        chosen = _most_saving(bpe, [entry for entry in candidates if entry.piece not in dead], size)
        pieces = {entry.piece for entry in chosen}
        known = pieces.union(bpe.vocab)
        kept = [(left, right) for left, right in merges if left + right in pieces and {left, right} <= known]
        state = bpe.extended([entry.piece for entry in chosen], kept)
        unreached = dead_pieces(state, [entry.piece for entry in chosen])
        if not unreached:
            return chosen, state
        dead.update(unreached)


def _most_saving(bpe: Bpe, candidates: Sequence[Entry], size: int) -> list[Entry]:
    """Return at most `size` candidates, those that save most, in the order given; a piece comes with its parts.

    A piece is made at least as often as the pieces made of it, so by savings the parts come first.
    """
    known = set(bpe.vocab)
    chosen: set[str] = set()
    for entry in sorted(candidates, key=lambda entry: -entry.saved):
        if len(chosen) < size and known.issuperset(entry.parts or ()):
            known.add(entry.piece)
            chosen.add(entry.piece)
    return [entry for entry in candidates if entry.piece in chosen]
