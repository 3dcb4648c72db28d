"""Counts packed datasets with megatron-energon and mlcroissant, installed from requirements/clients.lock.

Usage: `python benchmarks/clients.py FOLDER…`, one dataset each. Exit code 1 on a difference, 2 without
folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlcroissant
from megatron.energon import (
    CaptioningSample,
    Cooker,
    DefaultTaskEncoder,
    TextSample,
    WorkerConfig,
    basic_sample_keys,
    get_loader,
    get_train_dataset,
    stateless,
)
from megatron.energon.flavors.webdataset import BaseWebdatasetFactory


@stateless
def cook(sample: dict[str, Any]) -> TextSample:
    """A packed video sample as a training job may cook it: here the caption, the clip's size and one fact."""
    facts = json.loads(sample["json"])
    text = f"{sample['txt'].decode()} {len(sample['mp4'])} {facts['id']}"
    return TextSample(**basic_sample_keys(sample), text=text)


class Images(DefaultTaskEncoder):
    """Pictures decoded, one by one: a batch would need equal sizes."""

    def __init__(self) -> None:
        super().__init__(raw_batch_type=None)


class Videos(DefaultTaskEncoder):
    """Clips cooked from raw bytes."""

    decoder = None
    cookers = (Cooker(cook),)


def declared(folder: Path) -> int:
    return int(json.loads((folder / "dataset.json").read_text())["samples"])


def energon(folder: Path) -> int:
    """Distinct samples of one epoch, each read as the type that `.nv-meta` names."""
    media = json.loads((folder / "dataset.json").read_text())["media_ext"]
    dataset = get_train_dataset(
        folder,
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
        batch_size=None,
        shuffle_buffer_size=None,
        max_samples_per_sequence=None,
        repeat=False,
        task_encoder=Images() if media == "jpg" else Videos(),
    )
    wanted = CaptioningSample if media == "jpg" else TextSample
    samples = list(get_loader(dataset))
    assert all(isinstance(sample, wanted) for sample in samples)
    return len({sample.__key__ for sample in samples})


def energon_index(folder: Path) -> int:
    """Samples by the `.tar.idx` that Energon itself makes, or -1 when ours differ from it by a byte."""
    ours = sorted(folder.glob("shards/*.tar.idx"))
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        (copy / "shards").mkdir(parents=True)
        for path in folder.glob("shards/*.tar"):
            (copy / "shards" / path.name).symlink_to(path)
        tars = [f"shards/{path.name}" for path in sorted(copy.glob("shards/*.tar"))]
        BaseWebdatasetFactory.prepare_dataset(copy, tars, split_parts_ratio=[("train", 1.0)], workers=1)
        theirs = sorted(copy.glob("shards/*.tar.idx"))
        same = [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]
    return sum(path.stat().st_size // 8 - 1 for path in ours) if same else -1


def croissant(folder: Path) -> int:
    """Records of the record set, or -1 when a file's SHA-256 is not the declared one."""
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    files = [node for node in dataset.metadata.distribution if isinstance(node, mlcroissant.FileObject)]
    for node in files:
        content = (folder / str(node.content_url)).read_bytes()
        if hashlib.sha256(content).hexdigest() != node.sha256:
            return -1
    return len({record["samples/id"] for record in dataset.records("samples")})


CLIENTS = {
    "declared": declared,
    "energon": energon,
    "energon index": energon_index,
    "croissant": croissant,
}


def main(folders: list[Path]) -> int:
    if not folders:
        print("name the folders of packed datasets: make clients DATASETS='out/pack/images …'")
        return 2
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(f"{'dataset':<24}" + "".join(f"{name:>16}" for name in CLIENTS))
    agreed = True
    for folder in folders:
        with contextlib.redirect_stdout(io.StringIO()):
            counts = [count(folder) for count in CLIENTS.values()]
        agreed &= len(set(counts)) == 1
        print(f"{folder.name:<24}" + "".join(f"{count:>16}" for count in counts))
    print("all clients agree" if agreed else "clients differ")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main([Path(name).resolve() for name in sys.argv[1:]]))
