"""Every column that a row can carry: its type, its unit, one line of meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from manifests.errors import RecipeError, nearest

Group = Literal["identity", "place", "facts", "measures", "results", "fate"]

LOCATION = pa.struct([("path", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])
FRAME = pa.struct([("pts", pa.int64()), ("time_s", pa.float64()), ("jpeg", pa.binary())])

CAPTION = pa.struct(
    [
        ("text", pa.string()),
        ("model", pa.string()),
        ("engine", pa.string()),
        ("prompt", pa.string()),
        ("frames", pa.int64()),
        ("status", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
TURN = pa.struct([("role", pa.string()), ("content", pa.string())])


@dataclass(frozen=True)
class Column:
    """One column; `side` values are heavy and live in files of their own, `resource` values never enter a
    digest. `asked` is the setting that has it computed, where none does by itself."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    group: Group
    side: bool = False
    resource: bool = False
    asked: str = ""

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest value that the unit allows."""
        if self.unit == "cosine":
            return -1.0, 1.0
        least, to, most = self.unit.partition(" to ")
        return (float(least), float(most)) if to else (-math.inf, math.inf)


def _group(group: Group, *rows: tuple[str, pa.DataType, str, str]) -> list[Column]:
    return [Column(name, type_, unit, meaning, group) for name, type_, unit, meaning in rows]


def _asked(setting: str, *rows: tuple[str, pa.DataType, str, str]) -> list[Column]:
    return [replace(column, asked=setting) for column in _group("measures", *rows)]


_ALL: list[Column] = [
    *_group(
        "identity",
        ("id", pa.string(), "32 hex digits", "this row; from content and position only"),
        ("parent_id", pa.string(), "32 hex digits", "the row that this one was made from; null for an asset"),
        ("asset_id", pa.string(), "32 hex digits", "the asset: first 128 bits of the SHA-256 of its bytes"),
        (
            "source_uri",
            pa.string(),
            "path",
            "where the asset came from, relative to its root (first of its sources)",
        ),
        ("corpus", pa.string(), "", "the named collection that the asset belongs to"),
        (
            "kind",
            pa.string(),
            "video, image, audio, text, document, other",
            "what the content is, whatever its name says",
        ),
    ),
    *_group(
        "place",
        (
            "segment_start_pts",
            pa.int64(),
            "ticks",
            "the key frame at which a segment of a very long video begins; null for the first, and for a "
            "whole one",
        ),
        ("segment_end_pts", pa.int64(), "ticks", "the key frame at which it ends; null for the last"),
        (
            "time_base",
            pa.string(),
            "s",
            "duration of one PTS tick, as a fraction such as 1/12800; null for an image",
        ),
        ("start_pts", pa.int64(), "ticks", "presentation time of the clip's first frame"),
        ("end_pts", pa.int64(), "ticks", "presentation time at which the clip's last frame ends"),
        ("start_s", pa.float64(), "s", "start_pts in seconds"),
        ("end_s", pa.float64(), "s", "end_pts in seconds"),
        (
            "starts_with",
            pa.string(),
            "start, hard, gradual, limit",
            "the boundary at which the clip begins; limit: inside a shot",
        ),
        ("ends_with", pa.string(), "end, hard, gradual, limit", "the boundary at which the clip ends"),
        (
            "before_s",
            pa.float64(),
            "s",
            "length of the transition that was cut away before the clip, at a hard cut 0 or what fast left "
            "out there; null at none",
        ),
        ("after_s", pa.float64(), "s", "the same behind the clip"),
        (
            "effort",
            pa.string(),
            "exact, fast, keyframes",
            "which frames were decoded to find and measure the clip: all; those that others need; key "
            "frames. H.264 and H.265 without their loop filter but in exact",
        ),
    ),
    *_group(
        "facts",
        ("size_bytes", pa.int64(), "bytes", "size of the asset"),
        ("format", pa.string(), "", "container or image format, as found in the content"),
        ("codec", pa.string(), "", "codec of the video stream; null for an image"),
        ("audio", pa.string(), "", "codec of the first audio stream; null when there is none"),
        ("width_px", pa.int64(), "px", "displayed width, after rotation"),
        ("height_px", pa.int64(), "px", "displayed height, after rotation"),
        (
            "rotation",
            pa.int64(),
            "degrees",
            "clockwise turn that a player applies: 0, 90, 180 or 270; 360 more where it mirrors the picture "
            "left to right before",
        ),
        ("fps", pa.float64(), "frames/s", "mean frame rate; null for an image"),
        ("vfr", pa.bool_(), "", "true when the frames are not evenly spaced in time; null for an image"),
        ("frame_count", pa.int64(), "frames", "frames of the asset, or of the clip; 1 for an image"),
        ("duration_s", pa.float64(), "s", "duration of the asset, or of the clip; null for an image"),
        (
            "aspect",
            pa.float64(),
            "",
            "width over height as a player shows them: turned, and with pixels that are not square",
        ),
        (
            "bits_per_pixel",
            pa.float64(),
            "bits",
            "bits of the video's packets, or of the image's file, for each pixel of each frame; null for "
            "GIF and animated images",
        ),
        ("source_texts", pa.list_(pa.string()), "", "distinct texts that came with the asset, sorted"),
    ),
    *_group(
        "measures",
        (
            "luma_mean",
            pa.float64(),
            "0 to 1",
            "mean luma of the decoded frames (see effort), each by how long it is shown; 0 is black",
        ),
        (
            "detail",
            pa.float64(),
            "0 to 1",
            "mean over the stored frames of their colours' standard deviation; 0 is one flat colour",
        ),
        (
            "black_share",
            pa.float64(),
            "0 to 1",
            "share of frames of which at least 98 % of the pixels are black; of the decoded ones (see "
            "effort), each by how long it is shown",
        ),
        (
            "blur",
            pa.float64(),
            "0 to 1",
            "perceptual blur, 0 sharp to 1 blurred, lowest of up to four frames; null for flat pictures, and "
            "under 16 px a side",
        ),
        (
            "motion",
            pa.float64(),
            "0 to 1",
            "mean absolute luma difference of neighbouring decoded frames, a frame shown for longer than is "
            "usual being as many equal ones; null with fewer than 2, and of key frames alone",
        ),
        (
            "freeze_share",
            pa.float64(),
            "0 to 1",
            "share of neighbouring decoded frames that do not differ from the one before, a frame shown for "
            "longer than is usual being as many equal ones; null with fewer than 2, and of key frames alone",
        ),
        (
            "flow",
            pa.float64(),
            "share of the diagonal",
            "mean length of optical flow between the pictures shown every half second; where frames are left "
            "out (see effort), between those 0.25 to 0.75 s apart, in proportion; null with fewer than 2, or "
            "a side under 32 px of 192",
        ),
        (
            "codec_motion",
            pa.float64(),
            "share of the diagonal",
            "mean length of the codec's own motion vectors, of two P-frames a second, over the frames since "
            "the last that is no B-frame; too large where H.264 refers farther; null without P-frames or "
            "vectors, of key frames alone, and unless split.codec_vectors",
        ),
        (
            "jump_share",
            pa.float64(),
            "0 to 1",
            "share of all change from half second to half second that lies in the largest quarter of its "
            "steps: 1 for slides of 2 s and more that change at once, less the softer they do (0.57 where a "
            "change takes half their time); null under 8 steps, without change, or where one shows no frame "
            "that was decoded (see effort)",
        ),
        (
            "flash_rate",
            pa.float64(),
            "flashes",
            "most flashes of the whole picture's mean luma within one second (WCAG 2.3.1); null with fewer "
            "than 2 frames, and where not all were decoded (see effort)",
        ),
        (
            "content_hash",
            pa.string(),
            "32 hex digits",
            "hash of the decoded pictures, of a large JPEG not at its full size; equal for copies in another "
            "container",
        ),
        (
            "phashes",
            pa.list_(pa.uint64()),
            "64 bits each",
            "perceptual hash of each stored frame; null for a flat one",
        ),
        (
            "colours",
            pa.list_(pa.uint32()),
            "0xRRGGBB",
            "mean colours of each stored frame on a grid of 4 x 4 cells, row by row",
        ),
        (
            "clip_score",
            pa.float64(),
            "cosine",
            "best_text against the embedding of the clip; null without a text",
        ),
        ("clip_score_mean", pa.float64(), "cosine", "best_text against each stored frame: the mean"),
        ("clip_score_max", pa.float64(), "cosine", "best_text against the frame that fits it best"),
        ("clip_score_min", pa.float64(), "cosine", "best_text against the frame that fits it least"),
        ("text_scores", pa.list_(pa.float64()), "cosine", "clip_score of each of source_texts, in order"),
        ("best_text", pa.string(), "", "the source text of the highest clip_score; the first of equal ones"),
        (
            "aesthetic",
            pa.float64(),
            "scale of the head",
            "rating of the embedding by the head that the recipe names",
        ),
        (
            "caption_score",
            pa.float64(),
            "cosine",
            "clip_score of the new caption; null where there is no usable one",
        ),
        (
            "dark_share",
            pa.float64(),
            "0 to 1",
            "share of the stored frames' pixels below a tenth of the range of luma",
        ),
        ("bright_share", pa.float64(), "0 to 1", "share of them above nine tenths of the range"),
        (
            "contrast",
            pa.float64(),
            "0 to 0.5",
            "standard deviation of luma (RMS contrast), mean over the stored frames",
        ),
        (
            "sharpness",
            pa.float64(),
            "squared levels of 255",
            "variance of the Laplacian of the sharpest stored frame, at its size (split.frame_px)",
        ),
        (
            "letterbox_share",
            pa.float64(),
            "0 to 1",
            "share of the picture that is black bars in every stored frame; null when all of it is",
        ),
        (
            "border_share",
            pa.float64(),
            "0 to 1",
            "the same for bars of one colour each, black or not",
        ),
        ("text_chars", pa.int64(), "characters", "length of best_text; null without a text"),
        (
            "text_language",
            pa.string(),
            "ISO 639",
            "language of best_text, two letters or three; null where the model is not sure",
        ),
        (
            "text_repetition",
            pa.float64(),
            "0 to 1",
            "share of best_text's runs of 4 words that repeat an earlier one; null under 4 words",
        ),
        (
            "text_garble",
            pa.float64(),
            "0 to 1",
            "share of best_text's characters that are wrongly decoded, or none",
        ),
        (
            "text_han_share",
            pa.float64(),
            "0 to 1",
            "share of best_text's letters that are Han; null without letters",
        ),
    ),
    *_asked(
        'score.ocr = "area"',
        (
            "ocr_area_share",
            pa.float64(),
            "0 to 1",
            "share of the frames looked at inside the boxes of text, in the mean; null under 16 px a side",
        ),
    ),
    *_asked(
        'score.ocr = "text"',
        ("ocr_text", pa.list_(pa.string()), "", "distinct lines of text in the frames, in reading order"),
    ),
    *_asked(
        "score.faces = true",
        (
            "face_count",
            pa.int64(),
            "faces",
            "faces in the frame that shows most of them; null under 16 px a side",
        ),
        ("face_area_share", pa.float64(), "0 to 1", "largest share of a frame that faces cover"),
    ),
    *_asked(
        "score.speech = true",
        (
            "speech_share",
            pa.float64(),
            "0 to 1",
            "share of the clip's time with speech; null without sound, or with such as cannot be decoded",
        ),
    ),
    *_group(
        "results",
        (
            "route",
            pa.string(),
            "keep, recaption",
            "recaption when only rules on the agreement of text and image fail",
        ),
        ("captions", pa.list_(CAPTION), "", "new captions: text, who wrote it from what, and how that ended"),
        ("text", pa.string(), "", "the text that goes with the sample"),
        ("text_from", pa.string(), "source, caption", "where text comes from; null when there is none"),
        ("category", pa.string(), "", "what kind of training sample it is: caption"),
        (
            "conversation",
            pa.list_(TURN),
            "",
            "the training sample as turns; <video> and <image> stand for media",
        ),
        ("visual_tokens", pa.int64(), "tokens", "tokens that the media takes in the model to be trained"),
        ("text_tokens", pa.int64(), "tokens", "tokens of the conversation's words, template included"),
        ("shard", pa.string(), "path", "shard that holds the sample, relative to the pack folder"),
        ("shard_index", pa.int64(), "", "place of the sample in its shard, from 0"),
        ("media_ext", pa.string(), "jpg, mp4", "extension of the packed media"),
        ("media_bytes", pa.int64(), "bytes", "size of the packed media"),
        ("media_sha256", pa.string(), "64 hex digits", "SHA-256 of the packed media"),
        (
            "media_how",
            pa.string(),
            "copied, encoded",
            "whether what the source holds was copied or encoded anew; why, of a clip that was to be copied",
        ),
        (
            "cut_start_error_s",
            pa.float64(),
            "s",
            "how much later than asked the packed clip begins; 0 but for copied ones, null for an image",
        ),
        (
            "cut_end_error_s",
            pa.float64(),
            "s",
            "how much later it ends, below 0 when earlier; 0 but for copied ones, null for an image",
        ),
    ),
    *_group(
        "fate",
        ("rejected_by", pa.string(), "", "the first rule that rejected the row"),
        ("duplicate_of", pa.string(), "32 hex digits", "the row that is kept instead of this one"),
        ("error", pa.string(), "reason: detail", "why a stage could not do its work on this row"),
    ),
    Column(
        "location",
        LOCATION,
        "",
        "where the bytes are now: file, and a range of it for a tar member",
        "identity",
        resource=True,
    ),
    Column(
        "modified_ns",
        pa.int64(),
        "ns",
        "modification time of the file; tells whether to read it again",
        "facts",
        resource=True,
    ),
    Column("frames", pa.list_(FRAME), "", "up to 8 small JPEG frames with their times", "results", side=True),
    Column(
        "tiny_frames",
        pa.binary(),
        "",
        "every frame as 27 x 48 RGB bytes, upright, each as difference to the one before (mod 256), by zstd",
        "results",
        side=True,
    ),
    Column(
        "tiny_pts",
        pa.list_(pa.int64()),
        "ticks",
        "presentation time of each of tiny_frames",
        "results",
        side=True,
    ),
    Column(
        "shot_odds",
        pa.list_(pa.float32()),
        "0 to 1",
        "how likely each of tiny_frames is the middle of a transition; of a hard cut, the last before it",
        "results",
        side=True,
    ),
    Column(
        "frame_embeddings",
        pa.list_(pa.list_(pa.float32())),
        "",
        "CLIP embedding of each stored frame, of length 1",
        "results",
        side=True,
    ),
    Column(
        "embedding",
        pa.list_(pa.float32()),
        "",
        "mean of frame_embeddings, scaled to length 1",
        "results",
        side=True,
    ),
    Column(
        "media", pa.binary(), "", "the encoded clip or image as it goes into a shard", "results", side=True
    ),
]

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
# Columns that a recipe names itself, by how their names begin: type, unit, meaning, and where it does so.
CLASS, COUNT, AREA, OWN = "class_", "count_", "area_", "own_"
FAMILIES = {
    CLASS: (
        pa.float64(),
        "0 to 1",
        "probability of the label that the classifier {} looks for",
        "[score.classify.NAME]",
    ),
    COUNT: (
        pa.int64(),
        "",
        "what the detector {} finds in the frame that shows most of it; null under 16 px a side",
        "[score.detect.NAME]",
    ),
    AREA: (
        pa.float64(),
        "0 to 1",
        "largest share of a frame that what the detector {} finds covers",
        "[score.detect.NAME]",
    ),
    OWN: (pa.float64(), "", "the recipe's own score {}", "[score.own.NAME]"),
}


def column(name: str) -> Column:
    """The column of that name; raises RecipeError that offers the nearest name.

    `class_NAME`, `count_NAME`, `area_NAME` and `own_NAME` are measures whose NAME a recipe gives.
    """
    if is_named(name):
        prefix, separator, rest = name.partition("_")
        type_, unit, meaning, asked = FAMILIES[prefix + separator]
        return Column(name, type_, unit, meaning.format(rest), "measures", asked=asked)
    if name not in COLUMNS:
        raise RecipeError(f"unknown column {name!r}; {nearest(name, COLUMNS)}")
    return COLUMNS[name]


def is_named(name: str) -> bool:
    """Whether a column's name was given by a recipe."""
    return name.startswith(tuple(FAMILIES)) and name.isidentifier()


def remedy(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a column that is not there: what has it computed, or the nearest name."""
    there = name in COLUMNS or is_named(name)
    asked = column(name).asked if there else ""
    if asked:
        return f"{asked} has it computed"
    return "judge after the step that writes it, or run that anew" if there else nearest(name, known)


def schema(names: Iterable[str]) -> pa.Schema:
    """An Arrow schema of these columns, in this order."""
    return pa.schema([(name, column(name).type) for name in names])


def table(rows: Iterable[dict[str, object]], names: Iterable[str]) -> pa.Table:
    """Rows as a table of these columns; a key that a row lacks is null there."""
    return pa.Table.from_pylist(list(rows), schema=schema(names))
