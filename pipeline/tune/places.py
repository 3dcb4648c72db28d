"""Where the row of an id stands, in 40 bytes a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.store import ID_DIGITS


@dataclass(frozen=True)
class Places:
    """Ids in their order, and where each of them stood before."""

    ids: npt.NDArray[Any]
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids: pa.ChunkedArray) -> Places:
        """Of a column of ids, each of 32 digits."""
        plain = ids.combine_chunks().cast(pa.binary()).cast(pa.binary(ID_DIGITS))
        every = np.frombuffer(plain.buffers()[1], f"S{ID_DIGITS}", len(plain), plain.offset * ID_DIGITS)
        order = np.argsort(every, kind="stable")
        return cls(every[order], order)

    def find(self, id_: str) -> int | None:
        """The place of an id; None for one that is not there."""
        wanted = np.array(id_.encode(), f"S{ID_DIGITS}")
        at = int(np.searchsorted(self.ids, wanted))
        there = len(id_) == ID_DIGITS and at < len(self.ids) and self.ids[at] == wanted
        return int(self.places[at]) if there else None
