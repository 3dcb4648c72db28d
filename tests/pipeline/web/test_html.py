"""Text from data stays text, whatever it says; the page asks nobody for anything."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web.html import Html, escaped, hours, number, page, table, tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('" onload="x', "&quot; onload=&quot;x"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)"),
    ],
)
def test_data_is_inert(text: str, expected: str) -> None:
    """In an element and in an attribute alike."""
    assert f"<p>{expected}</p>" == tag("p", text)
    assert f'<p title="{expected}"></p>' == tag("p", title=text)


@given(st.text())
def test_no_text_opens_anything(text: str) -> None:
    """Whatever a text holds, no bracket and no quote of it is left."""
    assert not set("<>\"'") & set(escaped(text))


def test_markup_is_not_escaped_twice() -> None:
    """What was made by `tag` is markup."""
    assert "<p><b>&amp;</b></p>" == tag("p", tag("b", "&"))
    assert isinstance(tag("p"), Html)


def test_void_elements_have_no_end() -> None:
    """HTML's img has none; SVG's rect, which a parser would nest otherwise, has."""
    assert '<img src="data:,">' == tag("img", src="data:,")
    assert '<rect class="live"></rect>' == tag("rect", class_="live")


def test_a_table_has_its_caption_and_aligned_numbers() -> None:
    """A column of numbers and its head stand to the right."""
    found = table("Rows", ["step", "rows"], [["split", 1234]])
    assert "<caption>Rows</caption>" in found
    assert '<th scope="col" class="number">rows</th>' in found
    assert '<td class="number">1,234</td>' in found


@pytest.mark.parametrize(
    ("value", "expected"), [(None, ""), (1234567, "1,234,567"), (0.123456, "0.1235"), (98765.4, "98,765")]
)
def test_numbers(value: float | None, expected: str) -> None:
    """Whole numbers by thousands, others to four digits."""
    assert expected == number(value)


def test_hours() -> None:
    """Below an hour in minutes."""
    assert ["30 min", "1.5 h"] == [hours(0.5), hours(1.5)]


def test_the_policy_allows_nothing_but_this_style() -> None:
    """The style is named by its digest; scripts, frames and addresses are not allowed at all."""
    style = "p { color: red }"
    found = page("t", style, [tag("p", "x")])
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', found)
    assert policy is not None
    allowed = policy[1].replace("&#x27;", "'")
    assert "default-src 'none'" in allowed and f"style-src 'sha256-{digest}'" in allowed
    assert "unsafe" not in allowed and "http" not in allowed
