"""Results of one stage under one fingerprint: append-only parts, and which rows still lack one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import columns, files
from manifests.sql import query, quoted

ID_DIGITS = 32
# Failures of a place and not of content: kept for the count, but the row is tried again by the next run.
TRANSIENT = ("unreadable",)
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
    in a file of their own with the same stem. A part under its final name is whole, so it counts.
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

        The name comes from the keys and inputs: the same work done twice is the same file.
        """
        keys = table[self.key].to_pylist() + table["input"].to_pylist()
        stem = f"{bucket or 'all'}-{hashlib.sha256(''.join(keys).encode()).hexdigest()[:16]}"
        for side in self.sides:
            place = self.folder / f"{stem}.{side}.parquet"
            files.write_table(place, table.select(["id", side]).filter(pc.is_valid(table[side])))
            digests = _side_digests(table[side])
            table = table.append_column(digest_name(side), digests)
            table = table.append_column(part_name(side), _where(digests, str(place.relative_to(self.out))))
        small = table.select(self.schema.names).cast(self.schema)
        files.write_table(self.folder / f"{stem}.parquet", small)
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
        tables = [pq.read_table(part, columns=schema.names) for part in self.parts(bucket)]
        numbered = [
            t.append_column("part_number", pa.array([n] * len(t), pa.int64())) for n, t in enumerate(tables)
        ]
        empty = schema.append(pa.field("part_number", pa.int64())).empty_table()
        return pa.concat_tables([empty, *numbered])


def read_side(out: Path, rows: pa.Table, side: str) -> pa.Array:
    """The side values of these rows, in their order; null where a row has none."""
    parts = [pa.table({"id": pa.array([], pa.string()), side: pa.array([], columns.column(side).type)})]
    for place in sorted({p for p in rows[part_name(side)].to_pylist() if p}):
        ids = rows.filter(pc.equal(rows[part_name(side)], place))["id"]
        parts.append(pq.read_table(out / place, filters=pc.field("id").isin(ids.combine_chunks())))
    values = pa.concat_tables(parts).combine_chunks()
    found = pc.index_in(rows["id"].combine_chunks(), value_set=values["id"].combine_chunks())
    return values[side].combine_chunks().take(found)


def _overlap(one: str, other: str) -> bool:
    return one == "all" or one.startswith(other) or other.startswith(one)


def _type(name: str) -> pa.DataType:
    side = name.removesuffix("_digest").removesuffix("_part")
    return pa.string() if side != name and side in columns.COLUMNS else columns.column(name).type


def _side_digests(values: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if v is None else _digest(v) for v in values.to_pylist()], pa.string())


def _digest(value: object) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()[:ID_DIGITS]


def _where(digests: pa.Array, place: str) -> pa.Array:
    return pc.if_else(pc.is_valid(digests), pa.scalar(place), pa.scalar(None, pa.string()))
