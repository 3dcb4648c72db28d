"""Where vLLM is: prepared rows become requests to its engine through `ray.data.llm`, answers become parts."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import ray.data.llm

from pipeline import leash
from pipeline.model import BESIDE, ModelWork
from pipeline.worker import REPORT, checked, results_of
from stages.base import Tensors
from stages.caption.captions import CaptionClips
from stages.models import captioner, weights
from stages.models.captioner import video_metadata
from stages.models.protocols import Caption

# Whether a row is a video, and how many pictures are shown of it.
Shown = tuple[bool, int]
ERROR = "__inference_error__"
# An engine that dies is started again; what it had in hand is asked again so often before the run ends.
ENGINE_DEATHS = 2
# GiB for keys and values on a CPU; vLLM takes half the memory of the machine when it is not told.
CPU_CACHE_GIB = "1"
ENGINE_CPUS, MAP_CPUS = 0.5, 0.25


def captioned(
    prepared: ray.data.Dataset, work: ModelWork, *, gpus: int, options: Mapping[str, Any]
) -> ray.data.Dataset:
    """The REPORTs of a CaptionClips whose prepared rows an engine of vLLM answers.

    Prompt and pixels are those that the captioner in process gets, and the model's own processor sees them
    inside the engine. A row that the engine refuses fails as `caption_failed`, its neighbours are answered.
    One model call is counted for each batch that is written; the engine's own CPU seconds are not. `options`
    are the arguments of vLLM that `recipe.VLLM` lists, which leave the words as they are.
    """
    stage = work.stage
    assert isinstance(stage, CaptionClips)
    asked = _asked(stage)
    with _quiet():
        processor = ray.data.llm.build_processor(
            _config(stage, gpus, options),
            preprocess=asked.request,
            postprocess=_answer,
            preprocess_map_kwargs={"num_cpus": 2 * MAP_CPUS},
            postprocess_map_kwargs={"num_cpus": MAP_CPUS},
        )
    _tied(processor, work.name)
    return processor(prepared).map_batches(
        _named(f"Keep{work.name}", _kept(work, asked.ends)),
        batch_size=stage.batch_rows,
        batch_format="pyarrow",
        num_cpus=MAP_CPUS,
    )


@dataclass(frozen=True)
class _Asked:
    """How a row is asked about; `ends` are the tokens that end an answer."""

    prompts: Mapping[Shown, str]
    as_video: bool
    max_tokens: int
    ends: tuple[int, ...]

    def request(self, row: dict[str, Any]) -> dict[str, Any]:
        """What the engine is given of a row; instead of its frames, which come with it, their number."""
        # A copy: what comes out of Ray's store is read-only, which torch warns of.
        frames, video = np.array(row["frames"]), bool(row["video"])
        media: dict[str, Any] = {"image": list(frames)}
        told: dict[str, Any] = {}
        if video and self.as_video:
            media = {"video": (frames, video_metadata(frames, float(row["seconds"])))}
            told = {"do_sample_frames": False}
        return {
            "prompt": self.prompts[video, len(frames)],
            "multimodal_data": media,
            "mm_processor_kwargs": told,
            "sampling_params": {
                "temperature": 0.0,
                "max_tokens": self.max_tokens,
                "stop_token_ids": list(self.ends),
            },
            "frames": len(frames),
        }


def _asked(stage: CaptionClips) -> _Asked:
    """The prompts as the model's own template words them, and its ends, as transformers reads both."""
    import transformers

    library: Any = transformers  # Much of it is untyped.
    source = str(captioner.local(stage.captioner))
    processor = library.AutoProcessor.from_pretrained(source, trust_remote_code=False)
    shown = [(True, stage.caption_frames), (False, 1)]
    prompts = {
        of: processor.apply_chat_template(stage.messages(*of), add_generation_prompt=True, tokenize=False)
        for of in shown
    }
    ends = {processor.tokenizer.eos_token_id, *_ends(library, source)} - {None}
    return _Asked(prompts, stage.caption_framing == "video", stage.max_tokens, tuple(sorted(ends)))


def _ends(library: Any, source: str) -> list[int]:
    """The tokens at which the model's own settings end an answer; they may stand in one of two files."""
    try:
        found = library.GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:
        config = library.AutoConfig.from_pretrained(source, trust_remote_code=False)
        found = library.GenerationConfig.from_model_config(config).eos_token_id
    return found if isinstance(found, list) else [found]


def _source(stage: CaptionClips) -> str:
    """A folder, or a name that every machine of a cluster finds on the hub or in its cache."""
    folder = _folder(stage)
    return str(folder.absolute()) if folder else weights.named(stage.captioner)[0]


def _folder(stage: CaptionClips) -> Path | None:
    return weights.folder(stage.captioner, "captioner")


