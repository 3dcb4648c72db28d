"""How much of each corpus is kept, and which corpus loses far more than the rest."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from manifests import verdicts
from manifests.manifest import Manifest
from manifests.sql import query

# A corpus is marked when it loses this many times the share that the others lose, and so many shares more,
# and when chance would hardly do that: standard errors of the difference of two shares (pooled), which say
# nothing of fewer rows.
TIMES, SHARE, ERRORS, FEW_ROWS = 2.0, 0.1, 3.0, 10
_FATES = {"rejected": "rejected", "duplicates": "duplicate", "failed": "failed"}


def corpora(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """By corpus: rows, live, rejected, duplicates, failed, `media_h` and `kept_h` (hours of video, of all and
    of live rows), and `loses`: null, or why it is marked, as a sentence.

    Rows without a corpus stand under "".
    """
    counted = {line.pop("corpus"): line for line in _counted(manifest).to_pylist()}
    return {name: {**line, "loses": _loses(name, counted)} for name, line in counted.items()}


def _counted(manifest: Manifest) -> pa.Table:
    rows = manifest.all_rows(["id", "corpus", "duration_s"])
    won = verdicts.first(manifest.table("verdicts")).select(["id", "fate"])
    fates = ", ".join(f"count(*) filter (fate = '{fate}') as {name}" for name, fate in _FATES.items())
    return query(
        f"""
        select coalesce(corpus, '') as corpus, count(*) as rows, count(*) filter (fate is null) as live,
            {fates}, coalesce(sum(duration_s), 0) / 3600 as media_h,
            coalesce(sum(duration_s) filter (fate is null), 0) / 3600 as kept_h
        from rows left join won using (id) group by 1 order by 1
        """,
        {"rows": rows, "won": won},
    )


def _loses(name: str, counted: dict[str, dict[str, Any]]) -> str | None:
    own = counted[name]
    rows = sum(line["rows"] for line in counted.values()) - own["rows"]
    lost = rows - sum(line["live"] for other, line in counted.items() if other != name)
    if not rows or not far_more(own["rows"] - own["live"], own["rows"], lost, rows):
        return None
    most = max(_FATES, key=lambda fate: int(own[fate]))
    share, rest = 1 - own["live"] / own["rows"], lost / rows
    return f"loses {share:.0%} where the rest loses {rest:.0%}, most of it {most}"


def far_more(lost: float, rows: float, others_lost: float, others: float) -> bool:
    """Whether one corpus loses so many more of its rows than the others, all together, that it is marked."""
    share, rest = lost / rows, others_lost / others
    pooled = (lost + others_lost) / (rows + others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / others))
    return bool(rows >= FEW_ROWS and share > TIMES * rest and share - rest > max(SHARE, ERRORS * error))
