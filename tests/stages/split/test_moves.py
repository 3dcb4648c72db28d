"""Movement of known size: by flow, by luma from half second to half second, by the codec's vectors."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stages.split.moves import jump_share
from tests.stages.split.drawn import asset, encoded, split, split_here

Pixels = np.ndarray[Any, Any]
WIDTH, HEIGHT = 384, 288
DIAGONAL = math.hypot(WIDTH, HEIGHT)


def texture(seed: int, width: int = 2000, height: int = HEIGHT) -> Pixels:
    """Gray structure of several sizes, as RGB."""
    rng = np.random.default_rng(seed)
    made = np.full((height, width), 128.0, np.float32)
    for px, strength in ((96, 50), (24, 40), (8, 20)):
        cells = rng.uniform(-strength, strength, (height // px + 2, width // px + 2)).astype(np.float32)
        made += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.repeat(made.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def pan(px: int, frames: int, seed: int = 1) -> Iterator[Pixels]:
    """The camera goes right, `px` pixels a frame."""
    wide = texture(seed)
    return (wide[:, n * px : n * px + WIDTH] for n in range(frames))


def one(path: Path, frames: Iterable[Pixels], *, rate: int = 24, **more: Any) -> dict[str, Any]:
    """The row of a film of one clip."""
    settings = {name: more.pop(name) for name in ("codec_vectors", "effort") if name in more}
    (row,) = split_here(encoded(path, frames, rate=rate, **more), detector="none", **settings)
    return row


@pytest.mark.parametrize(("px", "rate"), [(0, 24), (1, 24), (3, 24), (5, 12)])
def test_flow_of_a_pan(tmp_path: Path, px: int, rate: int) -> None:
    """So many pixels a frame by half a second's frames, over the diagonal of 480 px."""
    row = one(tmp_path / "a.mp4", pan(px, 3 * rate), rate=rate)
    assert row["flow"] == pytest.approx(px * rate / 2 / DIAGONAL, rel=0.05, abs=2e-4)


def test_flow_by_the_clock_of_the_container(tmp_path: Path) -> None:
    """The same movement in time with other frames: 96 px/s at 24 frames/s, and at frames of uneven times."""
    wide, times = texture(1), [n + n // 3 for n in range(72)]
    uneven = (wide[:, 4 * t : 4 * t + WIDTH] for t in times)
    row = one(tmp_path / "a.mkv", uneven, pts=times)
    assert row["flow"] == pytest.approx(48 / DIAGONAL, rel=0.08)


@pytest.mark.parametrize(("width", "height"), [(150, 288), (384, 66), (66, 288), (118, 126), (66, 66)])
def test_flow_of_any_shape(tmp_path: Path, width: int, height: int) -> None:
    """Upright, wide and small pictures, whose lines end anywhere."""
    row = one(tmp_path / "a.mp4", (frame[:height, :width] for frame in pan(1, 48)))
    assert row["flow"] == pytest.approx(12 / math.hypot(width, height), rel=0.25)


@pytest.mark.parametrize("times_s", [(0, 0.99, 2, 2.99, 4, 4.99, 6, 6.99), range(8)])
def test_flow_of_pictures_a_second_apart(tmp_path: Path, times_s: Sequence[float]) -> None:
    """40 px/s: every other half second shows nothing new, the others 40 px; 240 px are seen in 13 steps of
    the first film, and 280 in 15 of the second, whose last picture stays for a second."""
    wide, rate = texture(1), 100 if 0.99 in times_s else 1
    frames = (wide[:, round(40 * t) :][:, :WIDTH] for t in times_s)
    row = one(tmp_path / "a.mp4", frames, rate=rate, pts=[round(rate * t) for t in times_s])
    seen = 240 / 13 if 0.99 in times_s else 280 / 15
    assert row["flow"] == pytest.approx(seen / DIAGONAL, rel=0.05)


def test_flow_where_frames_are_left_out(tmp_path: Path) -> None:
    """Key frames half a second apart tell what all frames do; of those 0.6 s apart flow counts in proportion,
    and of those a second apart nothing is known, as nobody looked between them."""
    keys = {"effort": "keyframes", "bf": "0", "sc_threshold": "0"}
    assert one(tmp_path / "a.mp4", pan(3, 120), g="12", **keys)["flow"] == pytest.approx(0.075, rel=0.05)
    uneven = one(tmp_path / "b.mp4", pan(3, 120), rate=20, g="12", **keys)
    assert uneven["flow"] == pytest.approx(30 / DIAGONAL, rel=0.05)
    apart = one(tmp_path / "c.mp4", pan(3, 120), g="24", **keys)
    assert {None} == {apart[name] for name in ("flow", "jump_share", "motion", "freeze_share")}


def test_repeated_frames_may_be_dropped(tmp_path: Path) -> None:
    """A film that moves for 2 s and rests for 18, then black for as long, with all frames and without those
    that repeat: the same numbers, but for what the coder changes at rest."""
    wide, black = texture(1), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rests = [wide[:, 2 * n : 2 * n + WIDTH] for n in range(48)] + [wide[:, 96 : 96 + WIDTH]] * 240
    film = [*rests, *[black] * 240]
    kept = [*range(49), 288, 527]
    whole = one(tmp_path / "a.mkv", film)
    few = one(tmp_path / "b.mkv", (film[n] for n in kept), pts=kept)
    for name in ("luma_mean", "black_share", "motion", "freeze_share", "flow", "jump_share"):
        assert few[name] == pytest.approx(whole[name], rel=0.03), name
    assert whole["black_share"] == pytest.approx(240 / 528, abs=1e-4)


def test_flow_that_cannot_be_known(tmp_path: Path) -> None:
    """Less than two looks, a strip of a picture, tiny pictures."""
    assert None is one(tmp_path / "a.mp4", pan(3, 12))["flow"]
    assert None is one(tmp_path / "b.mp4", pan(3, 1))["flow"]
    strip = (frame[:40] for frame in pan(3, 48))
    assert None is one(tmp_path / "d.mp4", strip)["flow"]
    tiny = (frame[:16, :16] for frame in pan(3, 48))
    assert None is one(tmp_path / "e.mp4", tiny)["flow"]


def test_vectors_of_a_pan(tmp_path: Path) -> None:
    """Blocks are found 4 px away in the frame before; the strip that comes in may be found elsewhere."""
    options = {"bf": "0", "refs": "1", "g": "250"}
    row = one(tmp_path / "a.mp4", pan(4, 48), codec_vectors=True, **options)
    assert row["codec_motion"] == pytest.approx(4 / DIAGONAL, rel=0.1)
    still = one(tmp_path / "b.mp4", pan(0, 48), codec_vectors=True, **options)
    assert still["codec_motion"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "0"}),
        ("libx264", {}),
        ("mpeg4", {"b": "4M", "bf": "2"}),
        ("mpeg2video", {"b": "8M", "bf": "2", "g": "12"}),
    ],
)
@pytest.mark.parametrize("effort", ["exact", "fast"])
def test_vectors_whatever_the_frames_are_coded_as(
    tmp_path: Path, codec: str, options: dict[str, str], effort: str
) -> None:
    """With B-frames, of which FFmpeg hands out nought or vectors to frames on both sides, and with P-frames
    that refer to the third before: 4 px a frame."""
    row = one(tmp_path / "a.mkv", pan(4, 72), codec=codec, codec_vectors=True, effort=effort, **options)
    assert row["codec_motion"] == pytest.approx(4 / DIAGONAL, rel=0.05)


