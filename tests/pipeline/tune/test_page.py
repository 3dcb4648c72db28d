"""The tuning page in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from manifests.manifest import Manifest
from pipeline.report import write_report
from pipeline.tune.app import app
from pipeline.tune.serve import bound
from pipeline.tune.terminal import desk
from tests.pipeline.local import run_here

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="Debian's chromium is absent: apt-get install chromium"),
    pytest.mark.xdist_group("chromium"),
]
TOKEN = "a-token"
EXPORT = "ask('export', { name: S.name }).then((told) => told.html)"
HOSTILE = '<script>window.hacked=1</script><img src=x onerror="window.hacked=2">\x1b[31m=HYPERLINK("http://evil.example")'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--disable-sync"])
        yield made
        made.close()


@contextmanager
def served(out: Path, save: Path | None = None, against: Path | None = None) -> Iterator[str]:
    """The address of the page over a work directory, on a port of its own."""
    with bound(0) as listener:
        config = uvicorn.Config(
            app(desk(out, "default", (), save, str(against) if against else None), TOKEN),
            log_level="error",
            access_log=False,
            ws="none",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def opened(browser: Any, address: str, state: dict[str, Any] | None = None) -> Iterator[Any]:
    """The page, ready; every request must go to it, and no script may fail."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    asked, failed = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(f"{address}?t={TOKEN}" + (f"#{json.dumps(state)}" if state else ""))
    page.wait_for_selector("body[data-settled]")
    page.wait_for_selector("#chart svg")
    yield page
    page.close()
    assert [] == failed
    assert [] == [url for url in asked if not url.startswith((address, "data:", "blob:"))]


def kept(page: Any, changes: str = "") -> int:
    """The kept count, once the page shows what it was last asked."""
    page.wait_for_function("text => document.body.dataset.settled.includes(text)", arg=changes)
    return int(page.get_attribute("#kept", "data-rows"))


def drag(page: Any, share: float) -> None:
    """Drag the threshold to a share of the picture's width."""
    grip, picture = page.locator("#grip rect").bounding_box(), page.locator("#chart svg").bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    for part in (0.5, 1.0):
        here = grip["x"] + (picture["x"] + share * picture["width"] - grip["x"]) * part
        page.mouse.move(here, picture["y"] + 60)
    page.mouse.up()


def moved(page: Any) -> float:
    return float(page.evaluate("S.changes.not_blurred.max"))


def test_a_dragged_threshold_keeps_what_the_run_keeps(
    browser: Any, finished: Path, corpus: Path, tmp_path: Path
) -> None:
    """Drag, read the kept count, run the step filter with that value: the same number of rows."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        before = kept(page)
        drag(page, 0.5)
        value = moved(page)
        now = kept(page, f'"max":{value:g}'[:9])
        page.wait_for_function("() => !waiting.get('what_if').busy")
        now = int(page.get_attribute("#kept", "data-rows"))
    out = shutil.copytree(finished, tmp_path / "out")
    log = run_here(corpus, out, settings=[f"filter.not_blurred.max={value!r}"], only=["filter"])
    assert Manifest.open(out, "filter").record["counts"]["live"] == now < before
    assert (0, 0) == (log.steps["filter"]["decodes"], log.steps["filter"]["model_calls"])


def test_a_boundary_clip_plays(browser: Any, finished: Path) -> None:
    """A click plays the clip's part of its file, by byte range; it goes on while a threshold is moved and
    while more clips are shown."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        page.wait_for_selector("#panel .card .time")
        card = page.locator("#panel .card", has=page.locator(".time")).first
        card.locator(".picture").click()
        page.wait_for_function(
            "() => document.querySelector('#panel video')?.currentTime > 0.05", timeout=20_000
        )
        assert "#t=" in page.locator("#panel video").get_attribute("src")
        page.evaluate("document.querySelector('#panel video').dataset.mine = 'yes'")
        cards = page.locator("#panel .card").count()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("() => document.body.dataset.settled.includes('max')")
        page.wait_for_function("() => !waiting.get('panel').busy")
        assert not page.evaluate("document.querySelector('video[data-mine]').paused")
        # Not by the pointer: Chromium halts a muted film that is scrolled out of sight.
        page.evaluate("document.querySelector('#panel .more').click()")
        page.wait_for_function(
            "before => document.querySelectorAll('#panel .card').length > before", arg=cards
        )
        assert not page.evaluate("document.querySelector('video[data-mine]').paused")


