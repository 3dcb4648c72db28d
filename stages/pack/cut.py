"""How a row becomes the media of a sample: clips cut from their video, images copied or encoded."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from itertools import groupby
from typing import Any, ClassVar, Literal

import pyarrow as pa

from manifests import columns
from manifests.errors import RecipeError, RowError
from stages import child
from stages.base import Map, Row, Work, within
from stages.pack import codecs, exact
from stages.pack.seek import runs, seek_s

Made = dict[str, Any]
# What may befall a decoder without a fault of the clip that it proves.
_TROUBLES = ("deadline", "out_of_memory", "decoder_crashed", "cut_mismatch")


@dataclass(frozen=True)
class CutMedia(Map):
    """The bytes of a sample: a clip as MP4, index first, an image as JPEG (see `stages.pack.encode`).

    `cut = "exact"` encodes every frame whose time lies in [start_pts, end_pts), at its own time (a variable
    rate stays variable), turned upright, 8 bits 4:2:0, even sizes, a key frame at least every `gop_s`
    seconds. `cut = "copy"` takes the packets as they are, from the first frame that decoding can begin with
    to the last that needs none from beyond (see `stages.pack.remux`); `cut_start_error_s` and
    `cut_end_error_s` tell how much later the clip begins, and how much earlier, below zero, it ends. A clip
    that cannot be copied, or would lack more than the share `copy_lost`, is cut exactly, and `media_how` says
    why. Each clip is proved (`stages.pack.proof`).

    Encoder threads and versions decide the bytes, so they stand in the fingerprint; `crf` and `preset` are
    the encoder's own scales, null its defaults (`stages.pack.codecs`). `max_side_px` bounds the longer side
    of clips and images. Fails rows with `deadline`, `out_of_memory`, `encode_failed`, and `cut_mismatch` when
    a clip has not the frames that it should have.
    """

    together: ClassVar[str] = "asset_id"
    reads = (
        *("location", "kind", "format", "width_px", "height_px", "fps"),
        *("time_base", "start_pts", "end_pts", "start_s", "end_s", "frame_count"),
    )
    writes = (
        *("media_ext", "media_bytes", "media_sha256", "media_how", "media"),
        *("cut_start_error_s", "cut_end_error_s"),
    )
    version = 2

    cut: Literal["exact", "copy"] = "exact"
    video_codec: codecs.VideoCodec = "libx264"
    crf: int | None = None
    preset: str | int | None = None
    video_threads: int = 1
    gop_s: float = 2.0
    audio: Literal["drop", "keep"] = "drop"
    copy_lost: float = 1.0
    proof: Literal["decode", "packets"] = "decode"
    image_quality: int = 95
    max_side_px: int | None = None

    def __post_init__(self) -> None:
        within(
            self,
            "pack",
            copy_lost=(0, 1),
            gop_s=(0.01, math.inf),
            image_quality=(1, 100),
            video_threads=(1, 64),
        )
        if self.crf is not None:
            within(self, "pack", crf=(0, 63))
        if self.max_side_px is not None and self.max_side_px < 2:
            raise RecipeError(f"pack.max_side_px is {self.max_side_px}, expected 2 or more, or leave it out")
        self.encoder()

    def encoder(self) -> dict[str, Any]:
        """The encoder with its options, as ffmpeg takes them."""
        return codecs.encoder_options(self.video_codec, self.preset, self.crf, self.video_threads)

    def identity(self) -> dict[str, Any]:
        """The programs and libraries that decide the bytes."""
        versions = {"ffmpeg": codecs.ffmpeg_version(), "pillow": metadata.version("pillow")}
        return {**versions, "av": metadata.version("av")} if self.cut == "copy" else versions

    def check(self) -> None:
        """Encode one picture. Raises RecipeError when the encoder does not work on this machine."""
        codecs.check_encoder(self.encoder())

    def open(self) -> Work:
        def cut(table: pa.Table) -> pa.Table:
            rows = table.to_pylist()
            made = dict(_all(self, rows))
            done = [{**made[row["id"]], "id": row["id"]} for row in rows]
            return columns.table(done, ["id", *self.writes, "error"])

        return cut


def _all(settings: CutMedia, rows: Sequence[Row]) -> Iterator[tuple[str, Made]]:
    """Each row's id and what it writes, or its `error`; the clips of one video together."""
    for row in rows:
        if row["kind"] != "video":
            yield row["id"], _or_error(_image, settings, row)
    clips = sorted((row for row in rows if row["kind"] == "video"), key=_in_time)
    for _, of_one in groupby(clips, _file):
        yield from _clips(settings, list(of_one))


def _file(row: Row) -> tuple[str, int]:
    return row["location"]["path"], row["location"]["offset"] or 0


def _in_time(row: Row) -> tuple[Any, ...]:
    return (*_file(row), row["start_pts"], row["end_pts"], row["id"])


def _or_error(make: Callable[[CutMedia, Row], Made], settings: CutMedia, row: Row) -> Made:
    try:
        return make(settings, row)
    except RowError as error:
        return {"error": str(error)}


def _made(
    content: bytes | memoryview, ext: str, how: str, errors_s: tuple[float | None, float | None]
) -> Made:
    return {
        "media_ext": ext,
        "media_how": how,
        "media": content,
        "media_bytes": len(content),
        "media_sha256": hashlib.sha256(content).hexdigest(),
        "cut_start_error_s": errors_s[0],
        "cut_end_error_s": errors_s[1],
    }


