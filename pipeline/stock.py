"""Rows and verdicts on their way through a step, one bucket at a time: read lazily, so that memory follows a
bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge, routes
from filters.rules import Rule
from filters.shares import settle
from manifests import rows as verbs
from manifests import verdicts
from manifests.manifest import Manifest
from manifests.sql import query
from manifests.store import Results, inputs
from pipeline.worker import results_of
from stages.base import Stage

# Below this many assets one bucket holds everything; beyond, each bucket holds about that many.
BUCKET_ASSETS = 50_000


@dataclass(frozen=True)
class Stock:
    """`read(bucket)` gives (rows, the verdicts on them); all rows of one asset lie in one bucket.

    `rules` are those that it was judged by last, with the thresholds that were found for shares.
    """

    buckets: tuple[str, ...]
    read: Callable[[str], tuple[pa.Table, pa.Table]]
    rules: tuple[Rule, ...] = ()

    def live(self, bucket: str) -> pa.Table:
        """The rows of a bucket without a fate, fate columns left out."""
        return _live(*self.read(bucket))

    def all_live(self, names: list[str]) -> pa.Table:
        """These columns of every live row."""
        return pa.concat_tables([self.live(bucket).select(names) for bucket in self.buckets])


def bucketed(rows: pa.Table, given: pa.Table) -> Stock:
    """Rows that were just made, bucketed by the first hex digits of their asset's id."""
    digits = 0
    while len(rows) > BUCKET_ASSETS * 16**digits:
        digits += 1
    names = ("",) if digits == 0 else tuple(f"{n:0{digits}x}" for n in range(16**digits))

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        here = rows.filter(pc.starts_with(rows["asset_id"], bucket)) if bucket else rows
        return here, _verdicts_on(here, given)

    return Stock(names, read)


def single(rows: pa.Table) -> Stock:
    """Rows in one bucket, none of them dead."""
    return Stock(("",), lambda _: (rows, verdicts.SCHEMA.empty_table()))


def committed(manifest: Manifest) -> Stock:
    """What a step left."""
    given = manifest.table("verdicts")

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows = manifest.rows(bucket)
        return rows, _verdicts_on(rows, given)

    return Stock(tuple(manifest.buckets()), read)


def absorbed(stock: Stock, stage: Stage, results: Results, *, again: bool = False) -> Stock:
    """The stock after a stage: rows with its results, verdicts with its failures."""

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        found = results.read(wanted(_meant(_live(rows, given), stage), stage), bucket)
        made = verbs.absorb(rows, found, results, again=again)
        return made, pa.concat_tables([given, verbs.failures(found, results)])

    return Stock(stock.buckets, read)


def judged(stock: Stock, rules: tuple[Rule, ...], step: str) -> Stock:
    """The stock after rules: verdicts with those that the rules gave on live rows."""
    if not rules:
        return stock
    settled = settle(rules, stock.all_live)

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        return rows, pa.concat_tables([given, judge(_live(rows, given), settled, step=step)])

    return Stock(stock.buckets, read, settled)


def routed(stock: Stock, rules: tuple[Rule, ...]) -> Stock:
    """The stock whose live rows say whether they are to be captioned anew (`filters.judge.routes`)."""
    settled = settle(rules, stock.all_live)

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        fated = verdicts.with_fates(rows, given)
        return verbs.ordered(rows.append_column("route", routes(fated, settled))), given

    return Stock(stock.buckets, read)


def ruled(stock: Stock, more: pa.Table) -> Stock:
    """The stock with verdicts that a whole-corpus stage gave."""

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        return rows, pa.concat_tables([given, _verdicts_on(rows, more)])

    return Stock(stock.buckets, read)


def joined(stock: Stock, extra: pa.Table) -> Stock:
    """The stock whose rows gained the columns of `extra` (by id), null where it has none."""

    def read(bucket: str) -> tuple[pa.Table, pa.Table]:
        rows, given = stock.read(bucket)
        at = pc.index_in(rows["id"], value_set=extra["id"])
        for name in extra.column_names:
            if name != "id":
                rows = rows.append_column(name, extra[name].take(at))
        return verbs.ordered(rows), given

    return Stock(stock.buckets, read)


def wanted(live: pa.Table, stage: Stage) -> pa.Table:
    """Live rows with `input`, the digest of what the stage reads of each."""
    return live.append_column("input", inputs(live, stage.reads))


def missing(stock: Stock, stage: Stage, results: Results) -> Iterator[tuple[str, pa.Table]]:
    """The work to do, bucket by bucket: live rows that the stage is meant for, without a result."""
    for bucket in stock.buckets:
        todo = results.missing(wanted(_meant(stock.live(bucket), stage), stage), bucket)
        if len(todo):
            yield bucket, todo


def results_for(out: Path, step: str, stages: tuple[Stage, ...]) -> list[Results]:
    """Where the results of these stages lie under their present settings."""
    return [results_of(out, step, stage) for stage in stages]


def _meant(live: pa.Table, stage: Stage) -> pa.Table:
    chosen = stage.applies(live)
    return live if chosen is None else live.filter(chosen)


def _live(rows: pa.Table, given: pa.Table) -> pa.Table:
    alive = verdicts.live(verdicts.with_fates(rows, given))
    return alive.drop_columns(list(verdicts.COLUMNS))


def _verdicts_on(rows: pa.Table, given: pa.Table) -> pa.Table:
    answer = query(
        "select given.* from given semi join small on given.id = small.id",
        {"given": given, "small": rows.select(["id"])},
    )
    return answer.cast(verdicts.SCHEMA)