def _config(
    stage: CaptionClips, gpus: int, options: Mapping[str, Any]
) -> ray.data.llm.vLLMEngineProcessorConfig:
    devices = options.get("tensor_parallel_size", 1) * options.get("pipeline_parallel_size", 1)
    return ray.data.llm.vLLMEngineProcessorConfig(
        model_source=_source(stage),
        batch_size=stage.batch_rows,
        concurrency=max(1, gpus // devices),
        engine_kwargs=_engine(stage, gpus, options),
        runtime_env={"env_vars": _environment(stage, gpus)},
        # Requests are made here; the engine tokenizes, and opens nothing.
        prepare_multimodal_stage=False,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        should_continue_on_error=True,
        # It needs ray[serve], and aborts without.
        log_engine_metrics=False,
        # Without this, an engine waits for a GPU for ever.
        placement_group_config=None if gpus else {"bundles": [{"CPU": ENGINE_CPUS}]},
    )


def _engine(stage: CaptionClips, gpus: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """vLLM's arguments: its defaults on a GPU, what a small machine can bear on a CPU."""
    size = {"width": stage.caption_frame_px, "height": stage.caption_frame_px}
    made = {
        "limit_mm_per_prompt": {
            "image": {"count": stage.caption_frames, **size},
            "video": {"count": 1, "num_frames": stage.caption_frames, **size},
        },
        # No clip comes twice.
        "mm_processor_cache_gb": 0,
        "enable_prefix_caching": False,
        "disable_log_stats": True,
    }
    small = {"max_num_seqs": stage.batch, "enforce_eager": True}
    return {**made, **({} if gpus else small), **options, **_fixed(stage)}


def _fixed(stage: CaptionClips) -> dict[str, Any]:
    revision = weights.commit(stage.captioner) if _folder(stage) is None else None
    return {
        "revision": revision,
        "tokenizer_revision": revision,
        "dtype": stage.captioner_dtype,
        "seed": 0,
        # As long as the cache allows, up to the model's own length.
        "max_model_len": -1,
        "load_format": "safetensors",
        "trust_remote_code": False,
        # Nothing is sampled, whatever the model's own defaults.
        "generation_config": "vllm",
        # By the processor, as transformers does it.
        "mm_device_do_normalize": False,
    }


def _environment(stage: CaptionClips, gpus: int) -> dict[str, str]:
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    # A forked child would not carry the mark by which the leash finds it.
    made = {**quiet, "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    if _folder(stage):
        made["HF_HUB_OFFLINE"] = "1"
    if gpus:
        return made
    space = os.environ.get("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIB)
    threads = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(stage.captioner_threads)}
    return {**made, **threads, "VLLM_CPU_KVCACHE_SPACE": space}


class _Tied:
    """The processes of an engine that this actor starts end with it: they would outlive it when it is
    killed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with leash.tied():
            super().__init__(*args, **kwargs)


def _tied(processor: Any, name: str) -> None:
    """Have the processor's engines end with their actors, bear the stage's name, and die so often only: a
    batch that kills engines would be asked for ever."""
    stage = processor.get_stage_by_name("vLLMEngineStage")
    # A copy: to assign would validate again, and lose the stage's resources.
    processor.stages["vLLMEngineStage"] = stage.model_copy(
        update={
            "fn": type(f"Vllm{name}", (_Tied, stage.fn), {}),
            "map_batches_kwargs": {**stage.map_batches_kwargs, "max_task_retries": ENGINE_DEATHS},
        }
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what libraries say of themselves; Ray sets its own level anew meanwhile."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        logging.getLogger("ray").setLevel(logging.ERROR)


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an answer; a row that the engine refused does not come here, it keeps all it has."""
    tokens = [int(token) for token in row["generated_tokens"]]
    made = {"text": row["generated_text"], "answer": tokens, "prompt_tokens": row["num_input_tokens"]}
    return {**{name: row[name] for name in (*BESIDE, "frames")}, **made}


def _kept(work: ModelWork, ends: tuple[int, ...]) -> Callable[[pa.Table], pa.Table]:
    """Writes a batch of answers, each to its own row; returns its REPORT."""

    def keep(batch: pa.Table) -> pa.Table:
        begun_s = time.process_time()
        if not (rows := batch.to_pylist()):
            return REPORT.empty_table()
        good = [row for row in rows if not row[ERROR]]
        errors = {row["id"]: f"caption_failed: {row[ERROR]}" for row in rows if row[ERROR]}
        stage = work.stage
        assert isinstance(stage, CaptionClips)
        made = stage.recorded(_shown(good), [_caption(row, ends) for row in good], "vllm")
        asked = pa.table({"id": pa.array([row["id"] for row in good], pa.string())})
        done = checked(stage, made, results_of(work.out, work.step, stage), asked)
        beside = {name: np.array([row[name] for row in rows]) for name in BESIDE}
        return work.finished([done], errors, beside, time.process_time() - begun_s)

    return keep


def _caption(row: Mapping[str, Any], ends: tuple[int, ...]) -> Caption:
    tokens = row["answer"]
    reason = "stop" if tokens and tokens[-1] in ends else "length"
    return Caption(row["text"].strip(), reason, int(row["prompt_tokens"]), len(tokens))


def _shown(rows: list[dict[str, Any]]) -> Tensors:
    """What `recorded` asks of a batch: ids, and frames of which only their number matters."""
    frames = np.empty(len(rows), object)
    for n, row in enumerate(rows):
        frames[n] = range(row["frames"])
    return {"id": np.array([row["id"] for row in rows], object), "frames": frames}


def _named(name: str, function: Callable[[pa.Table], pa.Table]) -> Callable[[pa.Table], pa.Table]:
    function.__name__ = function.__qualname__ = name
    return function
