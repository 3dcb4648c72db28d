"""The report is one file that is looked at: pictures within it, texts inert, of a bounded size."""

import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import ManifestError
from manifests.manifest import Manifest
from manifests.views import ask
from pipeline.report import report, write_report
from pipeline.report.cards import MOST_PICTURES
from pipeline.report.choose import choose
from pipeline.report.run import open_run
from tests.pipeline.local import run_here

# They read the finished run that the flow's tests make.
pytestmark = pytest.mark.xdist_group("flow")

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e=HYPERLINK("x")'


class Page(HTMLParser):
    """Every element of a page, what its addresses point to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def asks(self) -> Iterator[str]:
        """Addresses outside the page, scripts, and handlers of events."""
        for name, attributes in self.elements:
            yield from [name] if name in ("script", "iframe", "link", "object", "embed", "form") else []
            for key, value in attributes.items():
                inside = str(value).startswith(("data:image/jpeg;base64,", "#"))
                if (key in ("src", "href", "action", "srcset") and not inside) or key.startswith("on"):
                    yield f"{name} {key}={value}"


@pytest.fixture(scope="module")
def written(finished: Path) -> str:
    return report(finished)


@pytest.fixture(scope="module")
def page(written: str) -> Page:
    return Page(written)


def test_it_asks_nobody_for_anything(page: Page) -> None:
    """No script, no handler, no address but its own pictures and headings."""
    assert [] == list(page.asks())


def test_it_has_every_section(page: Page, finished: Path) -> None:
    """Each question of a run has its heading, and what rows went by is named with its number of rows."""
    wanted = ["funnel", "why-rows-went", "scores", "examples", "duplicates", "failures", "captions"]
    wanted += ["tokens", "corpora", "time-and-cost", "settings"]
    assert wanted == [attributes["id"] for attributes in page.of("section")]
    for rule, rows in Manifest.open(finished, "pack").record["counts"]["rejected"].items():
        assert f"{rule}: {rows} rejected at filter" in page.text


def test_pictures_have_words(page: Page) -> None:
    """Every picture and drawing says what it shows; there are some, and not too many."""
    pictures = page.of("img")
    assert 20 < len(pictures) <= MOST_PICTURES
    assert all(picture["alt"] and picture["width"] for picture in pictures)
    assert all(drawing["aria-label"] for drawing in page.of("svg"))
    assert len(page.of("table")) == len(page.of("caption"))


def test_those_nearest_the_threshold_come_first(finished: Path) -> None:
    """Of the rejected ones in the order of their distance from the threshold, of the kept ones as well."""
    chosen = {verdict.reason: verdict for verdict in choose(open_run(finished)).verdicts}
    blurred = chosen["not_blurred"]
    gone = ask(finished, "select id from pack where rejected_by = 'not_blurred' order by blur, md5(id)")
    assert gone["id"].to_pylist()[: len(blurred.gone)] == list(blurred.gone)
    kept = ask(
        finished,
        "select id from pack where coalesce(rejected_by, duplicate_of, error) is null and blur <= 0.69 "
        "order by blur desc, md5(id) limit 4",
    )
    assert kept["id"].to_pylist() == list(blurred.just_kept)


def test_groups_show_who_is_kept(finished: Path) -> None:
    """Of each level some groups, the kept row first, and only members of that level beside it."""
    counts = Manifest.open(finished, "dedup").record["counts"]["duplicates"]
    groups = choose(open_run(finished)).groups
    assert counts.keys() == groups.keys()
    for level, found in groups.items():
        for group in found:
            assert ["kept", *[level] * (len(group) - 1)] == [row["level"] for row in group]
            assert len(group) > 1


def test_hostile_texts_stay_texts(finished: Path, tmp_path: Path) -> None:
    """Captions, names and corpora that are markup, terminal sequences or formulas are shown, not obeyed."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    path = out / "pack" / next(iter(Manifest.open(out, "pack").record["rows"].values()))
    table = pq.read_table(path)
    for name in ("source_uri", "corpus", "best_text", "text"):
        hostile = pa.array([HOSTILE] * len(table), pa.string())
        table = table.set_column(table.column_names.index(name), name, hostile)
    pq.write_table(table, path)
    page = Page(report(out))
    assert [] == list(page.asks())
    assert '<script>alert(1)</script><img src=x onerror=alert(1)>\\x1b[2J\\u202e=HYPERLINK("x")' in page.text


def test_stale_steps_are_left_out(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """After a rule moved the report ends with the filter and says what is stale; so it does on an unfinished
    run."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    run_here(corpus, out, settings=["filter.not_blurred.max=1.0"], only=["filter"])
    page = Page(report(out))
    assert "stale: filter changed after dedup, caption, mix, pack were made" in page.text
    assert "captions" not in [attributes["id"] for attributes in page.of("section")]
    assert "not_blurred:" not in page.text
    for step in ("pack", "mix", "caption", "dedup", "filter", "score", "split"):
        shutil.rmtree(out / step)
    assert "rows live after ingest" in report(out)
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="is no folder; make it"):
        write_report(out, tmp_path / "file" / "c.html")


def test_it_is_written_where_it_is_asked(finished: Path, written: str, tmp_path: Path) -> None:
    """The same run gives the same page; a folder without a run says how to make one."""
    assert tmp_path / "a.html" == write_report(finished, tmp_path / "a.html")
    assert written == (tmp_path / "a.html").read_text()
    with pytest.raises(ManifestError, match="reelmix run"):
        write_report(tmp_path, tmp_path / "b.html")
