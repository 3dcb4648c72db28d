"""The step caption: what a captioner is shown and asked, and how its answer is recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from manifests import columns, files
from manifests.errors import RecipeError
from stages.base import Model, Tensors
from stages.caption.sample import Shape, sampled
from stages.models import weights
from stages.models.device import Dtype
from stages.models.protocols import Caption

PROMPTS = Path(__file__).parents[2] / "pipeline" / "recipes" / "prompts"
Engine = Literal["transformers", "vllm"]
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Prompt:
    """What a captioner is asked about a clip and about a picture; `label` names the file and its content."""

    video: str
    image: str
    label: str


@dataclass(frozen=True)
class CaptionClips(Model):
    """Writes a caption of each clip and picture, made from a few frames by a chat model that sees.

    `caption_frames` pictures of a clip (see `sample.sampled`) of `caption_frame_px`, shown as one video or as
    so many images (`caption_framing`); the words are those of `prompt_file`, a shipped name or a TOML file
    with `video` and `image`. Greedy, at most `max_tokens`; `batch` rows of equal shape go through the
    model together, always so many, so that a row's caption does not depend on its neighbours. `caption_rows`
    "recaption" leaves out clips whose text fits. A caption is data: versions of libraries and the engine
    ("auto" is vllm where a GPU and vLLM are) do not enter the fingerprint, and both the engine and the prompt
    are recorded with each caption. Fails rows with a word of `media.REASONS`.

    Tensors: `frames`, one uint8 array (n, height, width, 3) a row; `video`, true for a clip, false for a
    picture; `seconds`, the clip's length, 0 for a picture.
    """

    reads = ("location", "kind", "time_base", "start_pts", "end_pts", "start_s", "end_s", "rotation")
    writes = ("captions",)
    selects = ("caption_rows",)
    resources = ("batch_rows", "engine", "captioner_threads", "batch")

    captioner: str = "embedded"
    engine: Literal["auto", "transformers", "vllm"] = "auto"
    caption_rows: Literal["all", "recaption"] = "all"
    captioner_dtype: Dtype = "float32"
    captioner_threads: int = 1
    batch: int = 32
    caption_frames: int = 4
    caption_frame_px: int = 64
    caption_frame_shape: Shape = "square"
    caption_framing: Literal["video", "images"] = "video"
    prompt_file: str = "caption"
    max_tokens: int = 64

    def settings(self) -> dict[str, Any]:
        """The settings; the model and the prompt by their names, wherever their files lie."""
        named = {"captioner": weights.label(self.captioner), "prompt_file": Path(self.prompt_file).stem}
        return {**super().settings(), **named}

    def identity(self) -> dict[str, Any]:
        return {"captioner": weights.identity(self.captioner), "prompt": self.prompt().label}

    @property
    def model_label(self) -> str:
        return weights.label(self.captioner)

    def engine_with(self, gpus: int) -> Engine:
        """The engine that does the work on machines with so many GPUs."""
        if self.engine != "auto":
            return self.engine
        return "vllm" if gpus and util.find_spec("vllm") else "transformers"

    def check(self) -> None:
        """Raises RecipeError: a number below 1, no prompt file, no captioner where the recipe says."""
        from stages.models import captioner

        for name in (
            "batch",
            "caption_frames",
            "caption_frame_px",
            "max_tokens",
            "captioner_threads",
        ):
            if getattr(self, name) < 1:
                raise RecipeError(f"[caption] {name} is 1 or more, found {getattr(self, name)}")
        if self.engine == "vllm" and not util.find_spec("vllm"):
            raise RecipeError('[caption] engine = "vllm", and vLLM is not installed; take engine = "auto"')
        self.prompt()
        captioner.check(self.captioner)

    def fetch(self) -> None:
        from stages.models import captioner

        captioner.fetch(self.captioner)

    def applies(self, rows: pa.Table) -> pa.Array | None:
        """With "recaption", rows on that route and rows without a text."""
        if self.caption_rows == "all":
            return None
        texts = pc.fill_null(pc.list_value_length(rows["source_texts"]), 0)
        return pc.or_(pc.equal(texts, 0), pc.fill_null(pc.equal(rows["route"], "recaption"), False))

    def prepare(self) -> Callable[[pa.Table], Tensors]:
        return self._tensors

    def _tensors(self, table: pa.Table) -> Tensors:
        import numpy

        rows = table.to_pylist()
        frames = numpy.empty(len(rows), object)
        for n, row in enumerate(rows):
            frames[n] = sampled(
                row,
                frames=self.caption_frames,
                frame_px=self.caption_frame_px,
                shape=self.caption_frame_shape,
            )
        seconds = [row["end_s"] - row["start_s"] if row["kind"] == "video" else 0.0 for row in rows]
        video = numpy.array([row["kind"] == "video" for row in rows], bool)
        return {"frames": frames, "video": video, "seconds": numpy.array(seconds, float)}

    def forward(self) -> Callable[[Tensors], pa.Table]:
        """Opens the captioner in this process. Raises RecipeError where the recipe says vllm: Ray runs it."""
        if self.engine == "vllm":
            raise RecipeError(
                'engine "vllm" runs under Ray only; take engine = "transformers" to caption in one process'
            )
        from stages.models.captioner import TransformersCaptioner

        model = TransformersCaptioner(
            self.captioner,
            dtype=self.captioner_dtype,
            threads=self.captioner_threads,
            batch=self.batch,
            max_tokens=self.max_tokens,
        ).open(self.messages)
        return lambda batch: self.recorded(batch, model.captions(batch), "transformers")

    def prompt(self) -> Prompt:
        """The words of the prompt file; raises RecipeError."""
        return read_prompt(self.prompt_file)

    def messages(self, video: bool, pictures: int) -> Messages:
        """The chat that asks for a caption, for every engine alike: the media first, then the words.

        Media stand in it as {"type": "video"} or as so many {"type": "image"}.
        """
        prompt = self.prompt()
        media = [{"type": "image"}] * pictures
        if video and self.caption_framing == "video":
            media = [{"type": "video"}]
        words = {"type": "text", "text": prompt.video if video else prompt.image}
        return [{"role": "user", "content": [*media, words]}]

    def recorded(self, batch: Tensors, answers: list[Caption], engine: Engine) -> pa.Table:
        """`id` and `captions` of a batch: the answers, in its order, each with where it comes from."""
        made = {"model": self.model_label, "engine": engine, "prompt": self.prompt().label}
        shown = [len(frames) for frames in batch["frames"]]
        rows: list[dict[str, object]] = [
            {"id": id_, "captions": [{**made, "frames": frames, **told(answer)}]}
            for id_, answer, frames in zip(batch["id"].tolist(), answers, shown, strict=True)
        ]
        return columns.table(rows, ["id", *self.writes])


def told(answer: Caption) -> dict[str, object]:
    """What one answer says of itself, as the fields of CAPTION."""
    return {
        "text": answer.text,
        "status": status(answer),
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "tokens": answer.tokens,
    }


def status(answer: Caption) -> Literal["ok", "empty", "truncated"]:
    """Whether a caption can be used: it says something, and it came to its end by itself."""
    if not answer.text.strip():
        return "empty"
    return "truncated" if answer.finish_reason == "length" else "ok"


def read_prompt(name: str) -> Prompt:
    """A shipped prompt by its name, or a TOML file with the texts `video` and `image`; raises RecipeError."""
    path, texts = files.named_toml("prompt", name, PROMPTS)
    if set(texts) != {"video", "image"} or not all(isinstance(t, str) and t.strip() for t in texts.values()):
        raise RecipeError(
            f"{path} holds two texts, video = … and image = …; found {', '.join(texts) or 'none'}"
        )
    digest = hashlib.sha256(f"{texts['video']}\0{texts['image']}".encode()).hexdigest()[:12]
    return Prompt(texts["video"], texts["image"], f"{path.stem}-{digest}")