def _image(settings: CutMedia, row: Row) -> Made:
    if row["kind"] != "image":
        raise RowError("encode_failed", f"pack writes video and image, this row is {row['kind']}")
    decoder = child.decoder()
    table = decoder.call(
        "image",
        deadline_s=decoder.limits.deadline_s,
        location=row["location"],
        quality=settings.image_quality,
        max_side_px=settings.max_side_px,
    )
    made = table.to_pylist()[0]
    return _made(made["media"], made["media_ext"], made["media_how"], (None, None))


def _clips(settings: CutMedia, rows: Sequence[Row]) -> Iterator[tuple[str, Made]]:
    """The clips of one video, which rise; those that cannot be copied are encoded, and say why."""
    copies = _copies(settings, rows) if settings.cut == "copy" else {}
    left, why = [], dict[str, str]()
    for row in rows:
        copy = copies.get(row["id"], "")
        if isinstance(copy, str):
            left.append(row)
            why[row["id"]] = f"encoded: {copy}" if copy else "encoded"
            continue
        yield row["id"], copy
    for run in runs(left, exact.most_outputs(settings, left)):
        for row, made in _encodings(settings, run):
            yield row["id"], made if "error" in made else {**made, "media_how": why[row["id"]]}


def _copies(settings: CutMedia, rows: Sequence[Row]) -> dict[str, Made | str]:
    """By id the copied clip, or a word why there is none."""
    found: dict[str, Made | str] = {}
    left = list(rows)
    while left:
        later = []
        for row, answer in zip(left, _remuxed(settings, left), strict=True):
            if answer["media"] is None and answer["why_not"] is None:
                later.append(row)
                continue
            found[row["id"]] = _copy(settings, row, answer)
        left = later
    return found


def _remuxed(settings: CutMedia, rows: Sequence[Row]) -> list[Made]:
    """What the decode child makes of the clips; when it comes to grief over several, of each alone."""
    decoder = child.decoder()
    names = ("time_base", "start_pts", "end_pts", "frame_count")
    try:
        table = decoder.call(
            "remux",
            deadline_s=decoder.limits.deadline_for(sum(row["end_s"] - row["start_s"] for row in rows)),
            location=rows[0]["location"],
            clips=[{name: row[name] for name in names} for row in rows],
            keep_audio=settings.audio == "keep",
            max_side_px=settings.max_side_px,
        )
    except RowError as error:
        if len(rows) == 1:
            return [{"media": None, "why_not": error.reason}]
        return [answer for row in rows for answer in _remuxed(settings, [row])]
    answers: list[Made] = table.drop_columns("media").to_pylist()
    # Clips are large: they are seen where they lie, not copied into Python's own bytes.
    views = [scalar.as_buffer() if scalar.is_valid else None for scalar in table["media"]]
    return [{**a, "media": v and memoryview(v)} for a, v in zip(answers, views, strict=True)]


def _copy(settings: CutMedia, row: Row, answer: Made) -> Made | str:
    if answer["why_not"] is not None:
        return str(answer["why_not"])
    tick = Fraction(row["time_base"])
    try:
        # Packets were counted when they were taken.
        if settings.proof == "decode":
            length = (answer["end_pts"] - answer["first_pts"]) * tick
            _prove(settings, answer["media"], answer["frames"], length)
    except RowError as error:
        return "not_proved" if error.reason == "cut_mismatch" else error.reason
    late = float((answer["first_pts"] - row["start_pts"]) * tick)
    early = float((answer["end_pts"] - row["end_pts"]) * tick)
    if late - early > settings.copy_lost * (row["end_s"] - row["start_s"]):
        return "much_lost"
    return _made(answer["media"], "mp4", "copied", (late, early))


def _encodings(settings: CutMedia, run: Sequence[Row]) -> Iterator[tuple[Row, Made]]:
    """Clips from one decode; each that did not come out of it is cut alone, so that none costs another."""
    contents: Sequence[bytes | None] = [None] * len(run)
    if len(run) > 1:
        with contextlib.suppress(RowError):
            contents = exact.encoded(settings, run)
    for row, content in zip(run, contents, strict=True):
        yield row, _if_right(settings, row, content) or _or_error(_alone, settings, row)


def _if_right(settings: CutMedia, row: Row, content: bytes | None) -> Made | None:
    if content is None:
        return None
    try:
        return _encoding(settings, row, content)
    except RowError:
        return None


def _alone(settings: CutMedia, row: Row) -> Made:
    """Cut with a seek first; where the container leads the seek astray, decode from the beginning."""
    try:
        return _encoding(settings, row, exact.encoded(settings, [row])[0])
    except RowError as error:
        if error.reason not in ("cut_mismatch", "decode_error") or seek_s(row) is None:
            raise
    return _encoding(settings, row, exact.encoded(settings, [row], sought=False)[0])


def _encoding(settings: CutMedia, row: Row, content: bytes) -> Made:
    length = (row["end_pts"] - row["start_pts"]) * Fraction(row["time_base"])
    _prove(settings, content, row["frame_count"], length)
    return _made(content, "mp4", "encoded", (0.0, 0.0))


def _prove(settings: CutMedia, content: bytes | memoryview, frames: int, length: Fraction) -> None:
    """Raises RowError `cut_mismatch` for a clip that is not what it should be."""
    decoder = child.decoder()
    try:
        decoder.call(
            "prove",
            deadline_s=decoder.limits.deadline_for(float(length)),
            location=decoder.lent(content),
            frames=frames,
            length_s=str(length),
            how=settings.proof,
        )
    except RowError as error:
        if error.reason in _TROUBLES:
            raise
        raise RowError("cut_mismatch", f"the clip does not decode: {error.detail}") from error
