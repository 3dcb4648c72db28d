"""At which packets a decoder can start, by hand-made units."""

import pytest

from stages.entries import is_entry

AVCC = bytes([1, 100, 0, 30, 0xFF])
HVCC = bytes([1, *[0] * 20, 0xFF])


def lengths(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def codes(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


@pytest.mark.parametrize("joined", [lengths, codes])
@pytest.mark.parametrize(
    ("kinds", "expected"), [((9, 7, 8, 6, 5), True), ((5,), True), ((9, 7, 8, 6, 1), False), ((7, 8), False)]
)
def test_h264_begins_at_a_refresh(joined: object, kinds: tuple[int, ...], expected: bool) -> None:
    """Unit 5 is a slice of one, 1 of any other picture; parameters (7, 8), notes (6) and marks (9) are
    neither."""
    extradata = AVCC if joined is lengths else b"\0\0\0\1\x67"
    packet = joined(*(bytes([0x60 | kind, 0x80, 7]) for kind in kinds))  # type: ignore[operator]
    assert expected == is_entry("h264", extradata, packet)


@pytest.mark.parametrize("joined", [lengths, codes])
@pytest.mark.parametrize(
    ("kinds", "expected"), [((32, 33, 34, 19), True), ((35, 21), True), ((39, 1), False), ((8,), False)]
)
def test_hevc_begins_at_random_access_points(joined: object, kinds: tuple[int, ...], expected: bool) -> None:
    """Units 16 to 21 are their slices (19 a refresh, 21 clean random access), 0 to 9 those of others."""
    extradata = HVCC if joined is lengths else b"\0\0\0\1\x40"
    packet = joined(*(bytes([kind << 1, 1, 7]) for kind in kinds))  # type: ignore[operator]
    assert expected == is_entry("hevc", extradata, packet)


@pytest.mark.parametrize("packet", [b"", b"\0", b"\0\0\0\5", b"\0\0\1", b"\xff" * 9])
def test_damage_is_no_entry(packet: bytes) -> None:
    """Cut-off packets and lengths beyond the end."""
    for codec, extradata in (("h264", AVCC), ("hevc", HVCC), ("h264", b""), ("hevc", b"")):
        assert not is_entry(codec, extradata, packet)


def test_other_codecs_say_it_by_the_mark() -> None:
    """A key packet of VP9 or AV1 depends on nothing."""
    assert is_entry("vp9", b"", b"anything")
