"""How good the two embedded models are on what they were never trained on: one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL.Image import Image

from pipeline.demo.facts import altered, facts
from pipeline.demo.scenes import TEMPLATES, Scene, caption, picture_caption
from pipeline.demo.training.clip import visible
from pipeline.demo.training.exam_clips import COPIES, SEED, Question, draw_question
from pipeline.demo.training.factors import Array
from stages.base import Tensors
from stages.caption.captions import CaptionClips
from stages.models.captioner import TransformersCaptioner
from stages.models.clip import OpenClip
from stages.models.weights import SHIPPED
from stages.score.embed import pooled

CLIPS = {"seen": 160, "triple": 200, "pair": 120}
PICTURES = {"seen": 100, "triple": 100, "pair": 80}
COPIED = 60


@dataclass(frozen=True)
class ClipMarks:
    """AUC of right captions against those of other scenes and those with one fact wrong, by fact too.

    AUC is the share of (right, wrong) pairs in which the right one scores higher, ties half (Mann-Whitney),
    over all three wordings; the scores of all clips are pooled.
    """

    others: float
    altered: float
    by_fact: dict[str, float]


@dataclass(frozen=True)
class CaptionMarks:
    """Shares of captions that are right to the letter, of facts that are right, and by fact."""

    exact: float
    facts: float
    by_fact: dict[str, float]


@dataclass(frozen=True)
class CopyMarks:
    """Cosines of embeddings: copies of a clip by way, twins (another drawing of its scene), other clips."""

    least_copy: dict[str, float]
    most_twin: float
    distinct_p999: float
    auc_copy_twin: float


class Looks:
    """Embeddings and scores of one CLIP model, made as the steps of the pipeline make them."""

    def __init__(self, folder: Path) -> None:
        settings = OpenClip(str(folder))
        self._pictures, self._words, self._model = settings.pictures(), settings.texts(), settings.open()

    def frames(self, stored: Sequence[Sequence[Image]]) -> list[Array]:
        """(frames, dimension) of each clip."""
        every = self._model.images(np.concatenate([self._pictures(list(frames)) for frames in stored]))
        return np.split(every, np.cumsum([len(frames) for frames in stored])[:-1])

    def clips(self, stored: Sequence[Sequence[Image]]) -> Array:
        """(clips, dimension): the mean of the frames, of length 1."""
        return np.stack([pooled(frames) for frames in self.frames(stored)])

    def texts(self, words: Sequence[str]) -> Array:
        return self._model.texts(self._words(list(words)))


def auc(right: Array, wrong: Array) -> float:
    """The share of pairs in which the right one is greater, equal ones half."""
    ordered = np.sort(wrong)
    below = np.searchsorted(ordered, right, "left") + np.searchsorted(ordered, right, "right")
    return float(below.mean() / 2 / len(wrong))


def mark_clip(looks: Looks, asked: Sequence[Question]) -> ClipMarks:
    """Every right caption in every wording against every wrong one."""
    clips = looks.clips([question.stored for question in asked])
    scores: dict[str, list[Array]] = {"right": [], "others": []}
    for template in TEMPLATES:
        texts = looks.texts([_said(question.scene, question, template) for question in asked])
        cosines = clips @ texts.T
        same = np.array([[visible(a.scene) == visible(b.scene) for b in asked] for a in asked])
        scores["right"].append(cosines.diagonal())
        scores["others"].append(cosines[~same])
        for question, clip in zip(asked, clips, strict=True):
            changed = altered(question.scene)
            found = looks.texts([_said(scene, question, template) for _, scene in changed]) @ clip
            for (name, _), score in zip(changed, found, strict=True):
                scores.setdefault(name, []).append(np.array([score]))
    pooled = {name: np.concatenate(some) for name, some in scores.items()}
    right, others = pooled.pop("right"), pooled.pop("others")
    by_fact = {name: auc(right, wrong) for name, wrong in sorted(pooled.items())}
    return ClipMarks(auc(right, others), auc(right, np.concatenate(list(pooled.values()))), by_fact)


def mark_copies(looks: Looks, asked: Sequence[Question]) -> CopyMarks:
    """Copies must lie closer to their original than twins do, and other clips far away."""
    own = looks.clips([question.stored for question in asked])
    copies = {
        way: (own * looks.clips([question.copies[n] for question in asked])).sum(1)
        for n, way in enumerate(COPIES)
    }
    twins = (own * looks.clips([question.twin for question in asked])).sum(1)
    apart = (own @ own.T)[np.triu_indices(len(own), 1)]
    return CopyMarks(
        {way: float(found.min()) for way, found in copies.items()},
        float(twins.max()),
        float(np.quantile(apart, 0.999)),
        auc(np.concatenate(list(copies.values())), twins),
    )


def captions(folder: Path, asked: Sequence[Question]) -> list[str]:
    """What the captioner says, in float32, asked as the step caption asks."""
    model = TransformersCaptioner(str(folder)).open(CaptionClips().messages)
    frames = np.empty(len(asked), object)
    for n, question in enumerate(asked):
        frames[n] = question.frames
    batch: Tensors = {
        "frames": frames,
        "video": np.array([question.is_video for question in asked]),
        "seconds": np.array([question.seconds for question in asked]),
    }
    return [answer.text for answer in model.captions(batch)]


def mark_captions(asked: Sequence[Question], said: Sequence[str]) -> CaptionMarks:
    """A fact that is missing is wrong, and so is one that there is not."""
    right, every, exact = Counter[str](), Counter[str](), 0
    for question, text in zip(asked, said, strict=True):
        truth = _said(question.scene, question)
        true, told = facts(truth), facts(text)
        exact += truth == text
        for name in true.keys() | told.keys():
            fact = name.split()[0]
            every[fact] += 1
            right[fact] += true.get(name) == told.get(name)
    by_fact = {name: right[name] / every[name] for name in sorted(every)}
    return CaptionMarks(exact / len(asked), right.total() / every.total(), by_fact)


def questions(share: float = 1.0, seed: int = SEED) -> Iterator[tuple[str, str, list[Question]]]:
    """(group, medium, questions) of all groups; `share` takes so much of each. Drawn by two processes."""
    drawn = partial(draw_question, seed=seed)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for medium, counts in (("video", CLIPS), ("picture", PICTURES)):
            for group, count in counts.items():
                copied = group == "seen" and medium == "video"
                first, most = (round(COPIED * share) if copied else 0), max(2, round(count * share))
                with_copies = pool.map(partial(drawn, group, medium, copied=True), range(first))
                rest = pool.map(partial(drawn, group, medium), range(first, most), chunksize=4)
                yield group, medium, [*with_copies, *rest]


def _said(scene: Scene, question: Question, template: int = 0) -> str:
    return (caption if question.is_video else picture_caption)(scene, template)


def _shares(by_name: dict[str, float]) -> str:
    return "  ".join(f"{name} {share:.3f}" for name, share in by_name.items())


def main(
    models: Annotated[Path, typer.Option(help="The folder that holds clip/ and captioner/.")] = SHIPPED,
    share: Annotated[float, typer.Option(help="Of each group of questions, to be quicker.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another one asks other questions.")] = SEED,
) -> None:
    """Examine the embedded models; about eight minutes of two cores."""
    looks = Looks(models / "clip")
    for group, medium, asked in questions(share, seed):
        clip, said = mark_clip(looks, asked), captions(models / "captioner", asked)
        words = mark_captions(asked, said)
        print(f"{group} {medium} n={len(asked)}")
        print(f"  clip: others {clip.others:.4f}  one fact wrong {clip.altered:.4f}  {_shares(clip.by_fact)}")
        print(
            f"  captioner: exact {words.exact:.3f}  facts {words.facts:.4f}  {_shares(words.by_fact)}",
            flush=True,
        )
        if copied := [question for question in asked if question.copies]:
            near = mark_copies(looks, copied)
            print(
                f"  cosines: least copy {_shares(near.least_copy)}; most twin {near.most_twin:.4f}; "
                f"distinct p99.9 {near.distinct_p999:.4f}; AUC copy/twin {near.auc_copy_twin:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    typer.run(main)
