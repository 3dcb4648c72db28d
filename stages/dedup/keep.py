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
    [
        ("group", pa.string()),
        ("id", pa.string()),
        ("level", pa.string()),
        ("distance", pa.float64()),
        ("cosine", pa.float64()),
    ]
)
_DISTANCE = r"^distance (?P<value>[0-9.]+)"
_COSINE = r"^cosine (?P<value>[0-9.]+)"
# Rows whose durations differ by at most this share show as much as each other, as at the level perceptual.
_AS_LONG = 0.1

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MarkDuplicates(Whole):
    """Keeps rows one by one in the stated order, each unless it is a neighbour of a row that is kept.

    `order` names what goes first: more pixels, a longer duration, more bytes of the asset; the smaller id
    decides in the end, named or not. `levels` of the stored pairs count: content, and with it perceptual,
    part and semantic. A perceptual pair counts within `radius_bits`, a part within `part_radius_bits`, both
    within `colour_levels`; the graph must have been stored at least as wide. At the level part only the
    shorter row can be the duplicate: what it shows is in the longer one, not the reverse.

    A pair of any level that does not count there counts as semantic when its `cosine` is reached and it also
    looks alike: moment by moment in order (`looks.in_order`) within `semantic_radius_bits`, and on average
    over the picture within `semantic_colour_levels`. No cosine alone can decide, as another shot of the same
    words is no copy, so it is loose and the look is strict. Again the duplicate is the shorter row, or one as
    long within a tenth.

    Every duplicate is a direct neighbour of the kept row that it names (rows of equal content are one node),
    so where A~B and B~C but not A~C, keeping A keeps C too.

    `radius_bits` 10 is the default of imagededup, `colour_levels` lies between what was measured on drawn
    corpora of five seeds and 449 real images: of re-encodings and rescales the farthest were 8 bits and 7
    levels away, and within 16 bits no distinct pair nearer than 11 levels (a scene drawn anew: 7 bits, 14
    levels), though distinct pairs begin at 3 bits. In those corpora the moments of trims were at most 11.5
    bits and 2.3 mean levels from the whole clip's, those of scenes drawn anew at least 7 bits and 4.6 levels;
    of 36,690 distinct pairs 5 were within 3 levels, none of them within 16 bits. `cosine` lies below
    what the embedded model gave trims of three seeds (0.977 at least, 0.996 the median; re-encodings and
    rescales 0.991 at least), and above distinct clips (99.9 % below 0.85); scenes drawn anew reached 0.994.
    """

    reads = ("width_px", "height_px", "duration_s", "size_bytes")

    order: tuple[str, ...] = ("pixels", "duration", "bytes", "id")
    levels: tuple[str, ...] = LEVELS
    radius_bits: float = 10.0
    part_radius_bits: float = 8.0
    colour_levels: float = 8.0
    cosine: float = 0.96
    semantic_radius_bits: float = 16.0
    semantic_colour_levels: float = 3.0

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

        `reason` is the level, `of` the kept row, `detail` the distance or cosine and what was allowed. Of
        several kept neighbours the one of equal content is named, else the nearest that looks alike, else the
        one of the highest cosine, else the first in order. `pairs` may hold other rows too; the order of
        either table changes nothing.
        """
        rows = self._ordered(rows)
        graph = _graph(rows["id"], self._counted(pairs))
        durations_s = pc.fill_null(rows["duration_s"], 0.0).to_numpy()
        return self._verdicts(rows["id"], _greedy(graph, durations_s))

    def _ordered(self, rows: pa.Table) -> pa.Table:
        """The rows in the order of keeping."""
        rows = rows.append_column("pixels", pc.multiply(rows["width_px"], rows["height_px"]))
        keys = [(ORDERS[name], "descending") for name in self.order if name != "id"]
        return rows.sort_by([*keys, ("id", "ascending")])

    def _counted(self, pairs: pa.Table) -> pa.Table:
        """The pairs that count, each at the level at which it does."""
        level = self.counts_as(pairs)
        at = pairs.column_names.index("level")
        return pairs.set_column(at, "level", level).filter(pc.is_valid(level))

    def counts_as(self, pairs: pa.Table) -> pa.ChunkedArray:
        """The level at which each pair counts, null for one that does not; those of equal content always."""
        as_found = [
            pc.and_(pc.equal(pairs["level"], level), pc.less_equal(pairs["distance"], radius))
            for level, radius in self._radii().items()
        ]
        near = pc.less_equal(pairs["colour_distance"], self.colour_levels)
        as_found = pc.and_(near, pc.or_(as_found[0], pc.or_(as_found[1], as_found[2])))
        enabled = pc.is_in(pairs["level"], value_set=pa.array(self.levels, pa.string()))
        return pc.if_else(pc.and_(as_found, enabled), pairs["level"], self._meant(pairs))

    def _meant(self, pairs: pa.Table) -> pa.ChunkedArray:
        """`semantic` for pairs that count as such, null for others."""
        near = pc.and_(
            pc.less_equal(pairs["distance"], self.semantic_radius_bits),
            pc.less_equal(pairs["mean_colour_distance"], self.semantic_colour_levels),
        )
        meant = pc.and_(near, pc.greater_equal(pairs["cosine"], self.cosine))
        enabled = "semantic" in self.levels
        return pc.if_else(pc.and_(meant, enabled), "semantic", pa.scalar(None, pa.string()))

    def _radii(self) -> dict[str, float]:
        return {"content": 0.0, "perceptual": self.radius_bits, "part": self.part_radius_bits}

    def _verdicts(self, ids: pa.ChunkedArray, marks: list[Mark]) -> pa.Table:
        names = ids.to_pylist()
        made = [
            {
                "id": names[mark.row],
                "step": "dedup",
                "fate": "duplicate",
                "reason": mark.level,
                "of": names[mark.of],
                "detail": self._told(mark),
            }
            for mark in marks
        ]
        return pa.Table.from_pylist(made, schema=verdicts.SCHEMA).sort_by("id")

    def _told(self, mark: Mark) -> str:
        if mark.level == "semantic":
            return f"cosine {-mark.far:g} of at least {self.cosine:g}"
        return f"distance {mark.far:g} of at most {self._radii()[mark.level]:g} bits"


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
    if mark.cosine < find.graph_cosine:
        raise RecipeError(
            f"dedup.cosine = {mark.cosine:g} is wider than dedup.graph_cosine = {find.graph_cosine:g}; "
            "lower graph_cosine too"
        )


def groups(given: pa.Table) -> pa.Table:
    """The groups behind the verdicts of `MarkDuplicates`: schema GROUPS, by group and id.

    A group is named by the row that is kept, which is in it with the level `kept`. `distance` is in bits, of
    each row from the kept one, null at the level semantic, which has a `cosine` instead. Rows without
    duplicates are in no group.
    """
    told = [_told_number(given["detail"], pattern) for pattern in (_DISTANCE, _COSINE)]
    members = pa.table([given["of"], given["id"], given["reason"], *told], schema=GROUPS)
    kept = pc.unique(given["of"])
    levels, none = pa.array(["kept"] * len(kept), pa.string()), pa.array([0.0] * len(kept), pa.float64())
    kept = pa.table([kept, kept, levels, none, pa.nulls(len(kept), pa.float64())], schema=GROUPS)
    return pa.concat_tables([members, kept]).sort_by([("group", "ascending"), ("id", "ascending")])


def _told_number(details: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.struct_field(pc.extract_regex(details, pattern), "value").cast(pa.float64())


@dataclass(frozen=True)
class Mark:
    """Row number `row` is a duplicate of row number `of`; `far` is in bits, or minus the cosine."""

    row: int
    of: int
    level: str
    far: float


@dataclass(frozen=True)
class Graph:
    """Live rows by number, best first, and the contents they have; pairs are between contents.

    `contents[row]` is the row's content; content c has the edges from `starts[c]` to before `starts[c + 1]`.
    """

    contents: Ints
    starts: Ints
    others: Ints
    levels: list[str]
    far: npt.NDArray[np.float64]


def _graph(ids: pa.ChunkedArray, pairs: pa.Table) -> Graph:
    copies = pc.equal(pairs["level"], "content")
    equal, alike = pairs.filter(copies), pairs.filter(pc.invert(copies))
    names = pc.coalesce(equal["a"].take(pc.index_in(ids, value_set=equal["b"])), ids)
    known = pc.unique(names)
    ends = [pc.index_in(alike[end], value_set=known) for end in ("a", "b")]
    live = pc.and_(pc.is_valid(ends[0]), pc.is_valid(ends[1]))
    one, other = (end.filter(live).to_numpy().astype(np.int64) for end in ends)
    alike = alike.filter(live)
    mine, theirs = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.argsort(mine, kind="stable")
    semantic = pc.equal(alike["level"], "semantic")
    far = pc.if_else(semantic, pc.negate(alike["cosine"]), alike["distance"]).to_numpy()
    return Graph(
        contents=pc.index_in(names, value_set=known).to_numpy().astype(np.int64),
        starts=np.searchsorted(mine[order], np.arange(len(known) + 1)),
        others=theirs[order],
        levels=np.tile(alike["level"].to_numpy(zero_copy_only=False), 2)[order].tolist(),
        far=np.tile(far, 2)[order],
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
    near = []
    for edge in range(graph.starts[content], graph.starts[content + 1]):
        level, of = graph.levels[edge], kept.get(int(graph.others[edge]))
        if of is not None and _shown_in(level, durations_s[row], durations_s[of]):
            near.append((level == "semantic", float(graph.far[edge]), of, level))
    if not near:
        return None
    _, far, of, level = min(near)
    return Mark(row, of, level, far)


def _shown_in(level: str, duration_s: float, kept_s: float) -> bool:
    """Whether a neighbour shows as much as the row, by their durations."""
    if level == "perceptual":
        return True
    return duration_s <= kept_s or (level == "semantic" and duration_s - kept_s <= _AS_LONG * duration_s)


def _known(setting: str, names: tuple[str, ...], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise RecipeError(f"{setting} names {name!r}; {nearest(name, known)}")
