"""Texts by hand: length, language, repeated runs of words, garbled characters, scripts."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import columns
from stages.score.wording import (
    MeasureTexts,
    garble,
    han_share,
    language,
    of_text,
    repetition,
    tokens,
)


def measured(*texts: str | None) -> list[dict[str, Any]]:
    rows = [{"id": f"{n}", "best_text": text} for n, text in enumerate(texts)]
    return list(MeasureTexts().open()(columns.table(rows, ["id", "best_text"])).to_pylist())


def script(text: str) -> str:
    """In the letters that mathematicians have for bold script."""
    return "".join(chr(0x1D4EA + ord(letter) - ord("a")) if letter.isalpha() else letter for letter in text)


def test_a_text_by_the_stage() -> None:
    """One row each; without a text, or with blanks only, everything is null."""
    said, none, blank = measured("Ein Hund läuft durch den Park.", None, " \n")
    assert (30, "de", 0.0, 0.0, 0.0) == tuple(said[name] for name in MeasureTexts.writes)
    assert {None} == {row[name] for row in (none, blank) for name in (*MeasureTexts.writes, "error")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man in a red jacket is riding a brown horse across the field.", "en"),
        ("A DOG RUNS IN THE PARK", "en"),
        ("Ein Mann reitet auf einem braunen Pferd über das Feld.", "de"),
        ("Un homme monte un cheval brun à travers le champ.", "fr"),
        ("Мужчина едет верхом на коричневой лошади по полю.", "ru"),
        ("一个穿红色夹克的男人骑着一匹棕色的马穿过田野。", "zh"),
        ("犬が公園を走っています。", "ja"),
        ("개가 공원에서 달리고 있다.", "ko"),
        ("dog", None),
        ("IMG_2033", None),
        ("1234 5678 !!!", None),
        ("اَلْعَرَبِيَّةُ", "ar"),
        ("בְּרֵאשִׁית בָּרָא אֱלֹהִים", "he"),
        ("\ufe8d\ufedf\ufecc\ufeae\ufe91\ufef4\ufe94", "ar"),
        ("ete\u0301 a\u0300 la plage, e\u0301te\u0301 a\u0300 la mer", "fr"),
        ("ما به خانه می\u200cرویم", "fa"),
        ("\u202eabc\u202c def", None),
        (script("hello world"), None),
        (script("a man in a red jacket is riding a brown horse"), "en"),
        ("🐶🐶🐶", None),
    ],
)
def test_language_of(text: str, expected: str | None) -> None:
    """As its label says; null where the model is not sure, or has nothing to go by."""
    assert expected == language(text)


def test_the_language_is_found_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model comes with the package; no connection is ever opened. Line ends do not matter."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert "en" == language("Two children are playing\nwith a ball\r\non the beach.")


def test_the_whole_text_counts() -> None:
    """Not its first 80 characters only."""
    assert "de" == language("Photo by John Smith. " + "Die Kinder spielen am Strand mit einem Ball. " * 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop: 3 red cars, don\u2019t!", ["don't", "stop", "3", "red", "cars", "don\u2019t"]),
        ("一只狗 runs。", ["一", "只", "狗", "runs"]),
        ("コーヒーを飲む", ["コ", "ー", "ヒ", "ー", "を", "飲", "む"]),
        ("개가 달린다", ["개", "가", "달", "린", "다"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("… — !", []),
    ],
)
def test_tokens_of(text: str, expected: list[str]) -> None:
    """Words without case; of Han, Kana and Hangul each character."""
    assert expected == tokens(text)


def test_repeated_runs_by_hand() -> None:
    """ "a b c d" three times: of nine runs of four, a b c d and its three turns are distinct: 1 - 4/9. Seven
    words without repetition: four runs, all distinct. Chinese by characters: 狗在跑 three times, six runs of
    which three are distinct."""
    assert repetition("a b c d a b c d a b c d") == pytest.approx(1 - 4 / 9)
    assert 0.0 == repetition("one two three four five six seven")
    assert repetition("狗在跑狗在跑狗在跑") == pytest.approx(1 - 3 / 6)
    assert repetition("no no no no no") == pytest.approx(1 / 2)
    assert [None, None, 0.0] == [repetition(t) for t in ("one two three", "", "one two three four")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好世界", None),
        ("Мужчина едет верхом на коричневой лошади.", None),
        ("El niño corrió rápidamente por la montaña.", "es"),
        ("Die Kinder spielen am Strand, während die Möwen fliegen.", "de"),
    ],
)
def test_garble_is_in_no_language(text: str, expected: str | None) -> None:
    """UTF-8 read as Latin-1: only where most letters are sound does a language show."""
    assert expected == language(text.encode().decode("latin1"))


@given(st.lists(st.sampled_from(["red", "dog", "狗", "runs"]), min_size=4, max_size=40))
def test_repetition_is_a_share(words: list[str]) -> None:
    """From 0 to below 1; of a text of r runs that is said twice, at least r of 2 r + 3 repeat one."""
    once, twice = repetition(" ".join(words)), repetition(" ".join(words * 2))
    assert once is not None and twice is not None
    runs = len(words) - 3
    assert 0 <= once < 1 and runs / (2 * runs + 3) - 1e-9 <= twice < 1


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("cafÃ© au lait", 3),
        ("schÃ¶n", 2),
        ("a\ufffdb", 1),
        ("a\x00b\x1b[0m", 2),
        ("a\ue000b", 1),
        ("a\u0378b", 1),
        ("a\tb\r\nc", 0),
        ("naïve café, l\u2019été — déjà vu… “so”", 0),
        ("👩‍👩‍👧 犬が走る собака", 0),
    ],
)
def test_garbled_characters(text: str, broken: int) -> None:
    """ftfy's badness marks "fÃ©" and "Ã¶"; U+FFFD, control characters, private use and an unassigned
    place count one each; foreign words, dashes, quotes and joined emoji are well."""
    assert garble(text) == pytest.approx(broken / len(text))


def test_han_share_by_hand() -> None:
    """Three of six letters; Kana is no Han; digits and punctuation are no letters."""
    assert 0.5 == han_share("一只狗 dog!")
    assert 0.25 == han_share("犬です。か")
    assert 0.0 == han_share("a dog, 3 cats")
    assert None is han_share("123 …")


@given(st.text())
def test_any_text_has_its_measures(text: str) -> None:
    """Whatever arrives: shares stay shares, and nothing raises."""
    found = of_text(text)
    shares = [found[name] for name in ("text_repetition", "text_garble", "text_han_share")]
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert found["text_chars"] in (None, len(text))
