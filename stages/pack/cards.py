"""What a packed dataset says of itself, in the words of each of its readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from manifests import columns
from manifests.errors import ManifestError, RecipeError
from manifests.files import read_json, write_bytes
from stages.pack.croissant import croissant

ENERGON_VERSION = "7.4.1"
SUMMARY = "dataset.json"
_THRESHOLD = ("value", "top", "bottom", "by_corpus", "model", "scale", "origin")
SHARED = ("media_ext", "schema", "json_columns")
Shard = Mapping[str, Any]

_ENERGON = {
    "jpg": "sample_type:\n  __module__: megatron.energon\n  __class__: CaptioningSample\n"
    "field_map:\n  image: jpg\n  caption: txt\n",
    "mp4": "__module__: megatron.energon\n__class__: CrudeWebdataset\n",
}
# Decoding video in `datasets` needs torchcodec, so a reader asks for it; pictures need only Pillow.
_MEDIA_FEATURE = {"jpg": "    dtype: image", "mp4": "    dtype:\n      video:\n        decode: false"}


def write_cards(
    folder: Path, shards: Sequence[Shard], *, name: str, run: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the cards of a dataset whose shards (`shard.read_summary`) are complete; returns dataset.json.

    `run` is what the caller wants remembered: recipe, settings, versions, counts by reason; no clock times
    and no absolute paths, so that equal datasets have equal cards. Raises ManifestError without shards, or
    when they disagree.
    """
    summary = summarise(shards, name, run or {})
    for path, content in cards(summary).items():
        write_bytes(folder / path, content)
    write_bytes(folder / SUMMARY, written(summary))
    return summary


def read_summary(folder: Path) -> dict[str, Any]:
    """The dataset.json of a folder; raises ManifestError when it is missing or not ours."""
    try:
        summary = read_json(folder / SUMMARY)
        summarise(parts(summary), summary["name"], summary["run"])
        cards(summary)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecipeError) as error:
        raise ManifestError(f"{folder.name} has no usable {SUMMARY} ({error}); run pack again") from error
    return dict(summary)


