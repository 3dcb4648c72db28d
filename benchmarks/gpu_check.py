"""The model stages without Ray or vLLM: do CPU and CUDA agree, and is a stage as fast as the bare model?

`python -m benchmarks.gpu_check [--device cuda|cpu] [--clips 256]` needs torch 2.11 or newer, open_clip,
transformers, faiss, pyarrow, Pillow, OpenCV and numpy. It makes a ViT-L-14 and a Qwen2-VL of random weights,
prints a table of checks and exits with 1 when one does not hold. Without CUDA it says so and exits with 2;
there, `--device cpu --model RN50 --clips 4` tries the code in about a minute, and agreement is trivial.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.bare import bare_loop
from benchmarks.random_models import random_clip, random_qwen2_vl
from benchmarks.stored import stored_frames
from stages.base import Tensors
from stages.caption.captions import CaptionClips
from stages.dedup.meaning import DECIMALS, Meanings, similar
from stages.models import weights
from stages.models.device import Dtype
from stages.score.embed import EmbedFrames

Check = tuple[str, float, str, bool]
LEAST_SHARE, TURNS = 0.85, 3
LEAST_COSINE: dict[Dtype, float] = {"float32": 0.99999, "bfloat16": 0.999}
# Among the vectors a crowd of more than the 1,024 that are looked up at once on a GPU.
VECTORS, DIMENSION, CROWD, PAIRS = 4_000, 768, 1_200, 1_000
COSINE, MOST, LEAST_FOUND = 0.95, 100, 0.95


def embedder(folder: Path, device: str, clips: int) -> Iterator[Check]:
    """The score stage: agreement with the CPU in two precisions, order of rows, share of a bare loop."""
    batch = 64 if device == "cuda" else 8
    stage = EmbedFrames(clip_model=str(folder), batch=batch, batch_rows=32)
    rows = stored_frames(clips).select(["id", "frames"])
    tensors = {**stage.prepare()(rows), "id": np.array(rows["id"].to_pylist(), dtype=object)}
    few = _some(tensors, np.arange(2))
    with mock.patch("torch.cuda.is_available", return_value=False):
        expected = _embeddings(stage.forward()(few))
    forwards = {dtype: replace(stage, clip_dtype=dtype).forward() for dtype in LEAST_COSINE}
    for dtype, least in LEAST_COSINE.items():
        cosine = float((_embeddings(forwards[dtype](few)) * expected).sum(1).min())
        yield f"embedder, {device} {dtype} against CPU float32", cosine, f">= {least}", cosine >= least
    exact = forwards["float32"]
    order = np.random.default_rng(0).permutation(clips)
    shuffled = _embeddings(exact(_some(tensors, order)))
    apart = float(np.abs(shuffled - _embeddings(exact(tensors))[order]).max())
    yield "embedder, shuffled rows: largest difference", apart, "== 0", apart == 0
    fast: Dtype = "bfloat16" if device == "cuda" else "float32"
    loop = bare_loop(replace(stage, clip_dtype=fast), rows, device)
    yield _share(lambda: _rate(forwards[fast], tensors, stage.batch_rows), loop)


def _share(ours: Callable[[], float], loop: Callable[[], float]) -> Check:
    """The stage's speed by that of the bare model, the median of turns that lie between two bare loops."""
    bare, shares = [loop()], []
    for _ in range(TURNS):
        rate = ours()
        bare.append(loop())
        shares.append(2 * rate / (bare[-2] + bare[-1]))
    share = statistics.median(shares)
    each = ", ".join(f"{one:.2f}" for one in shares)
    return f"embedder, share of the bare loop ({each})", share, f">= {LEAST_SHARE}", share >= LEAST_SHARE


def captioner(folder: Path, device: str) -> Iterator[Check]:
    """The transformers captioner in float32: the same words as on the CPU."""
    rng = np.random.default_rng(1)
    frames = np.empty(8, object)
    frames[:] = list(rng.integers(0, 256, (8, 4, 64, 64, 3), dtype=np.uint8))
    batch: Tensors = {
        "frames": frames,
        "video": np.ones(8, bool),
        "seconds": np.full(8, 4.0),
        "id": np.array([f"{n:032x}" for n in range(8)], dtype=object),
    }
    stage = CaptionClips(captioner=str(folder), engine="transformers", max_tokens=16)
    with mock.patch("torch.cuda.is_available", return_value=False):
        expected = stage.forward()(batch)["captions"].to_pylist()
    found = stage.forward()(batch)["captions"].to_pylist()
    equal = sum(a[0]["text"] == b[0]["text"] for a, b in zip(expected, found, strict=True))
    yield f"captioner, equal captions of 8, {device} against CPU", float(equal), ">= 7", equal >= 7


