"""Rows of drawn clips with their frames as split stores them: what models are measured on."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa

from manifests import columns
from pipeline.demo.paint import random_instance, render
from pipeline.demo.scenes import random_scene

FRAMES, FRAME_PX = 8, (256, 144)


def stored_frames(clips: int) -> pa.Table:
    """Rows with `frames` as split stores them: eight JPEG pictures of a drawn clip each."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, object]] = []
    for number in range(clips):
        scene = random_scene(rng)
        instance = random_instance(scene, rng)
        frames = []
        for place in range(FRAMES):
            picture = render(scene, instance, (place + 0.5) / FRAMES, FRAME_PX)
            _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            frames.append({"pts": place, "time_s": float(place), "jpeg": content.tobytes()})
        rows.append({"id": f"{number:032x}", "asset_id": f"{number:032x}", "frames": frames})
    return columns.table(rows, ["id", "asset_id", "frames"])
