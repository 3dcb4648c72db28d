"""Small packed datasets of both kinds, written anew for each test that asks."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stages.pack import cards, shard
from stages.pack.shard import Sample

Write = Callable[..., Path]


def jpeg(number: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (48, 32), (number * 20 % 256, 50, 60)).save(made, "JPEG")
    return made.getvalue()


def sample(number: int, kind: str, media: bytes, **values: Any) -> Sample:
    """A sample with the columns that every packed row has, and a hash that only unsigned numbers can hold."""
    key = hashlib.md5(f"{kind}{number}".encode()).hexdigest()
    row = {
        "id": key,
        "asset_id": key,
        "kind": kind,
        "corpus": "test",
        "source_uri": f"folder/{number}",
        "media_ext": {"image": "jpg", "video": "mp4"}[kind],
        "media_bytes": len(media),
        "media_sha256": hashlib.sha256(media).hexdigest(),
        "media_how": "encoded",
        "width_px": 48,
        "duration_s": 1.5 if kind == "video" else None,
        "phashes": [2**64 - 1],
    }
    return Sample({**row, **values}, media, f"caption {number} 中")


def late(samples: list[Sample]) -> list[Sample]:
    """In the order of ids: nulls, empty lists and whole numbers in the first six, then their types."""
    made = []
    for place, one in enumerate(sorted(samples, key=lambda one: str(one.row["id"]))):
        first: dict[str, object] = {"detail": 1.0, "motion": None, "source_texts": []}
        then: dict[str, object] = {"detail": 1.5, "motion": 0.25, "source_texts": ["früh", "late"]}
        made.append(Sample({**one.row, **(first if place < 6 else then)}, one.media, one.text))
    return made


@pytest.fixture
def new_sample() -> Callable[..., Sample]:
    return sample


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """write(kind, count, shards=2) -> the folder of a dataset."""

    def written(kind: str, count: int, shards: int = 2) -> Path:
        media = jpeg if kind == "image" else (lambda number: b"\0\0\0\x10ftypisom%04d" % number)
        samples = late([sample(number, kind, media(number)) for number in range(count)])
        folder = tmp_path / {"image": "images", "video": "video-clips"}[kind]
        each = -(-count // shards)
        parts = [
            shard.write_shard(folder, f"{place:06d}", samples[place * each : (place + 1) * each])
            for place in range(shards)
        ]
        cards.write_cards(folder, parts, name=folder.name, run={"recipe": "test"})
        return folder

    yield written
