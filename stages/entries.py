"""At which packets of H.264 and HEVC a decoder can start, told by their units (ITU-T H.264 and H.265)."""

from __future__ import annotations

from collections.abc import Iterator

# Coded slices: 1 to 5 in H.264, of which 5 are of an instantaneous refresh (table 7-1); below 32 in HEVC, of
# which 16 to 21 are of random access points (table 7-1 there).
_H264_SLICES, _H264_REFRESH = range(1, 6), 5
_HEVC_SLICES, _HEVC_RANDOM_ACCESS = range(32), range(16, 22)


def is_entry(codec: str, extradata: bytes, packet: bytes) -> bool:
    """Whether all that is shown from this key packet on can be decoded from it on.

    In H.264 only a refresh promises that: after any other key frame, pictures may still refer to what came
    before. In HEVC every random access point does. Other codecs say it by marking the packet as key.
    """
    if codec not in ("h264", "hevc"):
        return True
    for unit in _units(codec, extradata, packet):
        if codec == "h264" and unit & 0x1F in _H264_SLICES:
            return unit & 0x1F == _H264_REFRESH
        if codec == "hevc" and unit >> 1 & 0x3F in _HEVC_SLICES:
            return unit >> 1 & 0x3F in _HEVC_RANDOM_ACCESS
    return False


def _units(codec: str, extradata: bytes, packet: bytes) -> Iterator[int]:
    """The first byte of each unit: after start codes, or after lengths as MP4 and Matroska keep them."""
    place = 4 if codec == "h264" else 21
    if len(extradata) <= place or extradata[:3] in (b"\0\0\1", b"\0\0\0"):
        at = packet.find(b"\0\0\1")
        while 0 <= at < len(packet) - 3:
            yield packet[at + 3]
            at = packet.find(b"\0\0\1", at + 3)
        return
    width, at = (extradata[place] & 3) + 1, 0
    while at + width < len(packet):
        yield packet[at + width]
        at += width + int.from_bytes(packet[at : at + width], "big")
