"""Text in stored frames, by PP-OCR: how much of the picture it takes, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from stages.base import Map, Row, Work, per_row, within
from stages.frames import pictures, tiny
from stages.models import weights

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DIGITS = 6
DETECTION, RECOGNITION = "models/PP-OCRv6_det_small.onnx", "models/PP-OCRv6_rec_small.onnx"
# rapidocr's own default for a line that counts as read; of boxes, too, it keeps its own thresholds.
LEAST_ODDS = 0.5
# Frames are looked at in their own size: enlarged to rapidocr's 736 px, each would cost 25 times as much.
LONGEST_PX = 4096


@dataclass(frozen=True)
class ReadText(Map):
    """The share of stored frames that stands in boxes of text and, with `ocr = "text"`, the lines in them.

    PP-OCRv6 (small), with the weights that the package rapidocr carries, by ONNX Runtime on one thread. Of
    each row up to `ocr_frames` frames, evenly spread. The share is the mean over them, to six digits, and the
    same for "area" and "text"; a box is a little larger than its letters. Lines stand from top to bottom and
    left to right, frame after frame, each once; they stay apart, because a line may hold any mark that would
    join them. All null under 16 px on a side. Fails rows with `no_frames`, `bad_frame`.
    """

    reads = ("frames",)
    version = 2

    ocr: Literal["off", "area", "text"] = "off"
    ocr_frames: int = 2

    def __post_init__(self) -> None:
        within(self, "score", ocr_frames=(1, 1000))

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]  # Elsewhere a constant of the class.
        return ("ocr_area_share", "ocr_text") if self.ocr == "text" else ("ocr_area_share",)

    @property
    def active(self) -> bool:
        return self.ocr != "off"

    @property
    def model_label(self) -> str:
        return "PP-OCRv6-small"

    def identity(self) -> dict[str, Any]:
        libraries = ("rapidocr", "onnxruntime", "opencv-python-headless")
        return {
            "weights": [weights.digest_of(file) for file in _weights()],
            **{name: metadata.version(name) for name in libraries},
        }

    def check(self) -> None:
        """Raises RecipeError when the weights are not installed."""
        _weights()

    def open(self) -> Work:
        look = reader(lines=self.ocr == "text")

        def read(row: Row) -> Iterable[Row]:
            shown = pictures(row, self.ocr_frames)
            if tiny(shown):
                return [dict.fromkeys(self.writes)]
            seen = [look(picture) for picture in shown]
            lines = dict.fromkeys(line for _, found in seen for line in found)
            return [
                {
                    "ocr_area_share": round(fmean(share for share, _ in seen), DIGITS),
                    **({"ocr_text": list(lines)} if self.ocr == "text" else {}),
                }
            ]

        return per_row(read, self.writes)


def reader(*, lines: bool) -> Callable[[Array], tuple[float, list[str]]]:
    """Opens the networks; the work finds text in an RGB picture (height, width, 3).

    Returns the share of its pixels inside boxes, and the lines that could be read; none unless `lines`.
    """
    import cv2
    from rapidocr.main import RapidOCRError

    cv2.setNumThreads(1)
    engine = _engine()

    def look(picture: Array) -> tuple[float, list[str]]:
        image, record = engine.preprocess_img(picture[:, :, ::-1])
        try:
            crops, found = engine.detect_and_crop(image, record)
        except RapidOCRError:
            # How it says that there is no text.
            return 0.0, []
        share = _covered(found.boxes, image.shape[0], image.shape[1])
        if not lines:
            return share, []
        answer = engine.recognize_txt(crops)
        told = zip(answer.txts, answer.scores, strict=True)
        return share, [line.strip() for line, odds in told if odds >= LEAST_ODDS and line.strip()]

    return look


def _engine() -> Any:
    from rapidocr import RapidOCR

    detection, recognition = _weights()
    one = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
    settings: dict[str, Any] = {
        # With a path there is nothing that it would download, and below critical it is silent.
        "Det.model_path": str(detection),
        "Rec.model_path": str(recognition),
        "Global.log_level": "critical",
        "Global.use_vertical_padding": False,
        "Det.limit_type": "max",
        "Det.limit_side_len": LONGEST_PX,
        **one,
    }
    return RapidOCR(params=settings)


def _covered(boxes: Array, height: int, width: int) -> float:
    """The share of pixels in boxes (n, 4, 2) of whole pixels, edges included."""
    import cv2
    import numpy

    inside = numpy.zeros((height, width), numpy.uint8)
    for box in boxes:
        cv2.fillConvexPoly(inside, box.astype(numpy.int32), 1)
    return float(inside.mean())


def _weights() -> tuple[Path, Path]:
    return weights.packaged("rapidocr", DETECTION), weights.packaged("rapidocr", RECOGNITION)
