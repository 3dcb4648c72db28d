"""Results of one stage under one fingerprint: append-only parts, and which rows still lack one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import columns, files
from manifests.errors import ManifestError
from manifests.sql import query, quoted

ID_DIGITS = 32
# Failures of a place and not of content: kept for the count, but the row is tried again by the next run.
TRANSIENT = ("unreadable",)
# Side values are read by row groups; none is larger than this, or else it holds one row.
GROUP_BYTES = 256 << 10
# How much of side values stands in one array: 32-bit offsets of lists and bytes end at 2^31.
BLOCK_BYTES = 256 << 20
_LAST = 1 << 40
_PASSING = " or ".join(f"starts_with(error, '{reason}: ')" for reason in TRANSIENT)


def digest_name(side: str) -> str:
    """The small column that stands for a side value wherever a digest is taken."""
    return f"{side}_digest"


def part_name(side: str) -> str:
    """The column that says in which file a side value lies, relative to the work directory."""
    return f"{side}_part"


def inputs(rows: pa.Table, reads: Iterable[str]) -> pa.Array:
    """32 hex digits for each row: the digest of the values that a stage reads of it.

    Resources (where the bytes are) enter no digest; a side column is represented by its own digest.
    """
    read = [columns.column(name) for name in sorted(reads)]
    names = [digest_name(c.name) if c.side else c.name for c in read if not c.resource]
    fields = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in names)
    value = f"to_json(struct_pack({fields}))" if fields else "''"
    small = rows.select(["id", *names]).append_column("_row", pa.array(range(len(rows)), pa.int64()))
    answer = query(f"select md5({value}::varchar) as input from small order by _row", {"small": small})
    return answer["input"].combine_chunks()


@dataclass(frozen=True)
class Results:
    """The parts in one folder; `makes_rows` tells whether a result's key is `parent_id` or `id`.

    A part holds the key, `input` (digest of what was read), the written columns and `error`; side columns lie
    in files of their own, which the part names. A part under its final name is whole, so it counts.
    Reading raises ManifestError for a file that is damaged or gone.
    """

    out: Path
    step: str
    stage: str
    fingerprint: str
    writes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.out / self.step / f"{self.stage}-{self.fingerprint}"

    @property
    def makes_rows(self) -> bool:
        return "id" in self.writes

    @property
    def key(self) -> str:
        return "parent_id" if self.makes_rows else "id"

    @property
    def sides(self) -> list[str]:
        return [name for name in self.writes if columns.column(name).side]

    @property
    def row_columns(self) -> list[str]:
        """The columns that a row gains, in order: written ones, and two small ones for each side column."""
        small = [name for name in self.writes if name not in self.sides]
        return [*small, *(f(side) for side in self.sides for f in (digest_name, part_name))]

    @property
    def schema(self) -> pa.Schema:
        fields = [(self.key, pa.string()), ("input", pa.string())]
        fields += [(name, _type(name)) for name in self.row_columns]
        return pa.schema([*fields, ("error", pa.string())])

    def write(self, table: pa.Table, bucket: str = "") -> pa.Table:
        """Add one part of one bucket; returns it as it was written, side columns replaced by digest and
        place.

        Each file's name holds the digits of its content (`files.keep_table`): the same work done twice is the
        same file, and work that came out otherwise is another part.
        """
        stem = f"{bucket or 'all'}-{{}}"
        for side in self.sides:
            values = table.select(["id", side]).filter(pc.is_valid(table[side]))
            place = files.keep_table(
                self.folder, f"{stem}.{side}.parquet", values, group_rows=_group_rows(values)
            )
            digests = _side_digests(table[side])
            table = table.append_column(digest_name(side), digests)
            table = table.append_column(part_name(side), _where(digests, str(place.relative_to(self.out))))
        small = table.select(self.schema.names).cast(self.schema)
        files.keep_table(self.folder, f"{stem}.parquet", small)
        return small

    def parts(self, bucket: str = "") -> list[Path]:
        """Parts that may hold rows of a bucket, in order of their names; side files left out."""
        found = sorted(p for p in self.folder.glob("*.parquet") if p.name.count(".") == 1)
        return [p for p in found if _overlap(p.name.partition("-")[0], bucket)]

    def read(self, wanted: pa.Table, bucket: str = "") -> pa.Table:
        """The results for `wanted` (id, input); where two attempts wrote the same, the first by part name.

        A failure that was only of the place (TRANSIENT) gives way to any other result.
        """
        statement = f"""
            select parts.* exclude (part_number, rank) from (
                select *, part_number + if(coalesce({_PASSING}, false), {_LAST}, 0) as rank from parts
            ) as parts
            semi join wanted on parts.{self.key} = wanted.id and parts.input = wanted.input
            qualify rank = min(rank) over (partition by {self.key}, input)
        """
        parts = self._parts_table(self.schema, bucket)
        return query(statement, {"parts": parts, "wanted": wanted.select(["id", "input"])}).cast(self.schema)

    def missing(self, wanted: pa.Table, bucket: str = "") -> pa.Table:
        """Those of `wanted` (id, input, …) that have no lasting result yet: the work to do."""
        statement = f"""
            select wanted.* from wanted
            anti join parts on parts.{self.key} = wanted.id and parts.input = wanted.input
                and not coalesce({_PASSING}, false)
        """
        keys = pa.schema([(self.key, pa.string()), ("input", pa.string()), ("error", pa.string())])
        answer = query(statement, {"wanted": wanted, "parts": self._parts_table(keys, bucket)})
        return answer.cast(wanted.schema).sort_by("id")

    def _parts_table(self, schema: pa.Schema, bucket: str) -> pa.Table:
        tables = [files.read_table(self.out, part, schema.names) for part in self.parts(bucket)]
        numbered = [
            t.append_column("part_number", pa.array([n] * len(t), pa.int64())) for n, t in enumerate(tables)
        ]
        empty = schema.append(pa.field("part_number", pa.int64())).empty_table()
        return pa.concat_tables([empty, *numbered])


def read_side(out: Path, rows: pa.Table, side: str) -> pa.ChunkedArray:
    """The side values of these rows, in their order; null where a row has none.

    Only the row groups that hold them are read. Raises ManifestError for a file that is damaged or gone.
    """
    places: dict[str, list[int]] = {}
    for at, place in enumerate(rows[part_name(side)].to_pylist()):
        places.setdefault(place or "", []).append(at)
    pieces: list[_Piece] = []
    for place in sorted(places):
        ats = np.array(places[place])
        if place:
            pieces += _pieces(out, place, side, rows["id"].take(ats), ats)
        else:
            pieces.append((ats, pa.nulls(len(ats), columns.column(side).type)))
    return _in_order(pieces, len(rows), columns.column(side).type)


# Places of rows, and the values there.
_Piece = tuple[npt.NDArray[np.int64], pa.Array]


def _pieces(
    out: Path, place: str, side: str, ids: pa.ChunkedArray, ats: npt.NDArray[np.int64]
) -> Iterator[_Piece]:
    """What one file holds of the wanted ids, row group by row group."""
    with files.reading(out, out / place), pq.ParquetFile(out / place) as file:
        found = pc.index_in(ids, value_set=file.read(columns=["id"])["id"])
        if found.null_count:
            raise ManifestError(f"{out / place} lacks the {side} of a row; {files.remedy(out)}")
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends, wanted = np.cumsum(sizes), found.to_numpy()
        groups = np.searchsorted(ends, wanted, side="right")
        for group in np.unique(groups).tolist():
            here = groups == group
            values = file.read_row_group(group, columns=[side])[side].combine_chunks()
            yield ats[here], values.take(pa.array(wanted[here] - (ends[group] - sizes[group])))


def _in_order(pieces: list[_Piece], count: int, kind: pa.DataType) -> pa.ChunkedArray:
    """The values of all pieces by place, in arrays of about BLOCK_BYTES each."""
    piece, within, weight = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)
    for number, (ats, values) in enumerate(pieces):
        piece[ats], within[ats] = number, np.arange(len(ats))
        weight[ats] = values.nbytes / len(ats)
    ends = np.flatnonzero(np.diff(np.cumsum(weight) // BLOCK_BYTES)) + 1
    blocks = [block for block in np.split(np.arange(count), ends) if len(block)]
    return pa.chunked_array([_block(pieces, piece[block], within[block]) for block in blocks], kind)


def _block(pieces: list[_Piece], piece: npt.NDArray[np.int64], within: npt.NDArray[np.int64]) -> pa.Array:
    order = np.argsort(piece, kind="stable")
    numbers, starts = np.unique(piece[order], return_index=True)
    taken = [
        pieces[number][1].take(pa.array(ats))
        for number, ats in zip(numbers.tolist(), np.split(within[order], starts[1:]), strict=True)
    ]
    return pa.concat_arrays(taken).take(pa.array(np.argsort(order)))


def _group_rows(values: pa.Table) -> int:
    return int(max(1, GROUP_BYTES * len(values) // max(1, values.nbytes)))


def _overlap(one: str, other: str) -> bool:
    return one == "all" or one.startswith(other) or other.startswith(one)


def _type(name: str) -> pa.DataType:
    side = name.removesuffix("_digest").removesuffix("_part")
    return pa.string() if side != name and side in columns.COLUMNS else columns.column(name).type


def _side_digests(values: pa.ChunkedArray) -> pa.Array:
    # One value after the other: of all at once there would be as much again.
    return pa.array([None if v is None else _digest(v) for v in (v.as_py() for v in values)], pa.string())


def _digest(value: object) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()[:ID_DIGITS]


def _where(digests: pa.Array, place: str) -> pa.Array:
    return pc.if_else(pc.is_valid(digests), pa.scalar(place), pa.scalar(None, pa.string()))
