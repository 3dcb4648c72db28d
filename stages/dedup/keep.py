"""Which of the rows that look alike is kept: a greedy choice in a stated order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import verdicts
from manifests.errors import RecipeError, nearest
from stages.base import Whole
from stages.dedup.neighbours import LEVELS, FindNeighbours

# What may stand in `order`, and the column of it; a larger value goes first, a null one last.
ORDERS = {"pixels": "pixels", "duration": "duration_s", "bytes": "size_bytes", "id": "id"}
GROUPS = pa.schema(
    [("group", pa.string()), ("id", pa.string()), ("level", pa.string()), ("distance", pa.float64())]
)
_DISTANCE = r"distance (?P<bits>[0-9.]+)"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MarkDuplicates(Whole):
    """Keeps rows one by one in the stated order, each unless it is a neighbour of a row that is kept.

    `order` names what goes first: more pixels, a longer duration, more bytes of the asset; the smaller id
    decides in the end, named or not. `levels` of the stored pairs count: content, and with it perceptual and
    part. A perceptual pair counts within `radius_bits`, a part within `part_radius_bits`, both within
    `colour_levels`; the graph must have been stored at least as wide. At the level part only the shorter
    row can be the duplicate: what it shows is in the longer one, not the reverse.

    Every duplicate is a direct neighbour of the kept row that it names (rows of equal content are one node),
    so where A~B and B~C but not A~C, keeping A keeps C too.

    `radius_bits` 10 is the default of imagededup, `colour_levels` lies between what was measured on drawn
    corpora of five seeds and 449 real images: of re-encodings and rescales the farthest were 8 bits and 7
    levels away, and within 16 bits no distinct pair nearer than 11 levels (a scene drawn anew: 7 bits, 14
    levels), though distinct pairs begin at 3 bits.
    """

    reads = ("width_px", "height_px", "duration_s", "size_bytes")

    order: tuple[str, ...] = ("pixels", "duration", "bytes", "id")
    levels: tuple[str, ...] = LEVELS
    radius_bits: float = 10.0
    part_radius_bits: float = 8.0
    colour_levels: float = 8.0

    def __post_init__(self) -> None:
        _known("order", self.order, ORDERS)
        _known("levels", self.levels, LEVELS)
        if "content" not in self.levels:
            raise RecipeError(
                f"levels is {list(self.levels)}; add content: in the graph, rows of equal content stand for "
                "each other"
            )

    def run(self, rows: pa.Table, pairs: pa.Table) -> pa.Table:
        """Verdicts (`manifests.verdicts.SCHEMA`) of the duplicates among `rows`, the live rows; by id.

        `reason` is the level, `of` the kept row, `detail` the distance and what was allowed. Of several kept
        neighbours the one of equal content is named, else the nearest, else the first in order. `pairs` may
        hold other rows too; the order of either table changes nothing.
        """
        rows = self._ordered(rows)
        graph = _graph(rows["id"], pairs, self._counts(pairs))
        durations_s = pc.fill_null(rows["duration_s"], 0.0).to_numpy()
        return self._verdicts(rows["id"], _greedy(graph, durations_s))

    def _ordered(self, rows: pa.Table) -> pa.Table:
        """The rows in the order of keeping."""
        rows = rows.append_column("pixels", pc.multiply(rows["width_px"], rows["height_px"]))
        keys = [(ORDERS[name], "descending") for name in self.order if name != "id"]
        return rows.sort_by([*keys, ("id", "ascending")])

    def _counts(self, pairs: pa.Table) -> pa.ChunkedArray:
        """Which pairs count at these settings."""
        near = pc.less_equal(pairs["colour_distance"], self.colour_levels)
        known = pc.is_in(pairs["level"], value_set=pa.array(self.levels, pa.string()))
        limits = [
            pc.and_(pc.equal(pairs["level"], level), pc.less_equal(pairs["distance"], self._radius(level)))
            for level in LEVELS
        ]
        return pc.and_(pc.and_(near, known), pc.or_(limits[0], pc.or_(limits[1], limits[2])))

    def _radius(self, level: str) -> float:
        return {"content": 0.0, "perceptual": self.radius_bits, "part": self.part_radius_bits}[level]

    def _verdicts(self, ids: pa.ChunkedArray, marks: list[Mark]) -> pa.Table:
        names = ids.to_pylist()
        made = [
            {
                "id": names[mark.row],
                "step": "dedup",
                "fate": "duplicate",
                "reason": mark.level,
                "of": names[mark.of],
                "detail": f"distance {mark.distance:g} of at most {self._radius(mark.level):g} bits",
            }
            for mark in marks
        ]
        return pa.Table.from_pylist(made, schema=verdicts.SCHEMA).sort_by("id")


def agree(find: FindNeighbours, mark: MarkDuplicates) -> None:
    """Raises RecipeError when keeping asks for pairs that the stored graph does not hold."""
    limits = {
        "radius_bits": (mark.radius_bits, "graph_radius_bits", find.graph_radius_bits),
        "part_radius_bits": (mark.part_radius_bits, "graph_radius_bits", find.graph_radius_bits),
        "colour_levels": (mark.colour_levels, "graph_colour_levels", find.graph_colour_levels),
    }
    for name, (asked, limit, stored) in limits.items():
        if asked > stored:
            raise RecipeError(
                f"dedup.{name} = {asked:g} is wider than dedup.{limit} = {stored:g}; raise {limit} too"
            )


def groups(given: pa.Table) -> pa.Table:
    """The groups behind the verdicts of `MarkDuplicates`: (group, id, level, distance), by group and id.

    A group is named by the row that is kept, which is in it with the level `kept`; `distance` is in bits, of
    each row from the kept one. Rows without duplicates are in no group.
    """
    told = pc.struct_field(pc.extract_regex(given["detail"], _DISTANCE), "bits").cast(pa.float64())
    members = pa.table([given["of"], given["id"], given["reason"], told], schema=GROUPS)
    kept = pc.unique(given["of"])
    levels, none = pa.array(["kept"] * len(kept), pa.string()), pa.array([0.0] * len(kept), pa.float64())
    return pa.concat_tables([members, pa.table([kept, kept, levels, none], schema=GROUPS)]).sort_by(
        [("group", "ascending"), ("id", "ascending")]
    )


@dataclass(frozen=True)
class Mark:
    """Row number `row` is a duplicate of row number `of`."""

    row: int
    of: int
    level: str
    distance: float


@dataclass(frozen=True)
class Graph:
    """Live rows by number, best first, and the contents they have; pairs are between contents.

    `contents[row]` is the row's content; content c has the edges from `starts[c]` to before `starts[c + 1]`.
    """

    contents: Ints
    starts: Ints
    others: Ints
    levels: list[str]
    distances: npt.NDArray[np.float64]


def _graph(ids: pa.ChunkedArray, pairs: pa.Table, counts: pa.ChunkedArray) -> Graph:
    equal = pairs.filter(pc.equal(pairs["level"], "content"))
    alike = pairs.filter(pc.and_(counts, pc.not_equal(pairs["level"], "content")))
    names = pc.coalesce(equal["a"].take(pc.index_in(ids, value_set=equal["b"])), ids)
    known = pc.unique(names)
    ends = [pc.index_in(alike[end], value_set=known) for end in ("a", "b")]
    live = pc.and_(pc.is_valid(ends[0]), pc.is_valid(ends[1]))
    one, other = (end.filter(live).to_numpy().astype(np.int64) for end in ends)
    alike = alike.filter(live)
    mine, theirs = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.argsort(mine, kind="stable")
    return Graph(
        contents=pc.index_in(names, value_set=known).to_numpy().astype(np.int64),
        starts=np.searchsorted(mine[order], np.arange(len(known) + 1)),
        others=theirs[order],
        levels=np.tile(alike["level"].to_numpy(zero_copy_only=False), 2)[order].tolist(),
        distances=np.tile(alike["distance"].to_numpy(), 2)[order],
    )


def _greedy(graph: Graph, durations_s: npt.NDArray[np.float64]) -> list[Mark]:
    kept: dict[int, int] = {}
    marks: list[Mark] = []
    for row, content in enumerate(graph.contents.tolist()):
        mark = _mark(graph, durations_s, kept, row)
        if mark is None:
            kept[content] = row
            continue
        marks.append(mark)
    return marks


def _mark(graph: Graph, durations_s: npt.NDArray[np.float64], kept: dict[int, int], row: int) -> Mark | None:
    """Why a row is not to be kept, if so."""
    content = int(graph.contents[row])
    if content in kept:
        return Mark(row, kept[content], "content", 0.0)
    edges = range(graph.starts[content], graph.starts[content + 1])
    near = [
        (float(graph.distances[edge]), kept[other], graph.levels[edge])
        for edge in edges
        if (other := int(graph.others[edge])) in kept
        and (graph.levels[edge] != "part" or durations_s[row] <= durations_s[kept[other]])
    ]
    if not near:
        return None
    distance, of, level = min(near)
    return Mark(row, of, level, distance)


def _known(setting: str, names: tuple[str, ...], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise RecipeError(f"{setting} names {name!r}; {nearest(name, known)}")
