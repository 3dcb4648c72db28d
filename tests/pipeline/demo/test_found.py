"""Planted against found, on rows made by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from manifests import columns
from pipeline.demo.corpus import truth_of
from pipeline.demo.found import Finding, auc, compare, table
from pipeline.demo.plan import make_plan

Row = dict[str, Any]
COLUMNS = [
    *("id", "asset_id", "kind", "source_uri", "start_s", "end_s", "starts_with", "before_s"),
    *("clip_score", "route", "captions", "rejected_by", "duplicate_of", "error"),
]
SCHEMA = columns.schema(COLUMNS)


class Made:
    """Rows as a faultless run would leave them; tests spoil them."""

    def __init__(self) -> None:
        self.truth = {"files": truth_of(make_plan(5, 0.2))}
        self.rows: list[Row] = []
        self.sources: list[Row] = []
        kept: dict[str, str] = {}
        for file in sorted(self.truth["files"], key=lambda file: file["expected"] == "duplicate"):
            self._add(file, kept)

    def _add(self, file: dict[str, Any], kept: dict[str, str]) -> None:
        path = file["path"]
        asset = file["variant_of"] if file.get("how") == "byte copy" else path
        self.sources.append({"source_uri": path, "asset_id": asset})
        if file["kind"] == "broken":
            row = {"id": path, "asset_id": path, "source_uri": path, "error": f"{file['reason']}: told"}
            self.rows.append(dict.fromkeys(COLUMNS) | row)
        for number, shot in enumerate(file["shots"] if asset == path else []):
            row = {
                "id": f"{path}#{number}",
                "asset_id": asset,
                "source_uri": path,
                "rejected_by": shot["rule"],
            }
            times = (
                {}
                if shot["start_s"] is None
                else {"start_s": 0.5 + shot["start_s"], "end_s": 0.5 + shot["end_s"]}
            )
            joint = {"starts_with": "hard" if number else "start", "duplicate_of": kept.get(shot["content"])}
            wrong = "wrong caption" in file["plants"]
            joint |= {"clip_score": 0.1 if wrong else 0.9, "route": "recaption" if wrong else "keep"}
            joint["captions"] = [{"text": shot["caption"]}]
            kept.setdefault(shot["content"], row["id"])
            self.rows.append(dict.fromkeys(COLUMNS) | row | times | joint)

    def row(self, path: str, number: int = 0) -> Row:
        return next(row for row in self.rows if row["id"] == f"{path}#{number}")

    def planted(self, plant: str, kind: str = "video") -> str:
        files = self.truth["files"]
        return next(file["path"] for file in files if plant in file["plants"] and file["kind"] == kind)

    def found(self) -> dict[str, Finding]:
        sources = pa.table({k: [s[k] for s in self.sources] for k in ("source_uri", "asset_id")})
        rows = pa.Table.from_pylist(self.rows, schema=SCHEMA)
        return {finding.name: finding for finding in compare(self.truth, rows, sources)}


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_faultless_run_holds_everywhere(made: Made) -> None:
    """Everything planted is found, nothing besides; crops are only stated."""
    found = made.found()
    assert {"crops"} == {name for name, finding in found.items() if finding.holds is None}
    assert all(finding.holds is not False and finding.wrong == 0 for finding in found.values())
    assert [finding.planted for finding in found.values()] == [f.found for f in found.values()]
    assert found["wrong captions"].note == "AUC 1.0000" and found["hard cuts"].planted > 10


def test_cuts_are_matched_within_one_frame(made: Made) -> None:
    """One frame late counts, two frames late is a miss and a false cut."""
    planted = made.found()["hard cuts"].planted
    path = made.planted("variable frame rate")
    file = next(file for file in made.truth["files"] if file["path"] == path)
    row, time_s = made.row(path, 1), made.row(path, 1)["start_s"]
    row["start_s"] = time_s + 1 / file["fps"]
    assert made.found()["hard cuts"].found == planted
    row["start_s"] = time_s + 2.2 / file["fps"]
    cuts = made.found()["hard cuts"]
    assert (cuts.found, cuts.wrong) == (planted - 1, 1)
    assert cuts.note.startswith(f"F1 {2 * (planted - 1) / (2 * planted):.3f}")


def test_a_second_cut_inside_a_dissolve_is_no_false_hard_cut(made: Made) -> None:
    """It is counted apart, in the note."""
    files = made.truth["files"]
    path, span = next((f["path"], b) for f in files for b in f["boundaries"] if b["kind"] == "dissolve")
    number = len([row for row in made.rows if row["asset_id"] == path])
    start_s = 0.5 + span["last_s"]
    made.rows.append(
        made.row(path)
        | {"id": f"{path}#{number}", "starts_with": "hard", "start_s": start_s, "end_s": start_s + 0.01}
    )
    cuts = made.found()["hard cuts"]
    assert cuts.wrong == 0 and "1 more inside" in cuts.note


def test_a_missed_copy_is_told_by_name(made: Made) -> None:
    """A re-encode that lives beside its original was not found; it is no lost clip."""
    path = made.planted("re-encode")
    made.row(path)["duplicate_of"] = None
    found = made.found()
    assert found["re-encodes"].holds is False and path in found["re-encodes"].note
    assert found["distinct clips kept"].holds is True


def test_either_of_two_may_be_kept(made: Made) -> None:
    """The original may be the duplicate of its copy."""
    path = made.planted("rescale", "image")
    copy = made.row(path)
    original = next(row for row in made.rows if row["id"] == copy["duplicate_of"])
    for row in made.rows:
        if row["duplicate_of"] == original["id"]:
            row["duplicate_of"] = copy["id"]
    original["duplicate_of"], copy["duplicate_of"] = copy["id"], None
    assert made.found()["rescales"].holds is True and made.found()["distinct clips kept"].holds is True


@pytest.mark.parametrize(
    "fate",
    [{"rejected_by": "not_flat"}, {"duplicate_of": "images/paint.jpg#0"}, {"error": "decode_error: told"}],
)
def test_a_lost_twin_is_told(made: Made, fate: Row) -> None:
    """Rejected, merged with a stranger or failed: lost, and named."""
    path = made.planted("twin")
    made.row(path).update(fate)
    found = made.found()
    assert (found["twins kept"].holds, found["distinct clips kept"].wrong) == (False, 1)
    assert path in found["distinct clips kept"].note


def test_a_defect_has_its_own_rule(made: Made) -> None:
    """Rejected by another rule does not count; a sound clip rejected by the rule is wrong."""
    made.row(made.planted("frozen"))["rejected_by"] = "not_blurred"
    made.row(made.planted("odd name"))["rejected_by"] = "not_frozen"
    frozen = made.found()["frozen clips"]
    assert (frozen.planted - frozen.found, frozen.wrong, frozen.holds) == (1, 1, False)
    assert "not_blurred" in frozen.note


def test_a_wrong_caption_may_be_rejected_too(made: Made) -> None:
    """A recipe may reject what another sends to be captioned anew: it is not a lost clip."""
    made.row(made.planted("wrong caption"))["rejected_by"] = "aligned"
    assert made.found()["distinct clips kept"].holds is True


def test_scores_that_do_not_part_are_told(made: Made) -> None:
    """One wrong caption that scores as high as the right ones is half a tie with each of them."""
    row = made.row(made.planted("wrong caption"))
    row["clip_score"], row["route"] = 0.9, "keep"
    told = made.found()["wrong captions"]
    assert (told.holds, told.planted - told.found) == (False, 1)


def test_area_under_the_curve_by_hand() -> None:
    """Of 2 x 2 comparisons two are won and one is a tie: (2 + 1/2) / 4."""
    assert auc([0.5, 0.8], [0.5, 0.6]) == 0.625


def test_a_fault_in_a_caption_is_counted_by_fact(made: Made) -> None:
    """A caption that says nothing of the scene has every fact wrong but the number of events."""
    before = made.found()["facts in captions"]
    row = next(row for row in made.rows if row["captions"] and row["id"].startswith("images/still"))
    row["captions"] = [{"text": "nothing"}]
    after = made.found()["facts in captions"]
    assert (before.planted, before.wrong, after.wrong) == (after.planted, 0, 5)


def test_a_broken_file_fails_with_its_reason(made: Made) -> None:
    """Another reason, or another fate, does not count; rows without an asset are found by their path."""
    row = next(row for row in made.rows if row["id"] == "broken/notes.mp4")
    next(source for source in made.sources if source["source_uri"] == "broken/notes.mp4")["asset_id"] = None
    row["asset_id"] = None
    assert made.found()["broken files failed"].holds is True
    row["error"] = "decode_error: told"
    assert "broken/notes.mp4 (decode_error: told; not not_media)" in made.found()["broken files failed"].note


def test_a_file_without_a_row_is_told(made: Made) -> None:
    """Nothing is silently skipped."""
    path = made.planted("rotated")
    made.rows = [row for row in made.rows if row["asset_id"] != path]
    found = made.found()
    assert found["files with a row"].note == path and found["rotated: alive"].holds is False


def test_the_table_is_aligned() -> None:
    """Columns line up; no spaces at the ends of lines."""
    findings = [Finding("hard cuts", 61, 60, 1, "F1 0.984", True), Finding("trims", 4, 0, 0, "", None)]
    assert table(findings) == (
        "what       planted  found  wrong  holds  note\n"
        "hard cuts       61     60      1  yes    F1 0.984\n"
        "trims            4      0      0  -\n"
    )


def test_a_missed_dissolve_is_told(made: Made) -> None:
    """A transition is found by the clip behind it: the middle of what was cut away before it lies in the
    span."""
    files = made.truth["files"]
    path, span = next((f["path"], b) for f in files for b in f["boundaries"] if b["kind"] == "dissolve")
    after = next(r for r in made.rows if r["asset_id"] == path and r["start_s"] == 0.5 + span["time_s"])
    whole = made.found()["dissolves"]
    after |= {"start_s": 0.5 + span["last_s"] + 0.05, "before_s": 0.05 + span["last_s"] - span["first_s"]}
    assert (whole.planted, True) == (made.found()["dissolves"].found, whole.holds)
    after["starts_with"] = "limit"
    assert whole.planted - 1 == made.found()["dissolves"].found
