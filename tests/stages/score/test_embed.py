"""Embeddings of stored frames and clips: those of a bare model, each under its own row."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages.frames import decoded
from stages.score.embed import ClipStage, EmbedFrames
from tests.stages.models.build import frames, tiny_clip
from tests.stages.score.work import done

COUNTS = [1, 3, 8, 2, 1, 5, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def stage(folder: Path) -> EmbedFrames:
    return EmbedFrames(clip_model=str(folder), batch=6)


def table(counts: list[int] = COUNTS) -> pa.Table:
    return columns.table(frames(counts), ["id", "frames"])


def test_embeddings_are_those_of_a_bare_model(stage: EmbedFrames, folder: Path) -> None:
    """Frame by frame as open_clip gives them; the clip's is their mean, scaled to length 1."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    found = done(stage, table()).to_pylist()
    assert [row["id"] for row in frames(COUNTS)] == [row["id"] for row in found]
    for row, made in zip(frames(COUNTS), found, strict=True):
        shown = torch.stack([preprocess(decoded(frame["jpeg"])) for frame in row["frames"]])
        with torch.inference_mode():
            expected = model.encode_image(shown, normalize=True).numpy()
        assert expected == pytest.approx(np.array(made["frame_embeddings"]), abs=2e-6)
        mean = expected.mean(0) / np.linalg.norm(expected.mean(0))
        assert mean == pytest.approx(np.array(made["embedding"]), abs=2e-6)


def test_rows_do_not_depend_on_their_neighbours(stage: EmbedFrames) -> None:
    """In any order and any company, the same bits stand under the same id."""
    rows, whole = table(), done(stage, table())
    for seed in range(3):
        order = pa.array(np.random.default_rng(seed).permutation(len(rows))[: len(rows) - seed])
        assert whole.take(order).equals(done(stage, rows.take(order)))


def test_a_row_without_frames_fails(stage: EmbedFrames) -> None:
    """Nothing was stored, or what was stored is spoilt."""
    prepare = stage.prepare()
    for none in ([], None):
        with pytest.raises(RowError, match="no_frames"):
            prepare(columns.table([{"id": "a", "frames": none}], ["id", "frames"]))
    for bytes_ in (b"", b"not a picture"):
        frame = {"pts": 0, "time_s": 0.0, "jpeg": bytes_}
        with pytest.raises(RowError, match="bad_frame"):
            prepare(columns.table([{"id": "a", "frames": [frame]}], ["id", "frames"]))


def test_preparation_is_small_and_loads_no_weights(stage: EmbedFrames, folder: Path, tmp_path: Path) -> None:
    """Bytes, not floats, travel to the model; its weights are not needed for them."""
    path = Path(shutil.copytree(folder, tmp_path / "tiny"))
    (path / "open_clip_model.safetensors").write_bytes(b"")
    bare = dataclasses.replace(stage, clip_model=str(path))
    pixels = bare.prepare()(table())["pixels"]
    assert [(np.uint8, (count, 3, 32, 32)) for count in COUNTS] == [(p.dtype, p.shape) for p in pixels]


def test_the_fingerprint_is_of_the_models_content(stage: EmbedFrames, folder: Path, tmp_path: Path) -> None:
    """Where a model lies and how it runs does not matter, what it is and its precision do."""
    there = Path(shutil.copytree(folder, tmp_path / "tiny"))
    other = tiny_clip(tmp_path / "other" / "tiny", seed=1)
    moved = dataclasses.replace(stage, clip_model=str(there))
    assert stage.fingerprint() == moved.fingerprint()
    assert "tiny" == stage.model_label == stage.settings()["clip_model"]
    faster = dataclasses.replace(stage, clip_threads=2, batch=7, batch_rows=3)
    assert stage.fingerprint() == faster.fingerprint()
    changes: list[dict[str, Any]] = [{"clip_model": str(other)}, {"clip_dtype": "bfloat16"}]
    prints = {dataclasses.replace(stage, **change).fingerprint() for change in changes}
    assert len(changes) == len(prints - {stage.fingerprint()})


@pytest.mark.parametrize("name", ["batch_rows", "batch", "clip_threads"])
def test_numbers_begin_at_one(stage: EmbedFrames, name: str) -> None:
    """Told before any work; so is a model that is not there."""
    stage.check()
    with pytest.raises(RecipeError, match=f"{name} is 1 or more, found 0"):
        dataclasses.replace(stage, **{name: 0}).check()
    with pytest.raises(RecipeError, match="no CLIP model"):
        ClipStage(clip_model="no-such-model").check()
