"""Tables for people fit their line, hold one row a line, and obey no text."""

import pyarrow as pa

from pipeline.show import aligned, as_text, cut


def test_numbers_stand_to_the_right() -> None:
    """Columns of numbers are aligned at their last digit, texts at their first letter."""
    expected = "name    n\nblack   5\nflat   12"
    assert expected == aligned(["name", "n"], [["black", 5], ["flat", 12]])


def test_the_widest_columns_shrink_first() -> None:
    """In 20 cells the long text gives way and says so; numbers are never cut."""
    rows = pa.table({"n": [12345678901], "text": ["a quick brown fox"]})
    first, second, note = as_text(rows, 20).splitlines()
    assert ("          n text", "12345678901 a quick…") == (first, second)
    assert "--wide" in note
    assert "a quick brown fox" in as_text(rows)


def test_a_line_feed_makes_no_row() -> None:
    """What would draw another line, steer the terminal or turn the writing around is shown, not done."""
    rows = pa.table({"text": ["a\nlive 1000000\x1b[2J\u202e"]})
    assert "text\na\\nlive 1000000\\x1b[2J\\u202e" == as_text(rows)


def test_wide_letters_count_twice() -> None:
    """Chinese takes two cells a character."""
    assert "中文…" == cut("中文字幕", 5)
    assert "text  n\n中文  1\nab    2" == aligned(["text", "n"], [["中文", 1], ["ab", 2]])


def test_no_rows() -> None:
    """An empty answer is its head."""
    assert "a  b" == as_text(pa.table({"a": [], "b": []}))
