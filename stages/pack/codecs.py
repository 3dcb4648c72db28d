"""The encoders that clips are written with: what each calls quality and speed, and whether it works here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from manifests.errors import RecipeError, RowError
from stages.pack.guard import run_guarded

VideoCodec = Literal["libx264", "libsvtav1", "libvpx-vp9", "h264_nvenc"]
Options = dict[str, Any]
# An encoder that does not start in this time is not one to cut thousands of clips with.
PREFLIGHT_DEADLINE_S, PREFLIGHT_MEMORY_BYTES = 20.0, 4 << 30
_X264 = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
# The fastest of libvpx's "good" speeds (its own limit); beyond, it encodes as for a live stream.
_VPX_GOOD = 5


@dataclass(frozen=True)
class Codec:
    """One encoder. `presets` are its speeds by the names that its makers gave them, `preset` and `crf` what
    is taken when the recipe says nothing, `most_crf` the worst quality.

    `bytes_per_px` is the memory that an open encoder takes, for each pixel of its picture: measured with one
    thread at 720p (libx264 at 1080p as well), rounded up; of h264_nvenc assumed.
    """

    options: Callable[[str, int, int], Options]
    presets: tuple[str, ...]
    preset: str
    crf: int
    most_crf: int
    bytes_per_px: int
    needs: str


def _x264(preset: str, crf: int, threads: int) -> Options:
    return {"preset": preset, "crf": crf, "threads:v": threads}


def _svtav1(preset: str, crf: int, threads: int) -> Options:
    return {"preset": preset, "crf": crf, "threads:v": threads, "svtav1-params": f"lp={threads}"}


def _vpx(preset: str, crf: int, threads: int) -> Options:
    """Constant quality: libvpx wants a bitrate of 0 with it."""
    deadline = "good" if int(preset) <= _VPX_GOOD else "realtime"
    return {"deadline": deadline, "cpu-used": preset, "crf": crf, "b:v": 0, "threads:v": threads, "row-mt": 0}


def _nvenc(preset: str, crf: int, _: int) -> Options:
    """Constant quality: NVENC calls it `cq`, under a variable bitrate without a ceiling."""
    return {"preset": preset, "rc": "vbr", "cq": crf, "b:v": 0}


def _numbers(most: int) -> tuple[str, ...]:
    return tuple(map(str, range(most + 1)))


_BUILD = "an ffmpeg that was built with it; `make setup` brings one"
_GPU = (
    "an NVIDIA GPU that has an encoder (data-centre cards such as H100 have none), its driver, and its "
    "device files, which the confinement of ffmpeg withholds as yet"
)
CODECS: Mapping[str, Codec] = {
    "libx264": Codec(_x264, _X264, "veryfast", 20, 51, 80, _BUILD),
    "libsvtav1": Codec(_svtav1, _numbers(13), "8", 30, 63, 250, _BUILD),
    "libvpx-vp9": Codec(_vpx, _numbers(8), "4", 31, 63, 170, _BUILD),
    "h264_nvenc": Codec(_nvenc, tuple(f"p{n}" for n in range(1, 8)), "p4", 23, 51, 80, _GPU),
}


def encoder_options(name: str, preset: str | int | None, crf: int | None, threads: int) -> Options:
    """The options of ffmpeg for this encoder, preset and quality; null takes the encoder's own.

    Raises RecipeError for a preset or a quality that it does not have.
    """
    codec = CODECS[name]
    chosen = codec.preset if preset is None else str(preset)
    if chosen not in codec.presets:
        raise RecipeError(f"pack.preset is {chosen!r}, {name} has {', '.join(codec.presets)}")
    if crf is not None and crf > codec.most_crf:
        raise RecipeError(f"pack.crf is {crf}, expected 0 (best) to {codec.most_crf} for {name}")
    quality = codec.crf if crf is None else crf
    return {"c:v": name, **codec.options(chosen, quality, threads)}


def ffmpeg() -> str:
    """The program. Raises RecipeError when there is none."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise RecipeError(f"no ffmpeg was found; run `make setup` ({error})") from error


def ffmpeg_version() -> str:
    """The version that ffmpeg tells of itself, such as 7.1. Raises RecipeError when it does not run."""
    return _version_of(ffmpeg())


@functools.cache
def _version_of(program: str) -> str:
    try:
        printed, _ = run_guarded(
            [program, "-version"], deadline_s=PREFLIGHT_DEADLINE_S, memory_bytes=PREFLIGHT_MEMORY_BYTES
        )
    except RowError as error:
        raise RecipeError(f"{program} does not run ({error.detail}); run `make setup`") from error
    words = printed.split(maxsplit=3)
    return words[2] if printed.startswith("ffmpeg version ") else printed[:80]


def check_encoder(options: Mapping[str, Any]) -> None:
    """Have ffmpeg encode one picture with these options, confined as it will be; once for each in a process.

    Raises RecipeError that says what ffmpeg says, and what to do.
    """
    fault = _fault(ffmpeg(), tuple(options.items()))
    if fault:
        name = options["c:v"]
        other = "" if name == "libx264" else "; or take pack.video_codec = libx264"
        raise RecipeError(f"{name} does not work here ({fault}); it needs {CODECS[name].needs}{other}")


@functools.cache
def _fault(program: str, options: tuple[tuple[str, Any], ...]) -> str:
    """What is wrong with an encoder; empty when nothing is."""
    picture = ("-f", "lavfi", "-i", "color=s=256x256:r=25", "-frames:v", "1", "-pix_fmt", "yuv420p")
    chosen = [word for name, value in options for word in (f"-{name}", str(value))]
    command = [program, "-nostdin", "-loglevel", "error", *picture, *chosen, "-f", "null", "-"]
    try:
        run_guarded(command, deadline_s=PREFLIGHT_DEADLINE_S, memory_bytes=PREFLIGHT_MEMORY_BYTES)
    except RowError as error:
        return error.detail
    return ""


def encoder_faults() -> dict[str, str]:
    """Each encoder and what is wrong with it here; empty when it works."""
    return {name: _fault(ffmpeg(), tuple(encoder_options(name, None, None, 1).items())) for name in CODECS}
