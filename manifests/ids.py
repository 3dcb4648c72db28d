"""Ids: 32 hex digits that come from content and position, never from names, times or chance."""

from __future__ import annotations

import hashlib

DIGITS = 32


def segment_id(asset_id: str, start_pts: int) -> str:
    """The id of a segment of a very long video: 128 bits of the SHA-256 of `asset:segment:start`, time in
    PTS."""
    return hashlib.sha256(f"{asset_id}:segment:{start_pts}".encode()).hexdigest()[:DIGITS]


def clip_id(asset_id: str, start_pts: int, end_pts: int) -> str:
    """The id of a clip: the first 128 bits of the SHA-256 of `asset:start:end`, times in PTS."""
    return hashlib.sha256(f"{asset_id}:{start_pts}:{end_pts}".encode()).hexdigest()[:DIGITS]
