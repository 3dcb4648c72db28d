"""The model alone: open_clip's own code on pictures that lie prepared, as a measure for the score stage."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from PIL import Image

from stages.score.embed import EmbedFrames

Loop = Callable[[], float]


def bare_loop(stage: EmbedFrames, rows: pa.Table, device: str) -> Loop:
    """Opens the stage's model and prepares the pictures of the rows; each call of what it returns goes
    through all of them once and tells the rows per second.

    Loading, preparation and forward pass are open_clip's, nothing of ours is timed; weights, batch, dtype,
    memory format and threads are the stage's. The last batch is filled up, as the stage does it.
    """
    import open_clip
    import torch

    torch.set_num_threads(stage.clip_threads)
    form = {"dtype": getattr(torch, stage.clip_dtype), "memory_format": torch.channels_last}
    loaded: Any = open_clip.create_model_and_transforms(f"local-dir:{stage.clip_model}", device=device)
    model, _, transform = loaded
    model = model.eval().to(**form)
    pictures = [
        transform(Image.open(io.BytesIO(frame["jpeg"])).convert("RGB"))
        for frames in rows["frames"].to_pylist()
        for frame in frames
    ]
    filled = pictures + pictures[:1] * (-len(pictures) % stage.batch)
    batches = [torch.stack(filled[at : at + stage.batch]) for at in range(0, len(filled), stage.batch)]
    given = [batch.to(device).to(**form) for batch in batches]

    def seen(some: list[Any]) -> float:
        """Seconds that a pass over these batches takes; to read what comes last waits for all."""
        begun = time.perf_counter()
        with torch.inference_mode():
            made = [model.encode_image(batch) for batch in some]
            made[-1].float().cpu()
        return time.perf_counter() - begun

    seen(given[:1])
    return lambda: len(rows) / seen(given)