def parts(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The shards of a dataset.json as `shard.read_summary` gives them."""
    shared = {key: summary[key] for key in SHARED}
    return [{**part, **shared} for part in summary["shards"]]


def summarise(shards: Sequence[Shard], name: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset.json holds: totals, columns, and each shard with sizes and digests."""
    listed = sorted(shards, key=lambda shard: str(shard["name"]))
    agreed = {(shard["media_ext"], shard["schema"], tuple(shard["json_columns"])) for shard in listed}
    if len(agreed) != 1:
        raise ManifestError(
            f"{name}: {len(listed)} shards of {len(agreed)} shapes; expected one, pack it anew"
        )
    media_ext, schema, json_columns = agreed.pop()
    return {
        "name": name,
        "schema": schema,
        "media_ext": media_ext,
        "json_columns": list(json_columns),
        "samples": sum(shard["samples"] for shard in listed),
        "media_bytes": sum(shard["media_bytes"] for shard in listed),
        "media_s": round(sum(shard["media_s"] for shard in listed), 6),
        "shards": [{key: value for key, value in shard.items() if key not in SHARED} for shard in listed],
        "run": dict(run),
    }


def cards(summary: Mapping[str, Any]) -> dict[str, bytes]:
    """Every card but dataset.json, path to bytes: a function of dataset.json alone, so it can be checked.

    For Hugging Face `datasets`, wids, mlcroissant, open_clip and megatron-energon, in this order.
    """
    shards = summary["shards"]
    return {
        "README.md": _readme(summary).encode(),
        "index.json": written(_wids(summary)),
        "croissant.json": written(croissant(summary, hashlib.sha256(written(summary)).hexdigest())),
        "shards/sizes.json": written({f"{shard['name']}.tar": shard["samples"] for shard in shards}),
        ".nv-meta/dataset.yaml": _ENERGON[summary["media_ext"]].encode(),
        ".nv-meta/split.yaml": _energon_split(shards).encode(),
        ".nv-meta/.info.json": written(_energon_info(shards)),
    }


def written(value: object) -> bytes:
    """JSON as the cards hold it: equal values are equal bytes."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _wids(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The index of wids 0.1.11; addresses are relative to the index."""
    listed = [
        {
            "url": f"shards/{shard['name']}.tar",
            "nsamples": shard["samples"],
            "md5sum": shard["tar_md5"],
            "filesize": shard["tar_bytes"],
        }
        for shard in summary["shards"]
    ]
    return {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": summary["name"],
        "shardlist": listed,
    }


def _energon_split(shards: Sequence[Shard]) -> str:
    names = f"{{{shards[0]['name']}..{shards[-1]['name']}}}" if len(shards) > 1 else shards[0]["name"]
    return f"split_parts:\n  train:\n  - shards/{names}.tar\n  val: []\n  test: []\nexclude: []\n"


def _energon_info(shards: Sequence[Shard]) -> dict[str, Any]:
    counts = {f"shards/{shard['name']}.tar": shard["samples"] for shard in shards}
    return {"energon_version": ENERGON_VERSION, "shard_counts": counts}


def front_matter(readme: str) -> str:
    """The part of a README.md that machines read: the YAML between the first two lines of three dashes."""
    return readme.split("\n---\n")[0]


def _readme(summary: Mapping[str, Any]) -> str:
    name, media = summary["name"], summary["media_ext"]
    lines = ["---", f"pretty_name: {json.dumps(name)}", "configs:", "- config_name: default", "  data_files:"]
    lines += ["  - split: train", '    path: "shards/*.tar"', "dataset_info:", "  features:"]
    lines += ["  - name: __key__", "    dtype: string", "  - name: __url__", "    dtype: string"]
    lines += [f"  - name: {media}", _MEDIA_FEATURE[media], "  - name: txt", "    dtype: string"]
    lines += ["  - name: json", "    struct:"]
    for field in columns.schema(summary["json_columns"]):
        lines += _feature(field, "    ")
    lines += ["---", "", *_body(summary)]
    return "\n".join(lines) + "\n"


def _feature(field: pa.Field, indent: str) -> list[str]:
    """A column as `datasets` 4 and 5 write it in dataset_info; without it they guess from five samples."""
    # Quoted, because YAML reads a bare `n` or `on` as a boolean.
    lines = [f"{indent}- name: {json.dumps(field.name)}"]
    kind = field.type
    if not pt.is_list(kind):
        return [*lines, *_dtype("dtype", kind, indent + "  ")]
    return [*lines, *_dtype("list", kind.value_type, indent + "  ")]


def _dtype(word: str, kind: pa.DataType, indent: str) -> list[str]:
    if pt.is_struct(kind):
        word = "struct" if word == "dtype" else word
        return [f"{indent}{word}:", *(line for field in kind for line in _feature(field, indent))]
    return [f"{indent}{word}: {'float64' if pt.is_floating(kind) else kind}"]


def _body(summary: Mapping[str, Any]) -> list[str]:
    media, shards = summary["media_ext"], summary["shards"]
    lines = [
        f"# {summary['name']}",
        "",
        f"{summary['samples']} samples in {len(shards)} shards, packed by Reelmix: `KEY.{media}`,",
        "`KEY.txt` (its text, may be empty) and `KEY.json` (the columns below). `shards/NAME.parquet` lists",
        "the samples of `shards/NAME.tar` with offset and size of each member and the SHA-256 of its media.",
        "",
        "```python",
        'datasets.load_dataset("FOLDER", streaming=True)',
        f'webdataset.WebDataset("FOLDER/shards/{shards[0]["name"]}.tar", shardshuffle=False)',
        'wids.ShardListDataset("FOLDER/index.json")',
        "duckdb.sql(\"select * from 'FOLDER/shards/*.parquet'\")",
        "```",
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
    ]
    chosen = [columns.column(name) for name in summary["json_columns"]]
    lines += [f"| {one.name} | {one.type} | {one.unit} | {one.meaning} |" for one in chosen]
    return lines + _judged(summary["run"].get("rules", []))


def _judged(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rules by which the samples were chosen, with their thresholds."""
    if not rules:
        return []
    head = ["", "Every sample was judged by these rules:", "", "| rule | after | keep | thresholds |"]
    return [*head, "|---|---|---|---|", *(_rule(rule) for rule in rules)]


def _rule(rule: Mapping[str, Any]) -> str:
    thresholds = [
        f"{parameter['name']}: " + ", ".join(f"{k} {parameter[k]}" for k in _THRESHOLD if k in parameter)
        for parameter in rule["parameters"]
    ]
    cells = [rule["name"], rule["after"], f"`{rule['keep']}`", "; ".join(thresholds)]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