def test_hovering_shows_other_frames(browser: Any, finished: Path) -> None:
    """The stored frames run under the pointer."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        picture = page.locator("#panel .card", has=page.locator(".time")).first.locator(".picture")
        image = picture.locator("img")
        first = image.get_attribute("src")
        for share in (0.95, 0.9, 0.85):
            # The panel may be drawn anew just now: the pointer moves on.
            box = picture.bounding_box()
            page.mouse.move(box["x"] + share * box["width"], box["y"] + 20)
            page.wait_for_timeout(200)
        assert first != image.get_attribute("src")


def test_votes_and_saving_by_keys_alone(browser: Any, finished: Path, tmp_path: Path) -> None:
    """j, g: a vote; arrow: a threshold; s, a note, Enter: the recipe differs in exactly that value. A blank
    note, or a recipe changed meanwhile, leaves the dialog open, the note in it, the new difference shown."""
    out, mine = shutil.copytree(finished, tmp_path / "out"), tmp_path / "mine.toml"
    text = "# ours\n[filter.not_blurred]\nmax = 0.6  # by hand\n"
    mine.write_text(text)
    with served(out, mine) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        page.wait_for_selector("#panel .card")
        page.keyboard.press("j")
        page.keyboard.press("g")
        page.wait_for_selector("#panel .card button[aria-pressed=true]")
        page.keyboard.press("Shift+ArrowLeft")
        value = moved(page)
        assert value < 0.6
        page.keyboard.press("s")
        page.wait_for_selector("#diff")
        assert text == mine.read_text()
        page.keyboard.type("   ")
        page.keyboard.press("Enter")
        page.wait_for_selector("#wrong:has-text('a note is needed')")
        page.fill("#note", "softer ones are no use")
        text += "# meanwhile\n"
        mine.write_text(text)
        page.keyboard.press("Enter")
        page.wait_for_selector("#wrong:has-text('meanwhile')")
        assert "softer ones are no use" == page.input_value("#note")
        page.wait_for_selector("#diff:has-text('# meanwhile')")
        page.keyboard.press("Enter")
        page.wait_for_selector("#saved")
    assert text.replace("0.6 ", f"{value:g} ") == mine.read_text()
    (vote,) = (out / "tune" / "votes.jsonl").read_text().splitlines()
    assert "good" == json.loads(vote)["vote"]
    assert "softer ones are no use" in (tmp_path / "mine.history.jsonl").read_text()


def test_the_state_stands_in_the_address(browser: Any, finished: Path) -> None:
    """A copied address shows the same thresholds and the same tab."""
    with served(finished) as address:
        with opened(browser, address, {"name": "not_blurred.max"}) as page:
            page.keyboard.press("Shift+ArrowLeft")
            page.keyboard.press("2")
            value = moved(page)
            count, copied = kept(page, f"{value:g}"), page.url
        with opened(browser, address) as page:
            page.goto(copied)
            page.reload()
            page.wait_for_selector("body[data-settled]")
            assert (count, value) == (kept(page), moved(page))
            assert "Waterfall" == page.locator("#tabs [aria-selected=true]").inner_text()


def test_two_recipes_differ_by_clips_that_are_seen(browser: Any, finished: Path, tmp_path: Path) -> None:
    """Against another recipe the changed clips are those that it judges otherwise."""
    other = tmp_path / "other.toml"
    other.write_text('name = "other"\n[filter.not_blurred]\nmax = 0.5\n')
    with served(finished, against=other) as address, opened(browser, address) as page:
        page.keyboard.press("5")
        page.select_option("#against", "other")
        page.wait_for_selector("#panel .card.stays .value, #panel .card.stays .caption")
        assert "Gained: 0" not in page.locator("#panel").inner_text()


def test_every_tab_shows_something(browser: Any, finished: Path) -> None:
    """The eight tabs by their keys, each with what is its own, without an error."""
    own = {
        "2": "caption:has-text('What each rule takes')",
        "3": "caption:has-text('fail two rules')",
        "4": "caption:has-text('Retention by corpus')",
        "5": "h3:has-text('Lost: 0')",
        "6": "h3:has-text('dedup.colour_levels = 8 levels')",
        "7": "caption:has-text('Failed rows'), p:has-text('No row failed')",
        "8": "p:has-text('0 good')",
        "1": ".card",
    }
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        for key, shown in own.items():
            page.keyboard.press(key)
            page.wait_for_selector(", ".join(f"#panel {one.strip()}" for one in shown.split(",")))
            assert page.locator("#error").is_hidden()


def test_text_from_data_stays_text(browser: Any, tmp_path: Path) -> None:
    """Markup, escape sequences and formulas of a caption are shown, and do nothing."""
    import cv2
    import numpy as np

    media = tmp_path / "media"
    media.mkdir()
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    assert cv2.imwrite(str(media / "a.jpg"), noise)
    (media / "a.txt").write_text(HOSTILE)
    (media / "a.jpg").rename(media / "b\n\u202e.jpg")
    (media / "a.txt").rename(media / "b\n\u202e.txt")
    out = tmp_path / "out"
    run_here(media, out, only=["ingest", "split", "score", "filter"])
    with served(out) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        page.wait_for_selector("#panel .card")
        assert "<script>window.hacked=1</script>" in page.locator("#panel .caption").first.inner_text()
        assert "main: b\\n\\u202e.jpg" == page.locator("#panel .uri").first.inner_text()
        exported = page.evaluate(EXPORT)
        assert page.evaluate("window.hacked === undefined")
    (tmp_path / "page.html").write_text(exported)
    write_report(out, tmp_path / "report.html")
    for name, shown in (("page.html", "#panel .card"), ("report.html", "img")):
        page, asked = browser.new_page(), list[str]()
        page.on("request", lambda request, seen=asked: seen.append(request.url))
        page.goto((tmp_path / name).as_uri())
        page.wait_for_selector(shown)
        assert page.evaluate("window.hacked === undefined")
        assert [] == [url for url in asked if not url.startswith(("file:", "data:"))]
        page.close()


def test_an_exported_page_needs_no_server(browser: Any, finished: Path, tmp_path: Path) -> None:
    """Opened from a disk it asks nobody, shows pictures, and moves a threshold along the values it knows."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        (tmp_path / "page.html").write_text(page.evaluate(EXPORT))
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("body[data-settled]")
    page.get_by_role("button", name="Show not_blurred.max").click()
    page.wait_for_selector("#panel .card img")
    assert page.evaluate("document.querySelector('#panel .card img').naturalWidth > 0")
    before = kept(page)
    drag(page, 0.4)
    page.wait_for_function("before => +document.querySelector('#kept').dataset.rows < before", arg=before)
    for key in "135":
        page.keyboard.press(key)
        page.wait_for_selector("#panel p:has-text('does not know this for a moved threshold')")
    page.keyboard.press("s")
    page.wait_for_selector("dialog p:has-text('the nearest value')")
    assert page.locator("#command").inner_text().startswith(f"make filter OUT={finished} SET=")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.wait_for_selector("#error:has-text('switches no rule')")
    assert page.is_checked("[aria-label='not_blurred on']")
    assert [] == [url for url in asked if not url.startswith(("file:", "data:"))]
    page.close()


