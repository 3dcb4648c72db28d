"""Small rows that look in a stated way."""

from __future__ import annotations

import pyarrow as pa

from manifests import columns

ALTERNATING = 0xAAAAAAAAAAAAAAAA
GRAY = 0x808080
NAMES = ["id", "kind", "content_hash", "duration_s", "phashes", "colours"]
FACTS = {"width_px": 64, "height_px": 48, "size_bytes": 1000}


def flipped(hash_: int, count: int, first: int = 0) -> int:
    """The hash with so many of its bits changed, from bit `first` on."""
    return hash_ ^ (((1 << count) - 1) << first)


def row(id_: str, *phashes: int | None, colour: int = GRAY, **values: object) -> dict[str, object]:
    """A row of these hashes, one colour all over; an image when it has one hash, else a video of 8 s."""
    video = len(phashes) > 1
    return {
        "id": id_,
        "kind": "video" if video else "image",
        "content_hash": f"content of {id_}",
        "duration_s": 8.0 if video else None,
        "phashes": list(phashes),
        "colours": [colour] * 16 * len(phashes),
        **FACTS,
        **values,
    }


def table(*rows: dict[str, object]) -> pa.Table:
    return columns.table(rows, [*NAMES, *FACTS, "embedding"])
