"""A packed dataset in Croissant 1.0 (mlcommons.org), the vocabulary of dataset search engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests import columns

_FIELD_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean"}
_FILES = {"tar": "application/x-tar", "parquet": "application/x-parquet"}


def croissant(summary: Mapping[str, Any], summary_sha256: str) -> dict[str, Any]:
    """Croissant 1.0: tars and parquets as files with digests, the parquets as one record set.

    The members of the tars are not described: mlcroissant 1.1 cannot read JSON inside a tar. Nor can it
    join parquet files named one by one into a set, so the set is a pattern.
    """
    shards = summary["shards"]
    files = [_summary_file(summary_sha256)]
    files += [_file(shard, ending, kind) for shard in shards for ending, kind in _FILES.items()]
    parts = {
        "@type": "cr:FileSet",
        "@id": "manifests",
        "name": "manifests",
        "encodingFormat": "application/x-parquet",
        "includes": "shards/*.parquet",
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": summary["name"],
        "description": f"{summary['samples']} samples, packed by Reelmix as WebDataset shards.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "distribution": [*files, parts],
        "recordSet": [_record_set(summary)],
    }


def _summary_file(digest: str) -> dict[str, Any]:
    """dataset.json, of which all the cards are made, is held by its digest here."""
    return {
        "@type": "cr:FileObject",
        "@id": "dataset.json",
        "name": "dataset.json",
        "contentUrl": "dataset.json",
        "encodingFormat": "application/json",
        "sha256": digest,
    }


def _file(shard: Mapping[str, Any], ending: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{shard['name']}.{ending}",
        "name": f"{shard['name']}.{ending}",
        "contentUrl": f"shards/{shard['name']}.{ending}",
        "contentSize": f"{shard[f'{ending}_bytes']} B",
        "encodingFormat": kind,
        "sha256": shard[f"{ending}_sha256"],
    }


def _record_set(summary: Mapping[str, Any]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"samples/{field.name}",
            "name": f"samples/{field.name}",
            "dataType": _FIELD_TYPES[str(field.type)],
            "source": {"fileSet": {"@id": "manifests"}, "extract": {"column": field.name}},
        }
        for field in columns.schema(summary["json_columns"])
        if str(field.type) in _FIELD_TYPES
    ]
    return {"@type": "cr:RecordSet", "@id": "samples", "name": "samples", "field": fields}


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
