"""A row to look at: its picture, where it is from, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.errors import RowError
from manifests.store import part_name, read_side
from pipeline.report.run import Run
from pipeline.web.html import Html, tag
from pipeline.web.pictures import contact_sheet, data_uri

# The page is for looking at, and is to stay a few megabytes whatever the corpus.
MOST_PICTURES = 200
LONGEST_TEXT, LONGEST_PATH = 300, 60


@dataclass(frozen=True)
class Cards:
    """Rows by id, whole, and their pictures as elements; a row beyond the limit has none."""

    rows: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, Html]

    def card(self, id_: str, *says: object, kind: str = "") -> Html:
        """One row as a figure; of one that is not in the last step only the id is known."""
        row = self.rows.get(id_, {})
        picture = self.pictures.get(id_) or tag("div", "no picture", class_="none")
        lines = [tag("span", line, class_="says") for line in says if line]
        name = tag("span", path_end(row.get("source_uri") or ""), class_="name")
        about = tag("span", _about(row), class_="about")
        trace = tag("code", id_[:12], title=f"reelmix trace OUT {id_[:12]}")
        return tag(
            "figure", picture, tag("figcaption", *lines, name, about, trace), class_=f"card {kind}".strip()
        )


def make_cards(run: Run, ids: Iterable[str]) -> Cards:
    """Read the chosen rows and the frames of the first MOST_PICTURES of them that have some."""
    wanted = list(dict.fromkeys(ids))
    table = run.whole(wanted)
    rows = {row["id"]: row for row in table.to_pylist()}
    pictures: dict[str, Html] = {}
    if part_name("frames") in table.column_names:
        shown = [id_ for id_ in wanted if rows.get(id_, {}).get(part_name("frames"))][:MOST_PICTURES]
        at = {id_: n for n, id_ in enumerate(table["id"].to_pylist())}
        some = table.take([at[id_] for id_ in shown])
        for id_, frames in zip(shown, read_side(run.out, some, "frames"), strict=True):
            if picture := _picture(rows[id_], [frame["jpeg"] for frame in frames.as_py() or []]):
                pictures[id_] = picture
    return Cards(rows, pictures)


def _picture(row: Mapping[str, Any], jpegs: list[bytes]) -> Html | None:
    try:
        jpeg, width, height = contact_sheet(jpegs)
    except RowError:
        return None
    alt = f"{len(jpegs)} stored frames of {row.get('source_uri')}"
    return tag("img", src=Html(data_uri(jpeg)), alt=shortened(alt, 120), width=width, height=height)


def _about(row: Mapping[str, Any]) -> str:
    size = f"{row['width_px']}\u00d7{row['height_px']}" if row.get("width_px") else ""
    start, end = row.get("start_s"), row.get("end_s")
    when = f"{start:.1f} to {end:.1f} s" if start is not None and end is not None else ""
    return ", ".join(part for part in (row.get("corpus"), when, size) if part)


def path_end(uri: str) -> str:
    """The end of a path, which tells more than its beginning."""
    return uri if len(uri) <= LONGEST_PATH else "…" + uri[1 - LONGEST_PATH :]


def shortened(text: str, most: int = LONGEST_TEXT) -> str:
    """A text in at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
