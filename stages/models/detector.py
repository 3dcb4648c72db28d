"""Object detectors of transformers, by name or folder: where in a picture a label is, and how likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.frames import Prepare
from stages.models.classifier import Classifier
from stages.models.device import Padded, device, precision

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Detector(Classifier):
    """A checkpoint of AutoModelForObjectDetection: RT-DETR, D-FINE, DETR, YOLOS and their like."""

    kind = "detector"
    head = "ForObjectDetection"

    def pictures(self) -> Prepare:
        """Opens the model's preprocessing; it makes float32 pixels (n, 3, height, width) of pictures.

        For some models the size of the first decides height and width; the others are brought to it.
        """
        import numpy
        from transformers import AutoImageProcessor

        processor: Any = AutoImageProcessor.from_pretrained(self._local, trust_remote_code=False)

        def prepare(pictures: Sequence[Image]) -> Array:
            # One by one and unpadded, so that boxes are shares of the picture and no neighbour changes it.
            sized = [picture.resize(pictures[0].size) for picture in pictures]
            made = [processor(images=one, do_pad=False, return_tensors="np")["pixel_values"] for one in sized]
            pixels: Array = numpy.concatenate(made).astype(numpy.float32)
            return pixels

        return prepare

    def open(self) -> Callable[[Array], Array]:
        """Loads the weights; the work finds the label in pixels.

        Returns (n, queries, 5): the odds, then left, top, right, bottom as shares of the picture.
        """
        import torch
        from transformers import AutoModelForObjectDetection

        local, where, dtype = self._local, device(self.threads), precision(self.dtype)
        place = self._place(local)
        loaded: Any = AutoModelForObjectDetection.from_pretrained(
            local, use_safetensors=True, trust_remote_code=False
        )
        model = loaded.eval().to(where, dtype)

        def found(pixels: Array) -> Array:
            with torch.inference_mode():
                answer = model(pixel_values=torch.from_numpy(pixels).to(where, dtype))
                odds = label_odds(answer.logits.float(), model.config.num_labels, place)
                made = torch.cat([odds[..., None], corners(answer.pred_boxes.float())], -1)
            together: Array = made.cpu().numpy()
            return together

        return Padded(found, self.batch)


def label_odds(logits: torch.Tensor, labels: int, place: int) -> torch.Tensor:
    """How likely each query (n, queries) is of one label, by logits (n, queries, outputs).

    A model with one output more than labels says "nothing" with the last: softmax, and 0 where another label
    is likelier (DETR, YOLOS). Others say each label by itself: sigmoid (RT-DETR, D-FINE, Deformable DETR). So
    do the models' own processors.
    """
    if logits.shape[-1] == labels:
        return logits[..., place].sigmoid()
    odds = logits.softmax(-1)[..., :labels]
    return odds[..., place] * (odds.argmax(-1) == place)


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes (…, 4) of middle and sides as left, top, right, bottom, within the picture of 0 to 1."""
    import torch

    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1).clamp(0, 1)
