"""Captions by vLLM under Ray: the words of the captioner in process, each on its own row, and no engine that
is left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.models import weights
from stages.models.protocols import Caption
from tests.models import tiny_captioner
from tests.pipeline.captioning import REFUSED, SAID, CaptionDrawn, caption, clips, drawn, results

ROOT = Path(__file__).parents[2]
# To load an engine takes 20 to 70 s on two idle cores, minutes on busy ones.
LOADING_S = 500
CLIPS, PICTURES = 24, 4
# Of the likeliest two tokens, in nats: below it, the order of the arithmetic decides.
NEAR_TIE = 0.05


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shipped captioner, or one of random weights while there is none."""
    if (weights.SHIPPED / "captioner").is_dir():
        return weights.EMBEDDED
    return str(tiny_captioner(tmp_path_factory.mktemp("captioner")))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_captioner(tmp_path_factory.mktemp("tiny")))


def stage_of(captioner: str, **settings: Any) -> CaptionDrawn:
    return CaptionDrawn(captioner=captioner, engine="vllm", **settings)


ASKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


@pytest.mark.parametrize(
    ("framing", "kind", "prompt"),
    [
        ("video", "video", f"{VIDEO}Describe this clip."),
        ("images", "video", f"{IMAGE * 4}Describe this clip."),
        ("video", "image", f"{IMAGE}Describe this picture."),
    ],
)
def test_a_request_carries_words_and_pixels(tiny: str, framing: str, kind: str, prompt: str) -> None:
    """The model's own template words the prompt, the frames go as they are, greedily answered to its end: the
    third word after the 256 letters."""
    from pipeline.llm import _asked

    given = {name: values[0] for name, values in drawn(clips(1, 0)).items()}
    if kind == "image":
        given = {"frames": given["frames"][:1], "video": False, "seconds": 0.0}
    request = _asked(stage_of(tiny, caption_framing=framing, max_tokens=9)).request(given)

    assert ASKED.format(prompt) == request["prompt"]
    media = request["multimodal_data"]
    shown = media["video"][0] if "video" in media else np.stack(media["image"])
    assert np.array_equal(given["frames"], shown) and shown.dtype == np.uint8
    assert ({"do_sample_frames": False} if "video" in media else {}) == request["mm_processor_kwargs"]
    assert {"temperature": 0.0, "max_tokens": 9, "stop_token_ids": [258]} == request["sampling_params"]


@pytest.mark.parametrize(("tokens", "reason"), [([5, 258], "stop"), ([5, 6], "length"), ([], "length")])
def test_an_answer_ends_or_is_cut_off(tokens: list[int], reason: str) -> None:
    """An answer that does not end with one of the model's ends was cut off."""
    from pipeline.llm import _caption

    row = {"answer": tokens, "text": " a ring ", "prompt_tokens": 7.0}
    assert Caption("a ring", reason, 7, len(tokens)) == _caption(row, (258,))


def test_options_reach_the_engine_but_not_the_words(tiny: str) -> None:
    """A recipe says how vLLM runs, not what it says; a GPU gets vLLM's own defaults, but that a context
    longer than its memory stops no engine."""
    from pipeline.llm import _engine

    made = _engine(stage_of(tiny), 2, {"tensor_parallel_size": 2})
    fixed = (made["tensor_parallel_size"], made["dtype"], made["seed"], made["max_model_len"])
    assert (2, "float32", 0, -1) == fixed
    assert "bfloat16" == _engine(stage_of(tiny, captioner_dtype="bfloat16"), 1, {})["dtype"]
    assert {"enforce_eager", "max_num_seqs"}.isdisjoint(made)
    assert (True, 5) == tuple(
        _engine(stage_of(tiny), 0, {"max_num_seqs": 5})[n] for n in ("enforce_eager", "max_num_seqs")
    )


