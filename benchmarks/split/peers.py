"""Who else finds shots: ffmpeg's and PySceneDetect's commands for the price, PySceneDetect's detectors for
the boundaries.

Usage: `python -m benchmarks.split.peers FILE`; prints the boundaries of each detector as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.split.costs import Cost, added, cost

if TYPE_CHECKING:
    from scenedetect.detector import SceneDetector

DETECTORS = ("content", "adaptive", "histogram", "hash")


def bare(path: Path) -> Cost:
    """One decode of the file with nothing done to it."""
    return cost([*_ffmpeg(path), "-f", "null", "-"])


def separate(path: Path, folder: Path) -> Cost:
    """Three passes, one for each thing that ours does in one: scene scores, pictures of 256 px once a second,
    and 48 x 27 pictures of every frame."""
    pictures = ["-vf", "fps=1,scale=256:-2:flags=fast_bilinear", "-q:v", "3", str(folder / "p%05d.jpg")]
    tiny = ["-vf", "scale=48:27:flags=fast_bilinear", "-pix_fmt", "rgb24", "-f", "rawvideo"]
    passes = (["-vf", "scdet", "-f", "null", "-"], pictures, [*tiny, "-y", "/dev/null"])
    return added([cost([*_ffmpeg(path), *one]) for one in passes])


def command_line(path: Path, detector: str, backend: str, folder: Path) -> Cost:
    """PySceneDetect's own command with its defaults, save for a backend that can read the file."""
    opened = ["-i", str(path), "-b", backend, "-o", str(folder)]
    return cost([sys.executable, "-m", "scenedetect", *opened, f"detect-{detector}", "list-scenes"])


def backend(path: str) -> str:
    """PySceneDetect's default, opencv, or pyav for what opencv cannot read: the wheels of opencv bring no
    decoder for AV1, and the command then reports nothing and exits with 0."""
    from scenedetect import open_video

    return "pyav" if open_video(path).read() is False else "opencv"


def found(path: str, backend: str) -> dict[str, list[tuple[str, int, int]]]:
    """The boundaries of each detector at the defaults of its class, nothing merged (min_scene_len=1); the
    frames are made smaller as PySceneDetect's SceneManager does."""
    import cv2
    from scenedetect import open_video
    from scenedetect.scene_manager import compute_downscale_factor

    video = open_video(path, backend=backend)
    factor = compute_downscale_factor(max(video.frame_size))
    width, height = (round(side / factor) for side in video.frame_size)
    made = _detectors()
    cuts: dict[str, list[int]] = {name: [] for name in made}
    while True:
        frame = video.read()
        if frame is False:
            break
        if factor > 1:
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        for name, detector in made.items():
            cuts[name] += [cut.frame_num for cut in detector.process_frame(video.position, frame)]
    for name, detector in made.items():
        cuts[name] += [cut.frame_num for cut in detector.post_process(video.position)]
    return {name: [("hard", frame, frame) for frame in sorted(set(frames))] for name, frames in cuts.items()}


def _detectors() -> dict[str, SceneDetector]:
    from scenedetect import detectors

    classes: dict[str, Callable[..., SceneDetector]] = {
        "content": detectors.ContentDetector,
        "adaptive": detectors.AdaptiveDetector,
        "histogram": detectors.HistogramDetector,
        "hash": detectors.HashDetector,
    }
    return {name: classes[name](min_scene_len=1) for name in DETECTORS}


def _ffmpeg(path: Path) -> list[str]:
    import imageio_ffmpeg

    program = imageio_ffmpeg.get_ffmpeg_exe()
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin"]
    return [program, *quiet, "-threads", "1", "-filter_threads", "1", "-i", str(path), "-an"]


if __name__ == "__main__":
    chosen = backend(sys.argv[1])
    print(json.dumps({"backend": chosen, "found": found(sys.argv[1], chosen)}))
