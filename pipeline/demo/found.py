"""What was planted in a corpus against what the steps found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.demo.facts import facts
from pipeline.demo.results import Clip, File, Results, Row, Shot, fate, first_s, join, live

MUST_FIND = ("byte copy", "re-encode", "rescale", "trim")
SOUND_BUT_ODD = ("rotated", "variable frame rate", "wrong extension", "odd name", "two texts")
NAMES = {"byte copy": "byte copies", "flat": "one-colour clips"}
HARD_CUT_F1, SOFT_RECALL = 0.95, 0.9
WRONG_CAPTION_AUC = 0.99
FACTS_RIGHT = 0.93
NOTED = 5


@dataclass(frozen=True)
class Finding:
    """One line of the table; `wrong` was found and not planted, `holds` is null where no bar is set."""

    name: str
    planted: int
    found: int
    wrong: int
    note: str
    holds: bool | None


def compare(truth: dict[str, Any], rows: pa.Table, sources: pa.Table) -> list[Finding]:
    """Every kind of plant with what was found of it.

    `truth` is what `draw_corpus` wrote. `rows` are the leaf rows after caption with id, asset_id, source_uri,
    start_s, end_s, starts_with, before_s, clip_score, route, captions, rejected_by, duplicate_of and error;
    `sources` has source_uri (relative to the corpus folder) and asset_id of every file. A boundary is found
    when a clip begins within one frame of it, or behind a transition whose middle lies in it; each is matched
    once, and byte copies count once. A planted duplicate is found when it or a copy of it is marked as the
    duplicate of the other, directly, through the same kept row, or as one asset.
    """
    results = join(truth["files"], rows.to_pylist(), sources.to_pylist())
    clips = results.clips()
    return [
        *_boundaries(results),
        *(_duplicates(results, how) for how in (*MUST_FIND, "crop")),
        _alive("twins kept", _with("twin", clips)),
        _distinct(results, clips),
        *_defects(clips),
        _wrong_captions(clips),
        _facts(clips),
        _broken(results),
        *(_alive(f"{plant}: alive", _with(plant, clips)) for plant in SOUND_BUT_ODD),
        _with_a_row(results),
    ]


def table(findings: Iterable[Finding]) -> str:
    """The findings as aligned plain text, with a headline."""
    marks = {True: "yes", False: "NO", None: "-"}
    lines = [("what", "planted", "found", "wrong", "holds", "note")]
    lines += [(f.name, str(f.planted), str(f.found), str(f.wrong), marks[f.holds], f.note) for f in findings]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "".join(_aligned(line, widths) + "\n" for line in lines)


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, holds, note = line
    right = [number.rjust(width) for number, width in zip(numbers, widths[1:4], strict=True)]
    return "  ".join([name.ljust(widths[0]), *right, holds.ljust(widths[4]), note]).rstrip()


def _boundaries(results: Results) -> list[Finding]:
    planted, found = Counter[str](), Counter[str]()
    for file in results.files:
        if file["kind"] == "video" and file.get("how") != "byte copy":
            planted.update(boundary["kind"] for boundary in file["boundaries"])
            found.update(_matched(file, _cuts(results.rows_of(file))))
    hard, wrong = found["hard"], found["wrong"]
    f1 = 2 * hard / (planted["hard"] + hard + wrong)
    note = f"F1 {f1:.3f}; {found['inside']} more inside dissolves and fades, not counted"
    return [
        Finding("hard cuts", planted["hard"], hard, wrong, note, f1 >= HARD_CUT_F1),
        *(_soft(name, planted[name], found[name]) for name in ("dissolve", "fade")),
    ]


def _soft(name: str, planted: int, found: int) -> Finding:
    return Finding(f"{name}s", planted, found, 0, "", found >= SOFT_RECALL * planted)


def _cuts(rows: list[Row]) -> list[float]:
    """Times of boundaries at which rows begin, counted from the first frame: the middles of gradual ones."""
    begun = [row for row in rows if row["starts_with"] not in (None, "start", "limit")]
    return sorted(row["start_s"] - (row["before_s"] or 0.0) / 2 - first_s(rows) for row in begun)


def _matched(file: File, cuts: list[float]) -> Iterator[str]:
    """For each cut the kind of the boundary that it is matched with, else `inside` of one, else `wrong`."""
    tolerance_s = 1.01 / file["fps"]
    unmatched = list(file["boundaries"])
    for cut_s in cuts:
        near = [boundary for boundary in unmatched if _touches(cut_s, boundary, tolerance_s)]
        if near:
            nearest = min(near, key=lambda boundary: abs(boundary["time_s"] - cut_s))
            unmatched.remove(nearest)
            yield nearest["kind"]
            continue
        soft = [boundary for boundary in file["boundaries"] if boundary["kind"] != "hard"]
        yield "inside" if any(_touches(cut_s, span, tolerance_s) for span in soft) else "wrong"


def _touches(cut_s: float, boundary: Row, tolerance_s: float) -> bool:
    return bool(boundary["first_s"] - tolerance_s <= cut_s <= boundary["last_s"] + tolerance_s)


def _duplicates(results: Results, how: str) -> Finding:
    originals = {file["path"]: file for file in results.files}
    copies = [file for file in results.files if file.get("variant_of") and file["how"] == how]
    planted, lost = 0, []
    for copy in copies:
        original = originals[copy["variant_of"]]
        planted += len(copy["shots"])
        for shot, first in zip(copy["shots"], original["shots"], strict=True):
            if not _merged(results, shot, results.row_of(copy, shot), results.row_of(original, first)):
                lost.append(_where(copy, shot))
    holds = not lost if how in MUST_FIND else None
    return Finding(NAMES.get(how, f"{how}s"), planted, planted - len(lost), 0, _listed(lost), holds)


def _merged(results: Results, shot: Shot, mine: Row | None, other: Row | None) -> bool:
    if mine is None or other is None:
        return False
    if _kept_id(mine) == _kept_id(other):
        return True
    return results.same_content(shot, mine) or results.same_content(shot, other)


def _kept_id(row: Row) -> str:
    return str(row["duplicate_of"] or row["id"])


def _distinct(results: Results, clips: list[Clip]) -> Finding:
    """Clips without a defect: each is live, or the duplicate of one that shows the same."""
    sound = [clip for clip in clips if not clip[1]["defect"]]
    return _kept("distinct clips kept", sound, [clip for clip in sound if _lost(results, *clip)])


def _lost(results: Results, file: File, shot: Shot, row: Row | None) -> bool:
    if row is None or live(row):
        return row is None
    if row["rejected_by"] or row["error"]:
        return "wrong caption" not in file["plants"]
    return not results.same_content(shot, row)


def _alive(name: str, clips: list[Clip]) -> Finding:
    return _kept(name, clips, [clip for clip in clips if not live(clip[2])])


def _with(plant: str, clips: list[Clip]) -> list[Clip]:
    return [clip for clip in clips if plant in clip[0]["plants"]]


def _kept(name: str, clips: list[Clip], lost: list[Clip]) -> Finding:
    planted, wrong = len(clips), len(lost)
    return Finding(name, planted, planted - wrong, wrong, _listed([_told(clip) for clip in lost]), not lost)


def _defects(clips: list[Clip]) -> list[Finding]:
    rules = {shot["defect"]: shot["rule"] for _, shot, _ in clips if shot["defect"]}
    return [_defect(clips, defect, rules[defect]) for defect in sorted(rules)]


def _defect(clips: list[Clip], defect: str, rule: str) -> Finding:
    """Found is what the rule meant for the defect rejected first; wrong is what it rejected besides."""
    spoilt = [clip for clip in clips if clip[1]["defect"] == defect]
    missed = [_told(clip) for clip in spoilt if not _rejected_by(rule, clip[2])]
    wrong = sum(not shot["defect"] and _rejected_by(rule, row) for _, shot, row in clips)
    note = f"by {rule}" + (f"; missed {_listed(missed)}" if missed else "")
    name, planted = NAMES.get(defect, f"{defect} clips"), len(spoilt)
    return Finding(name, planted, planted - len(missed), wrong, note, not missed)


def _rejected_by(rule: str, row: Row | None) -> bool:
    return row is not None and row["rejected_by"] == rule


def _wrong_captions(clips: list[Clip]) -> Finding:
    """Found is what is sent to be captioned anew; wrong is what is sent there with a right caption."""
    sound = [clip for clip in clips if len(clip[0]["shots"]) == 1 and not clip[1]["defect"]]
    told = [(file, row) for file, _, row in sound if row and row["clip_score"] is not None]
    wrong = [row for file, row in told if "wrong caption" in file["plants"]]
    right = [row for file, row in told if "wrong caption" not in file["plants"]]
    area = auc([row["clip_score"] for row in right], [row["clip_score"] for row in wrong])
    found, besides = (sum(row["route"] == "recaption" for row in rows) for rows in (wrong, right))
    planted = len(_with("wrong caption", clips))
    return Finding("wrong captions", planted, found, besides, f"AUC {area:.4f}", area >= WRONG_CAPTION_AUC)


def auc(high: list[float], low: list[float]) -> float:
    """The probability that one of `high` is above one of `low`, ties counted half (Mann and Whitney)."""
    above, ties = (
        (np.asarray(high)[:, None] > np.asarray(low)),
        (np.asarray(high)[:, None] == np.asarray(low)),
    )
    return float((above + ties / 2).mean()) if above.size else 1.0


def _facts(clips: list[Clip]) -> Finding:
    """The facts of the captions of live clips that show one shot whole, against those of the truth."""
    whole = [(file, shot, row) for file, shot, row in clips if row and live(row) and row["captions"]]
    # A copy shares its row with the original.
    captioned = list({row["id"]: (shot, row) for file, shot, row in whole if _whole(file, shot)}.values())
    planted = right = 0
    missed: list[str] = []
    for shot, row in captioned:
        truth, said = facts(shot["caption"]), facts(row["captions"][-1]["text"])
        good = sum(said.get(name) == value for name, value in truth.items())
        planted, right = planted + len(truth), right + good
        missed += [f"{row['captions'][-1]['text']!r} for {shot['caption']!r}"] if good < len(truth) else []
    share = right / planted if planted else 1.0
    perfect = len(captioned) - len(missed)
    note = f"{share:.1%} of the facts of {len(captioned)} captions, {perfect} without fault"
    return Finding("facts in captions", planted, right, planted - right, note, share >= FACTS_RIGHT)


def _whole(file: File, shot: Shot) -> bool:
    """Whether a shot begins and ends at hard cuts: what is cut within a dissolve shows two shots."""
    soft = [boundary for boundary in file["boundaries"] if boundary["kind"] != "hard"]
    first, end = shot["first_frame"], shot["last_frame"] + 1
    return not any(first <= span["last_frame"] and span["first_frame"] <= end for span in soft)


def _broken(results: Results) -> Finding:
    broken = [file for file in results.files if file["kind"] == "broken"]
    missed = [file for file in broken if not _names(file["reason"], results.rows_of(file))]
    notes = [f"{f['path']} ({', '.join(map(fate, results.rows_of(f)))}; not {f['reason']})" for f in missed]
    planted = len(broken)
    return Finding("broken files failed", planted, planted - len(missed), 0, _listed(notes), not missed)


def _names(reason: str, rows: list[Row]) -> bool:
    return any((row["error"] or "").startswith(reason) for row in rows)


def _with_a_row(results: Results) -> Finding:
    missing = [str(file["path"]) for file in results.files if not results.rows_of(file)]
    planted = len(results.files)
    return Finding("files with a row", planted, planted - len(missing), 0, _listed(missing), not missing)


def _told(clip: Clip) -> str:
    file, shot, row = clip
    return f"{_where(file, shot)} ({fate(row)})"


def _where(file: File, shot: Shot) -> str:
    return f"{file['path']} at {shot['start_s']:.1f} s" if shot["start_s"] else str(file["path"])


def _listed(names: list[str]) -> str:
    more = len(names) - NOTED
    return ", ".join(names[:NOTED]) + (f" and {more} more" if more > 0 else "")
