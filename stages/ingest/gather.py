"""From files to assets: equal bytes are one asset, and each file that held them is one of its sources."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns, verdicts
from manifests.sql import query

ASSET = ["id", "parent_id", "asset_id", "source_uri", "corpus", "size_bytes", "source_texts", "location"]


def gather_sources(entries: pa.Table) -> pa.Table:
    """The `sources` table: one row per listed file, with its asset (null when it gave none), role and error.

    Takes entries with `asset_id` and `error` as hashing left them; a source's id comes from content, text and
    URI.
    """
    return query(
        """
        select md5(to_json([asset_id, corpus, source_uri, source_texts::json::varchar])::varchar) as
        source_id, case when role = 'media' then coalesce(asset_id, id_of_unread) end as asset_id,
               source_uri, corpus, role, size_bytes, source_texts, error, location
        from (select *, md5(to_json([corpus, source_uri, 'unread'])::varchar) as id_of_unread from entries)
        order by corpus, source_uri, source_id
        """,
        {"entries": entries},
    )


def gather_assets(sources: pa.Table) -> pa.Table:
    """One row per asset: the first of its sources by URI names it, the texts of all are joined."""
    assets = query(
        """
        select asset_id as id, null::varchar as parent_id, asset_id,
               first(source_uri order by source_uri, corpus) as source_uri,
               first(corpus order by source_uri, corpus) as corpus,
               first(size_bytes order by source_uri, corpus) as size_bytes,
               list_sort(list_distinct(coalesce(flatten(list(source_texts)), []))) as source_texts,
               first(location order by source_uri, corpus) as location
        from sources where role = 'media' group by asset_id order by asset_id
        """,
        {"sources": sources},
    )
    return assets.select(ASSET).cast(columns.schema(ASSET))


def unread(sources: pa.Table) -> pa.Table:
    """Failed verdicts of the assets whose bytes could not be read or were refused: one each, although several
    sources of one name may have failed."""
    bad = sources.filter(pc.and_(pc.equal(sources["role"], "media"), pc.is_valid(sources["error"])))
    errors = dict(sorted(zip(bad["asset_id"].to_pylist(), bad["error"].to_pylist(), strict=True)))
    rows = [
        {"id": asset, "step": "ingest", "fate": "failed", "reason": reason, "detail": detail}
        for asset, error in errors.items()
        for reason, _, detail in [error.partition(": ")]
    ]
    return pa.Table.from_pylist(rows, schema=verdicts.SCHEMA)
