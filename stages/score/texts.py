"""How well texts fit a clip: cosines between their CLIP embeddings and those of its frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from manifests import columns
from stages.base import Row, Tensors
from stages.models.protocols import Embedder
from stages.score.embed import ClipStage, pooled

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# float32 has about seven digits; the last one may differ between machines, and rules need no more than six.
DIGITS = 6


@dataclass(frozen=True)
class ScoreTexts(ClipStage):
    """CLIP scores of every text that came with the asset; the best one's stand in the row.

    A text's score is the cosine between it and the clip's embedding, the mean of its frames' (CLIPScore
    without its factor 2.5: Hessel et al., EMNLP 2021; mean pooling: CLIP4Clip, arXiv 2104.08860). Mean, max
    and min over the cosines with single frames stand beside it: their mean is lower the more a clip changes,
    however well the text tells all of it. Rounded to six digits. All null without a text. Tensors: see
    `prepared_texts`.
    """

    reads = ("frame_embeddings", "source_texts")
    writes = (
        "clip_score",
        "clip_score_mean",
        "clip_score_max",
        "clip_score_min",
        "text_scores",
        "best_text",
    )
    version = 2

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        return prepared_texts(self, lambda row: row["source_texts"] or [])

    def forward(self) -> Callable[[Tensors], pa.Table]:
        model = self.model.open()

        def scored(batch: Tensors) -> pa.Table:
            rows: list[dict[str, object]] = []
            for id_, texts, found in zip(
                batch["id"].tolist(), batch["texts"].tolist(), cosines(model, batch), strict=True
            ):
                rows.append({"id": id_, **best(json.loads(texts), found)})
            return columns.table(rows, ["id", *self.writes])

        return scored


@dataclass(frozen=True)
class ScoreCaptions(ClipStage):
    """The CLIP score of the new caption (the last one that is `ok`), as ScoreTexts; null without one.

    By the model of the step score: its embeddings are what is compared.
    """

    home = "score"
    reads = ("frame_embeddings", "captions")
    writes = ("caption_score",)
    version = 2

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        return prepared_texts(self, lambda row: usable(row["captions"])[-1:])

    def forward(self) -> Callable[[Tensors], pa.Table]:
        model = self.model.open()

        def scored(batch: Tensors) -> pa.Table:
            rows: list[dict[str, object]] = []
            for id_, found in zip(batch["id"].tolist(), cosines(model, batch), strict=True):
                score = _rounded(found.clip[0]) if len(found.clip) else None
                rows.append({"id": id_, "caption_score": score})
            return columns.table(rows, ["id", *self.writes])

        return scored


def usable(captions: Sequence[dict[str, Any]] | None) -> list[str]:
    """The texts of those captions that came to their end and say something, oldest first."""
    return [caption["text"] for caption in captions or () if caption["status"] == "ok"]


def prepared_texts(stage: ClipStage, texts_of: Callable[[Row], list[str]]) -> Callable[[pa.Table], Tensors]:
    """Opens the tokenizer; makes the tensors of rows whose texts `texts_of` gives.

    `frames`, float32 (frames, dimension) a row; `tokens`, int64 (texts, context) a row; `texts`, the texts
    of a row as JSON, as Ray has no arrays of lists of unequal length.
    """
    import numpy

    tokenize = stage.model.texts()

    def prepared(table: pa.Table) -> Tensors:
        frames, tokens, said = (numpy.empty(len(table), object) for _ in range(3))
        for n, row in enumerate(table.to_pylist()):
            texts, embeddings = texts_of(row), row["frame_embeddings"] or []
            frames[n] = numpy.array(embeddings, numpy.float32).reshape(len(embeddings), -1)
            tokens[n] = tokenize(texts or [""])[: len(texts)]
            said[n] = json.dumps(texts)
        return {"frames": frames, "tokens": tokens, "texts": said}

    return prepared


class Cosines(NamedTuple):
    """Of the texts of one row, in float64: (texts,) with the clip, (texts, frames) with its frames."""

    clip: Array
    frames: Array


def cosines(model: Embedder, batch: Tensors) -> list[Cosines]:
    """The cosines of each row; the texts of all rows go through the model together."""
    import numpy

    counts = [len(tokens) for tokens in batch["tokens"]]
    if not sum(counts):
        return [Cosines(numpy.empty(0), numpy.empty((0, len(frames)))) for frames in batch["frames"]]
    every = model.texts(numpy.concatenate(list(batch["tokens"]))).astype(numpy.float64)
    texts = numpy.split(every, numpy.cumsum(counts)[:-1])
    return [_cosines(*both) for both in zip(texts, batch["frames"], strict=True)]


def _cosines(texts: Array, frames: Array) -> Cosines:
    return Cosines(texts @ pooled(frames), texts @ frames.astype("float64").T)


def best(texts: list[str], found: Cosines) -> dict[str, object]:
    """The columns of ScoreTexts of a row; none without a text."""
    if not texts:
        return {}
    scores = [_rounded(cosine) for cosine in found.clip]
    at = scores.index(max(scores))
    return {
        "clip_score": scores[at],
        "clip_score_mean": _rounded(found.frames[at].mean()),
        "clip_score_max": _rounded(found.frames[at].max()),
        "clip_score_min": _rounded(found.frames[at].min()),
        "text_scores": scores,
        "best_text": texts[at],
    }


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