def test_the_engine_calls_nobody(tiny: str) -> None:
    """No usage is reported, and no hub is asked for a model that lies in a folder."""
    from pipeline.llm import _environment

    made = _environment(stage_of(tiny), 0)
    assert ["1"] * 3 == [made[n] for n in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE")]
    assert "HF_HUB_OFFLINE" not in _environment(stage_of("owner/name"), 0)


@pytest.mark.timeout(LOADING_S + 100)
@pytest.mark.xdist_group("ray")
def test_engines_agree(tmp_path: Path, captioner: str, ray_session: None) -> None:
    """Two real engines say the same of at least 22 of 24 clips, and part at near ties only; each caption is
    on its own row whatever the order of ids; a row that cannot be shown fails alone."""
    stage = stage_of(captioner, max_tokens=40, batch_rows=8)
    rows = clips(CLIPS, PICTURES)
    reports = [row for report in caption(tmp_path, stage, rows) for row in report.to_pylist()]
    found = results(tmp_path, stage, rows)
    told = {path: row["captions"][0] for path, row in found.items() if path != REFUSED}
    expected, ties = in_process(stage, {path: entry["text"] for path, entry in told.items()})

    assert (CLIPS + PICTURES + 1, 1) == (sum(r["rows"] for r in reports), sum(r["failed"] for r in reports))
    assert None is found[REFUSED]["captions"] and found[REFUSED]["error"].startswith("caption_failed: ")
    videos = [str(n) for n in range(CLIPS)]
    same = [path for path in told if told[path] == {**expected[path], "engine": "vllm"}]
    assert 22 <= len(set(same) & set(videos))
    assert set(told) - set(same) == set(ties)
    assert all(gap < NEAR_TIE for gap in ties.values()), ties


def in_process(
    stage: CaptionDrawn, other: dict[str, str]
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """What transformers says of the clips; where `other` says something else, by how much it was the less
    likely at the first token that differs."""
    from stages.models.captioner import TransformersCaptioner

    rows = clips(CLIPS, PICTURES)
    rows = rows.slice(0, len(rows) - 1)
    paths = [place["path"] for place in rows["location"].to_pylist()]
    batch = {**drawn(rows), "id": np.array(rows["id"].to_pylist(), object)}
    settings = TransformersCaptioner(stage.captioner, max_tokens=stage.max_tokens, batch=8)
    opened = settings.open(stage.messages)
    answers = stage.recorded(batch, opened.captions(batch), "transformers").to_pylist()
    expected = {path: row["captions"][0] for path, row in zip(paths, answers, strict=True)}
    ties = {
        path: gap(opened, stage, (batch["frames"][n], bool(batch["video"][n])), expected[path], other[path])
        for n, path in enumerate(paths)
        if expected[path]["text"] != other[path]
    }
    return expected, ties


def gap(opened: Any, stage: CaptionDrawn, shown: tuple[Any, bool], own: dict[str, Any], other: str) -> float:
    """How much likelier its own next token was than the other's, in nats, after what both have said."""
    import torch

    tokenizer = opened.processor.tokenizer
    end = [tokenizer.eos_token_id]
    mine = tokenizer(own["text"])["input_ids"] + end
    theirs = tokenizer(other)["input_ids"] + end
    at = next(n for n, (one, two) in enumerate(zip(mine, theirs, strict=False)) if one != two)
    frames, video = shown
    inputs = opened._inputs(stage.messages(video, len(frames)), [frames], [4.0 if video else 0.0])
    begin = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        made = opened.model.generate(
            **inputs,
            max_new_tokens=at + 1,
            output_logits=True,
            return_dict_in_generate=True,
        )
    assert mine[:at] == made.sequences[0, begin : begin + at].tolist()
    likely = torch.log_softmax(made.logits[at][0].float(), 0)
    return float(likely[mine[at]] - likely[theirs[at]])


@pytest.mark.timeout(LOADING_S + 100)
@pytest.mark.xdist_group("ray")
def test_no_engine_outlives_a_killed_run(tmp_path: Path, captioner: str) -> None:
    """20 s after the driver got SIGKILL amid captions, no process of its run is alive: neither Ray's nor
    vLLM's."""
    mark = f"REELMIX_TEST={uuid.uuid4().hex}"
    environment = {**os.environ, **dict([mark.split("=")]), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.pipeline.captioning", str(tmp_path), captioner]
    log = tmp_path / "log"
    with log.open("w") as out:
        driver = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        wait_for(lambda: SAID in log.read_text(), LOADING_S)
        engines = [command for command in alive(mark).values() if "EngineCore" in command]
        driver.send_signal(signal.SIGKILL)
        driver.wait(20)
        wait_for(lambda: not alive(mark), 20)
        assert (1, {}) == (len(engines), alive(mark)), log.read_text()
    finally:
        for pid in alive(mark):
            os.kill(pid, signal.SIGKILL)


def wait_for(done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not done():
        time.sleep(0.5)


def alive(mark: str) -> dict[int, str]:
    """The processes whose environment holds the mark, and their commands; a dead one that nobody waited for
    has no environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_text()
        except OSError:
            continue
        if mark.encode() in environment.split(b"\0"):
            found[int(process.name)] = command
    return found