def search(device: str) -> Iterator[Check]:
    """The product's search for rows that mean the same: exact, and by clusters, against plain arithmetic."""
    import faiss

    gpus = faiss.get_num_gpus()
    where = f"faiss, {gpus} GPUs" if gpus else "faiss, CPU"
    if device == "cuda" and not gpus:
        yield "faiss: this one sees no GPU, not checked", 0.0, "a GPU", False
        return
    vectors = _planted()
    meanings, rows = Meanings(vectors, np.arange(VECTORS)), np.arange(VECTORS)
    expected = _pairs(vectors)
    exact = set(zip(*similar(meanings, rows, COSINE, most=MOST, flat_rows=VECTORS), strict=True))
    wrong = len(exact ^ expected)
    yield f"{where}, {len(expected)} pairs: wrong ones", wrong, "== 0", not wrong
    times = Counter(row for row, _ in expected)
    alone = {(row, other) for row, other in expected if times[row] == 1}
    found = set(zip(*similar(meanings, rows, COSINE, most=MOST, flat_rows=0), strict=True))
    share = len(found & alone) / len(alone)
    what = f"{where}, share of {len(alone)} lone pairs by clusters"
    yield what, share, f">= {LEAST_FOUND}", share >= LEAST_FOUND


def _planted() -> Any:
    """Directions of length 1: a crowd larger than what is looked up at once on a GPU, pairs, and others."""
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((VECTORS, DIMENSION))
    vectors[1:CROWD] = vectors[0] + 0.2 * vectors[1:CROWD]
    vectors[-PAIRS:] = vectors[-2 * PAIRS : -PAIRS] + 0.3 * vectors[-PAIRS:]
    vectors = vectors[rng.permutation(VECTORS)]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _pairs(vectors: Any) -> set[tuple[int, int]]:
    """What `similar` is to find: of each row the first rows before it that are near, by all cosines."""
    wide = vectors.astype(np.float64)
    found = set()
    for row in range(len(wide)):
        near = np.flatnonzero((wide[:row] @ wide[row]).round(DECIMALS) >= COSINE)
        found |= {(row, int(other)) for other in near[:MOST]}
    return found


def _some(tensors: Tensors, places: Any) -> Tensors:
    return {name: tensor[places] for name, tensor in tensors.items()}


def _embeddings(table: Any) -> Any:
    return np.array(table["embedding"].to_pylist(), np.float64)


def _rate(work: Callable[[Tensors], Any], tensors: Tensors, batch: int) -> float:
    """Rows per second after one row, which fills a batch of the model, to warm up."""
    rows = len(tensors["id"])
    work(_some(tensors, np.arange(1)))
    begun = time.perf_counter()
    for at in range(0, rows, batch):
        work(_some(tensors, np.arange(at, min(at + batch, rows))))
    return rows / (time.perf_counter() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", default="ViT-L-14")
    parser.add_argument("--clips", type=int, default=256)
    given = parser.parse_args()
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        print("gpu-check: no CUDA device here, nothing was checked; run it on a machine that has one")
        return 2
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    print(f"{date.today()}  {name}  torch {torch.__version__}  {given.model}, random weights")
    checks: list[Check] = []
    with tempfile.TemporaryDirectory() as root:
        random_clip(Path(root) / "clip", given.model)
        checks += embedder(Path(root) / "clip", given.device, given.clips)
        random_qwen2_vl(Path(root) / "captioner", weights.SHIPPED / "captioner")
        checks += captioner(Path(root) / "captioner", given.device)
    checks += search(given.device)
    for what, value, bar, holds in checks:
        print(f"{what:<60} {value:>10.6g}  {bar:<10} {'holds' if holds else 'MISSED'}")
    return 0 if all(holds for *_, holds in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
