"""The model stages without Ray or vLLM: do CPU and CUDA agree, and is a stage as fast as the bare model?

`python -m benchmarks.gpu_check [--device cuda|cpu] [--clips 256]` needs torch 2.11 or newer, open_clip,
transformers, faiss, pyarrow, Pillow and numpy. It makes a ViT-L-14 and a Qwen2-VL of random weights, prints a
table of checks and exits with 1 when one does not hold. Without CUDA it says so and exits with 2; there,
`--device cpu --model ViT-B-32 --clips 8` tries the code, and agreement is trivial.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.random_models import random_clip, random_qwen2_vl
from benchmarks.stored import stored_frames
from stages.base import Tensors
from stages.caption.captions import CaptionClips
from stages.models import weights
from stages.score.embed import EmbedFrames

Check = tuple[str, float, str, bool]
LEAST_SHARE, LEAST_COSINE_BF16, LEAST_COSINE_FP32 = 0.85, 0.999, 0.99999
VECTORS, DIMENSION = 20_000, 768


def embedder(folder: Path, device: str, clips: int) -> Iterator[Check]:
    """The score stage: agreement with the CPU in two precisions, order of rows, share of a bare loop."""
    batch = 64 if device == "cuda" else 8
    stage = EmbedFrames(clip_model=str(folder), batch=batch, batch_rows=32, clip_threads=2)
    rows = stored_frames(clips).select(["id", "frames"])
    tensors = {**stage.prepare()(rows), "id": np.array(rows["id"].to_pylist(), dtype=object)}
    few = _some(tensors, np.arange(4))
    with mock.patch("torch.cuda.is_available", return_value=False):
        expected = _embeddings(stage.forward()(few))
    exact = stage.forward()
    for dtype, least in (("float32", LEAST_COSINE_FP32), ("bfloat16", LEAST_COSINE_BF16)):
        forward = exact if dtype == "float32" else replace(stage, clip_dtype=dtype).forward()
        cosine = float((_embeddings(forward(few)) * expected).sum(1).min())
        yield f"embedder, {device} {dtype} against CPU float32", cosine, f">= {least}", cosine >= least
    order = np.random.default_rng(0).permutation(clips)
    shuffled = _embeddings(exact(_some(tensors, order)))
    apart = float(np.abs(shuffled - _embeddings(exact(tensors))[order]).max())
    yield "embedder, shuffled rows: largest difference", apart, "== 0", apart == 0
    fast = replace(stage, clip_dtype="auto")
    share = _rate(fast.forward(), tensors, fast.batch_rows) / _bare_rate(fast, tensors)
    yield "embedder, share of the bare loop", share, f">= {LEAST_SHARE}", share >= LEAST_SHARE


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
    """FAISS: the neighbours that the GPU index finds are those of the CPU's."""
    import faiss

    vectors = np.random.default_rng(2).standard_normal((VECTORS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index: Any = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    _, expected = index.search(vectors[:256], 8)
    name = "faiss, equal neighbours"
    if device == "cuda" and not getattr(faiss, "get_num_gpus", lambda: 0)():
        yield f"{name}: this faiss sees no GPU, not checked", 0.0, "a GPU", False
        return
    if device == "cuda":
        index = faiss.index_cpu_to_all_gpus(index)
    _, found = index.search(vectors[:256], 8)
    share = float((found == expected).mean())
    yield f"{name}, {device} against CPU", share, ">= 0.999", share >= 0.999


def _some(tensors: Tensors, places: Any) -> Tensors:
    return {name: tensor[places] for name, tensor in tensors.items()}


def _embeddings(table: Any) -> Any:
    return np.array(table["embedding"].to_pylist(), np.float64)


def _rate(work: Callable[[Tensors], Any], tensors: Tensors, batch: int) -> float:
    """Rows per second after one batch to warm up."""
    rows = len(tensors["id"])
    work(_some(tensors, np.arange(min(batch, rows))))
    begun = time.perf_counter()
    for at in range(0, rows, batch):
        work(_some(tensors, np.arange(at, min(at + batch, rows))))
    return rows / (time.perf_counter() - begun)


def _bare_rate(stage: EmbedFrames, tensors: Tensors) -> float:
    """Rows per second of the model alone on batches that lie on the device already."""
    import open_clip
    import torch

    from stages.models.device import device, precision

    where = device(stage.clip_threads)
    dtype = precision(stage.clip_dtype, where)
    model: Any = open_clip.create_model(f"local-dir:{stage.clip_model}", device=where)
    model = model.eval().to(dtype=dtype)
    size = tensors["pixels"][0].shape[-1]
    pixels = torch.rand(stage.batch, 3, size, size, device=where, dtype=dtype)
    frames = sum(len(each) for each in tensors["pixels"])
    passes = max(2, frames // stage.batch)
    with torch.inference_mode():
        model.encode_image(pixels).float().sum().item()
        begun = time.perf_counter()
        for _ in range(passes):
            model.encode_image(pixels).float().sum().item()
        spent_s = time.perf_counter() - begun
    return passes * stage.batch / spent_s * len(tensors["id"]) / frames


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