@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_vectors_across_a_cut_are_no_motion(tmp_path: Path, b_frames: str) -> None:
    """Eight still scenes of a second, predicted from one another: none of them moves."""
    frames = (texture(20 + n // 24, WIDTH) for n in range(192))
    path = encoded(tmp_path / "a.mp4", frames, bf=b_frames, g="250", sc_threshold="0")
    rows = split_here(path, codec_vectors=True)
    assert 8 == len(rows)
    assert [pytest.approx(0, abs=1e-5)] * 8 == [row["codec_motion"] for row in rows]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "mjpeg", {"strict": "unofficial"}),
        ("a.mp4", "libx264", {"g": "1"}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("b.mp4", "libx265", {"x265-params": "log-level=error"}),
    ],
)
def test_no_vectors_no_motion(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    """Of key frames only, and of codecs whose decoder exports none: null, not nought; flow is known."""
    row = one(tmp_path / name, pan(4, 26), codec=codec, codec_vectors=True, **options)
    assert row["codec_motion"] is None
    assert row["flow"] == pytest.approx(48 / DIAGONAL, rel=0.1)


def test_vectors_of_small_pictures_and_unasked_ones(tmp_path: Path) -> None:
    """Below 256 px on a side a block says too little; and nothing is measured unless the recipe asks."""
    small = (frame[:240] for frame in pan(4, 26))
    assert None is one(tmp_path / "a.mp4", small, codec_vectors=True)["codec_motion"]
    assert None is one(tmp_path / "b.mp4", pan(4, 26))["codec_motion"]


def slides(change: int, *, hold: int = 72, count: int = 5) -> Iterator[Pixels]:
    """Slides of three seconds; from one to the next in `change` frames."""
    every = [texture(10 + n, WIDTH).astype(np.float32) for n in range(count)]
    for n in range(hold * count):
        slide, at = divmod(n, hold)
        share = min(1.0, max(0.0, (at - hold + change + 1) / change)) if slide + 1 < count else 0.0
        yield (every[slide] * (1 - share) + every[min(slide + 1, count - 1)] * share).astype(np.uint8)


def talking(frames: int) -> Iterator[Pixels]:
    """Before a still room: a head that sways, and a mouth that moves but for pauses."""
    room = texture(3, WIDTH)
    for n in range(frames):
        made, x = room.copy(), round(192 + 12 * math.sin(n / 17) + 5 * math.sin(n / 5))
        cv2.circle(made, (x, 130), 70, (200, 160, 140), -1)
        opening = 2 + round(10 * abs(math.sin(n / 3))) if n // 40 % 3 else 2
        cv2.ellipse(made, (x, 165), (22, opening), 0, 0, 360, (90, 30, 40), -1)
        yield made


def test_a_slide_show_is_told_from_film(tmp_path: Path) -> None:
    """Of slides with hard changes all change lies in a quarter of the half seconds, of soft ones of a third
    of their time most, of half of it no more than of a talking head may: less than two thirds; of a pan a
    quarter."""
    hard, soft = one(tmp_path / "a.mp4", slides(1)), one(tmp_path / "b.mp4", slides(24))
    pans, talk = one(tmp_path / "c.mp4", pan(3, 360)), one(tmp_path / "d.mp4", talking(360))
    assert hard["jump_share"] > 0.98
    assert soft["jump_share"] > 0.85
    assert pans["jump_share"] == pytest.approx(0.25, abs=0.08)
    assert talk["jump_share"] < 0.66
    half = one(tmp_path / "e.mp4", slides(24, hold=48, count=8))
    assert half["jump_share"] == pytest.approx(0.57, abs=0.02)


def test_slides_without_frames_between_them(tmp_path: Path) -> None:
    """A frame a slide, shown for three seconds: what no frame shows anew does not change, as in a film that
    repeats each."""
    frames = (texture(10 + n, WIDTH) for n in range(5))
    row = one(tmp_path / "a.mkv", frames, rate=1, pts=[0, 3, 6, 9, 12])
    assert 1.0 == row["jump_share"]
    every = one(tmp_path / "b.mkv", slides(1))
    assert row["flow"] == pytest.approx(every["flow"], rel=0.25)


def test_jump_share_by_hand() -> None:
    """Of eight steps the two largest of 0.5, 0.3 and 0.2: 0.8; a step of noise is none; a quarter of nine is
    three. Fewer steps, or no change: unknown."""
    assert jump_share([0.2, 0.5, 0.3], 8) == pytest.approx(0.8)
    assert jump_share([0.2, 0.5, 0.3, *[0.0009] * 5], 8) == pytest.approx(0.8)
    assert jump_share([0.2, 0.5, 0.3], 9) == pytest.approx(1.0)
    assert jump_share([0.1] * 12, 12) == pytest.approx(0.25)
    assert None is jump_share([0.5] * 7, 7)
    assert None is jump_share([0.0009] * 20, 20)


def test_a_strobe_is_counted(tmp_path: Path) -> None:
    """Two frames dark, two light, at 24 frames/s: six flashes a second; key frames alone cannot tell, nor can
    frames of which some are left out: of every four the light one may be."""
    frames = [np.full((64, 64, 3), 200 if n // 2 % 2 else 40, np.uint8) for n in range(48)]
    assert 6.0 == one(tmp_path / "a.mp4", frames)["flash_rate"]
    assert None is one(tmp_path / "a.mp4", frames, effort="keyframes", g="2")["flash_rate"]
    some = [np.full((64, 64, 3), 40 if n % 4 else 200, np.uint8) for n in range(96)]
    options = {"bf": "3", "b_strategy": "0", "sc_threshold": "0"}
    assert 6.0 == one(tmp_path / "b.mp4", some, **options)["flash_rate"]
    assert None is one(tmp_path / "b.mp4", some, effort="fast", **options)["flash_rate"]


def test_key_frames_alone_do_not_tell_movement(tmp_path: Path) -> None:
    """Of pairs two seconds apart motion and standstill are unknown; where every frame is a key frame they are
    as in exact, but for the loop filter."""
    swing = [texture(1)[:, 40 * (n % 48 > 24) + n % 24 :][:, :WIDTH] for n in range(144)]
    row = one(tmp_path / "a.mp4", swing, effort="keyframes", g="48")
    assert (None, None, None) == (row["motion"], row["freeze_share"], row["codec_motion"])
    every = {
        effort: one(tmp_path / "b.mp4", swing[:48], effort=effort, g="1") for effort in ("exact", "keyframes")
    }
    for name in ("motion", "freeze_share", "flow", "flash_rate"):
        assert every["keyframes"][name] == pytest.approx(every["exact"][name], rel=0.15, abs=1e-9)


def test_images_have_no_movement(tmp_path: Path) -> None:
    """What needs neighbours is null."""
    cv2.imwrite(str(tmp_path / "a.png"), texture(1, WIDTH))
    (row,) = split(tmp_path / "a.png", kind="image", id=asset(tmp_path)["asset_id"])
    assert {None} == {row[name] for name in ("flow", "codec_motion", "jump_share", "flash_rate")}