def test_a_wrong_token_is_refused(browser: Any, finished: Path) -> None:
    """403, and words that say what to open."""
    with served(finished) as address:
        page = browser.new_page()
        answer = page.goto(f"{address}?t=wrong")
        assert 403 == answer.status
        assert "open the address that tune printed" in page.content()
        page.close()


def test_many_moves_end_in_the_last_one(browser: Any, finished: Path) -> None:
    """Questions that were overtaken are not asked, and what is shown is the answer to the last."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        for share in (0.3, 0.7, 0.4, 0.6):
            drag(page, share)
        page.wait_for_function("() => JSON.stringify(S.changes) === document.body.dataset.settled")
        shown = page.evaluate("ask('what_if').then((told) => told.kept.rows)")
        assert shown == int(page.get_attribute("#kept", "data-rows"))


def test_a_refused_value_stands_nowhere(browser: Any, finished: Path) -> None:
    """The last value that was answered is put back; what was said stays until it is answered; a page without
    an origin says nothing of it."""
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        before, box = kept(page), page.locator("#rail input[aria-label='not_blurred.max']")
        assert "null" not in page.locator("#about").inner_text().replace("Null is", "")
        was = box.input_value()
        box.fill("7")
        box.press("Enter")
        page.wait_for_selector("#error:has-text('not_blurred')")
        assert ({}, was) == (page.evaluate("S.changes"), box.input_value())
        page.click("#tabs button:nth-child(7)")
        page.wait_for_selector("#panel caption, #panel p")
        assert page.is_visible("#error")
        page.click("#understood")
        assert page.is_hidden("#error")
        page.reload()
        page.wait_for_selector("body[data-settled]")
        assert before == kept(page)


def test_any_address_opens(browser: Any, finished: Path) -> None:
    """What an address says of rules, steps and tabs that are not here is set aside and told; the rest
    holds."""
    mixed = {"not_blurred": {"max": 7}, "nosuch": {"max": 0.3}, "not_frozen": {"max": 0.5}}
    states: list[tuple[Any, str]] = [
        ({"name": "not_blurred.max", "changes": mixed}, "nosuch.max"),
        ({"name": "nosuch.max"}, "nosuch.max"),
        ({"name": 5, "tab": "nosuch"}, "name; tab"),
        ({"step": "nosuch"}, "nosuch"),
        ({"changes": {"not_blurred": {"max": "x"}}}, "not_blurred.max"),
        (None, "no state"),
    ]
    with served(finished) as address, opened(browser, address) as page:
        for state, told in states:
            page.goto("about:blank")
            page.goto(f"{address}?t={TOKEN}#{json.dumps(state)}")
            page.wait_for_selector(f"#error:has-text('{told}')")
            page.wait_for_selector("#panel .card")
            expected = (
                {"not_frozen": {"max": 0.5}} if state and "name" in state and "changes" in state else {}
            )
            assert expected == page.evaluate("S.changes")
        page.goto(f"{address}?t={TOKEN}#%7Bbroken")
        page.wait_for_selector("#error:has-text('can be read')")


def test_a_recipe_that_changed_meanwhile_is_told(browser: Any, finished: Path, tmp_path: Path) -> None:
    """The page begins anew with what still holds and says so; its command is the step alone, by that
    recipe; of assets neither tokens nor captions are known."""
    mine = tmp_path / "mine.toml"
    mine.write_text("[filter.not_blurred]\nmax = 0.6\n")
    with served(finished, save=mine) as address, opened(browser, address) as page:
        mine.write_text("[filter.not_blurred]\nmax = 0.6\n[filter.not_frozen]\nmax = 0.0\n")
        page.evaluate("change(ruleOf('not_blurred.max'), 'max', 0.5)")
        page.wait_for_selector("#error:has-text('changed meanwhile; the numbers are new')")
        now = kept(page, '"max":0.5')
        rules = desk(finished, str(mine), (), None).session("filter")
        assert rules.what_if({"not_blurred": {"max": 0.5}})["kept"]["rows"] == now
        page.keyboard.press("s")
        page.wait_for_selector("#command")
        command = f'make filter OUT={finished} RECIPE={mine} SET="filter.not_blurred.max=0.5"'
        assert command == page.locator("#command").inner_text()
        page.keyboard.press("Escape")
        page.select_option("#step", "ingest")
        page.wait_for_selector("#totals:has-text('unknown')")
        assert 2 == page.locator("#totals").inner_text().count("unknown")


def test_votes_draw_a_curve_and_the_suggestion_is_taken_whole(browser: Any, finished: Path) -> None:
    """Precision with its band, recall and the suggestion as a picture; what is taken has every digit."""
    ids = "(told) => [told.kept, told.rejected].map((side) => side.map((row) => row.id))"
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        sides = page.evaluate(f"ask('boundary', {{ name: S.name, n: 6 }}).then({ids})")
        for side, word in zip(sides, ("good", "bad"), strict=True):
            for id_ in side:
                page.evaluate("([id, word]) => vote(id, word)", [id_, word])
        page.keyboard.press("8")
        page.wait_for_selector("#precision circle")
        for kind in ("polyline.precision", "polygon.band", "polyline.recall", ".target"):
            assert 1 == page.locator(f"#precision {kind}").count()
        page.click("text=Take it")
        page.wait_for_function("() => S.changes.not_blurred")
        assert page.evaluate("advice.suggestion.value") == moved(page)


def test_the_axis_holds_the_threshold_and_whole_counts(browser: Any, finished: Path) -> None:
    """A threshold a little beyond the data stands on a longer axis, one far away at an edge with an arrow;
    rows are counted in whole ones; without known values nothing is drawn and no key moves anything."""
    edges = "histogram = { ...histogram, edges: histogram.edges.map((edge) => edge * 1e-3) }; drawChart()"
    with served(finished) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        page.evaluate("change(ruleOf(S.name), 'max', 0.999)")
        kept(page, "0.999")
        assert page.evaluate("histogram.edges.at(-1) < 0.999 && axis.high > 0.999 && axis.out(0.999) === 0")
        assert [[1], [1, 2], [1, 2, 3], [5, 10]] == page.evaluate("[1, 2, 3, 12].map(wholeTicks)")
        assert [0.422700, 0.422699, 0.5, 7] == page.evaluate(
            "[['max', 0.4226990729], ['min', 0.4226990729], ['max', 0.5], ['max', 7]]"
            ".map(([side, exact]) => outward(exact, side))"
        )
        page.evaluate(edges)
        assert "keep ≤ 0.999 ▸" in page.locator("#chart svg").text_content()
        page.evaluate("histogram = { ...histogram, quantiles: [] }; drawChart()")
        assert "no known values" == page.locator("#chart .unknown").inner_text()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#error:has-text('no row has a value')")
        assert 0.999 == moved(page)


def test_a_share_is_moved_by_a_slider(browser: Any, finished: Path, tmp_path: Path) -> None:
    """The slider stays while it moves, and corpora are listed with their thresholds."""
    mine = tmp_path / "mine.toml"
    mine.write_text("[filter.not_blurred]\nmax = { bottom = 0.5 }\n")
    with served(finished, mine) as address, opened(browser, address, {"name": "not_blurred.max"}) as page:
        slider = page.locator("#rail input[type=range]")
        slider.focus()
        slider.evaluate("(one) => { one.dataset.mine = 'yes'; }")
        slider.press("ArrowLeft")
        kept(page, '"bottom":0.49')
        assert "yes" == slider.get_attribute("data-mine")
        assert "0.49" == page.input_value("#rail input[aria-label='not_blurred.max']")
        page.wait_for_selector("#chart .corpora li:has-text('≤')")
