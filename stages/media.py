"""The one place where media from outside is opened: allow-lists, limits, and words for what is wrong."""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from manifests.errors import RowError

if TYPE_CHECKING:
    import av.audio.stream
    import av.container
    import av.packet
    import av.video.stream
    from PIL.Image import Image

# Why a file could not be used; these words are counted in `inspect`, so they stay few and stable.
REASONS = {
    "empty_file": "the file holds no bytes",
    "unreadable": "the operating system refused to read the file",
    "not_media": "the content is not what the name says, or nothing that can be decoded",
    "truncated": "the content ends before its own headers say it should",
    "no_video_stream": "the container holds no moving picture",
    "format_not_allowed": "a container or image format outside the allow-list",
    "codec_not_allowed": "a codec outside the allow-list",
    "too_many_pixels": "a picture larger than the pixel limit",
    "too_many_streams": "more streams than the limit",
    "too_long": "a longer duration than the limit",
    "time_jump": "the clock of the container jumps, as where recordings were joined: its times mean nothing",
    "too_short": "no shot is long enough for the chunks or the trim asked for",
    "decode_error": "the decoder gave up on damaged content",
    "deadline": "not done within its deadline; the decoder was stopped",
    "out_of_memory": "more memory was asked for than the decoder may use",
    "encode_failed": "the encoder gave up, or the picture has no range that could be encoded",
    "cut_mismatch": "a clip was cut to another number of frames than it has",
    "decoder_crashed": "the decoder's process died",
}
# A file of this reason is not broken: what was asked for leaves nothing of it. Such rows do not stop a step.
UNFIT = "too_short"
# Demuxers of files that people have; playlists, concat scripts, image sequences, devices and bare H.264 or
# HEVC without a clock are none of them.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,ivf,wav,mp3,flac,aac"
CODECS = (
    "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,vp6,vp6f,vp6a,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpeg4,msmpeg4,"
    "msmpeg4v1,msmpeg4v2,mjpeg,prores,dnxhd,theora,wmv1,wmv2,wmv3,vc1,flv,h263,h263p,rawvideo,ffv1,huffyuv,png,"
    "dvvideo,cinepak,svq1,svq3,vvc,"
    "aac,mp3,mp3float,mp2,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,wmav1,wmav2,amrnb,amrwb,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,pcm_mulaw,pcm_alaw,adpcm_ms,adpcm_ima_wav,nellymoser,speex"
)
PROTOCOLS = "file,subfile"
# Containers, by FFmpeg's first name, whose packets tell the same times after a seek as on the way from the
# beginning (a program stream gave times two and a half frames off); and those with an index of key frames,
# which a seek enters exactly.
SEEKABLE = ("mov", "matroska", "avi", "mpegts", "flv", "ivf")
INDEXED = ("mov", "matroska")
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO")
ORIENTATION = 0x0112
# What the column `rotation` has more, where the picture is mirrored left to right before it is turned.
MIRRORED = 360


@dataclass(frozen=True)
class Limits:
    """What one file may cost; resources, so no part of a fingerprint.

    `max_pixels` holds 8K video (7680 x 4320) and 64-megapixel photographs, not the 13 000 x 13 000 pixels
    that Pillow would load with a mere warning.
    """

    memory_bytes: int = 4 << 30
    deadline_s: float = 60.0
    deadline_per_media_s: float = 10.0
    max_pixels: int = 8192 * 8192
    max_streams: int = 64
    max_duration_s: float = 24 * 3600.0

    def deadline_for(self, media_s: float | None) -> float:
        """Seconds that a full pass over `media_s` seconds of media may take."""
        return self.deadline_s + self.deadline_per_media_s * min(media_s or 0.0, self.max_duration_s)


def url(location: Mapping[str, Any]) -> str:
    """A location for FFmpeg: an absolute path behind its protocol; no name is an option or a pattern."""
    path = os.path.abspath(location["path"])
    if location.get("offset") is None:
        return f"file:{path}"
    start, end = location["offset"], location["offset"] + location["size"]
    return f"subfile,,start,{start},end,{end},,:file:{path}"


def read(location: Mapping[str, Any], most: int) -> bytes:
    """The first bytes at a location, none beyond a member's end; raises RowError `unreadable`."""
    unchanged(location)
    offset = location.get("offset")
    try:
        with open(location["path"], "rb") as handle:
            handle.seek(offset or 0)
            return handle.read(most if offset is None else min(most, location["size"]))
    except OSError as error:
        raise RowError("unreadable", f"{error.strerror}") from error


def unchanged(location: Mapping[str, Any]) -> None:
    """Raises RowError `unreadable` when a whole file is gone or has another size than when it was listed."""
    if location.get("offset") is not None or location.get("size") is None:
        return
    try:
        size = os.stat(location["path"]).st_size
    except OSError as error:
        raise RowError("unreadable", f"{error.strerror}") from error
    if size != location["size"]:
        raise RowError("unreadable", f"{size} bytes now, {location['size']} when it was listed; run again")


def input_options(limits: Limits) -> dict[str, str]:
    """The options under which every input is opened, by PyAV and by the ffmpeg command alike.

    One stream more than the limit is let through, because FFmpeg leaves out what is beyond without a word.
    """
    return {
        "protocol_whitelist": PROTOCOLS,
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams + 1),
    }


@contextmanager
def open_video(location: Mapping[str, Any], limits: Limits) -> Iterator[av.container.InputContainer]:
    """An open container. FFmpeg's errors inside the block, too, become RowErrors with a word of REASONS."""
    import av

    unchanged(location)
    try:
        container = av.open(url(location), options=input_options(limits), metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise RowError("not_media", f"no allowed container: {_words(error)}") from error
    except av.error.ArgumentError as error:
        # How FFmpeg words a demuxer outside its whitelist.
        raise RowError("format_not_allowed", f"allowed containers are {FORMATS}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _row_error(error) from error
    try:
        with container:
            _within(container, limits)
            yield container
    except av.error.FFmpegError as error:
        raise _row_error(error) from error


def _within(container: av.container.InputContainer, limits: Limits) -> None:
    if len(container.streams) > limits.max_streams:
        raise RowError("too_many_streams", f"more than {limits.max_streams} streams")
    for stream in container.streams:
        if stream.codec_context is not None:
            # Set on the context as well: the container's options do not reach decoders that PyAV opens later.
            stream.codec_context.options = {"codec_whitelist": CODECS, "max_pixels": str(limits.max_pixels)}
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
    for stream in container.streams.video:
        width, height = _sides(stream)
        if width * height > limits.max_pixels and not _attached(stream):
            raise RowError("too_many_pixels", f"{width} x {height} px, at most {limits.max_pixels} in all")


def _sides(stream: av.video.stream.VideoStream) -> tuple[int, int]:
    context = stream.codec_context
    return (context.width, context.height) if context is not None else (0, 0)


def _attached(stream: av.video.stream.VideoStream) -> bool:
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


# The operating system's refusals; EPERM is none, because FFmpeg's demuxers say -1 when they just fail.
_REFUSED = {errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def _row_error(error: Exception) -> RowError:
    """An FFmpeg error in our words.

    An input/output error means that a container promised bytes that are not there: what the file has was read
    before, when it was hashed.
    """
    import av

    number = getattr(error, "errno", None)
    if number in _REFUSED:
        return RowError("unreadable", _words(error))
    if number == errno.EIO:
        return RowError("truncated", "the container promises bytes that are not there")
    known: list[tuple[type[Exception], str]] = [
        (av.error.MemoryError, "out_of_memory"),
        (av.error.EOFError, "truncated"),
        (av.error.DecoderNotFoundError, "codec_not_allowed"),
        (av.error.DemuxerNotFoundError, "format_not_allowed"),
        (av.error.InvalidDataError, "decode_error"),
    ]
    for kind, reason in known:
        if isinstance(error, kind):
            return RowError(reason, _words(error))
    return RowError("decode_error", f"{type(error).__name__}: {_words(error)}")


def _words(error: Exception) -> str:
    """What FFmpeg says, without the path that it repeats."""
    return (getattr(error, "strerror", None) or str(error)).replace("\n", " ")


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The first stream of moving pictures; cover art does not count.

    Raises RowError: `no_video_stream`, `codec_not_allowed`.
    """
    stream = next((stream for stream in container.streams.video if not _attached(stream)), None)
    if stream is None:
        kinds = sorted({stream.type for stream in container.streams})
        raise RowError("no_video_stream", f"the container holds {', '.join(kinds) or 'no streams'}")
    if stream.codec_context is None:
        raise RowError("codec_not_allowed", "a codec that FFmpeg has no decoder for")
    if stream.codec_context.name not in CODECS.split(","):
        raise RowError("codec_not_allowed", f"{stream.codec_context.name} is not among the allowed codecs")
    return stream


def repeats(packet: av.packet.Packet[Any]) -> bool:
    """Whether a packet is empty, which means that the frame before stays (Theora); a decoder refuses it. The
    last packet is empty too, but has no time: it has the decoder give what it holds."""
    return packet.size == 0 and (packet.pts is not None or packet.dts is not None)


def frames(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Iterator[av.VideoFrame]:
    """Every frame that a stream holds, from where the container stands."""
    for packet in container.demux(stream):
        if not repeats(packet):
            yield from packet.decode()


def audio_stream(container: av.container.InputContainer) -> av.audio.stream.AudioStream:
    """The first stream of sound. Raises RowError: `decode_error` without one, `codec_not_allowed`."""
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        raise RowError("decode_error", "the container holds no sound")
    if stream.codec_context is None or stream.codec_context.name not in CODECS.split(","):
        raise RowError("codec_not_allowed", "the codec of the sound is not among the allowed ones")
    return stream


# Colour matrices that libswscale converts; it refuses the others, which are rare or reserved (ITU-T H.273).
_MATRICES, _UNSPECIFIED = {0, 1, 2, 4, 5, 6, 7, 9}, 2


def admitted(frame: av.VideoFrame, limits: Limits) -> av.VideoFrame:
    """A decoded frame that may be looked at: a stream may grow in the middle, and its colours may say that
    they follow a matrix that nobody converts. Raises RowError `too_many_pixels`."""
    if frame.width * frame.height > limits.max_pixels:
        size = f"{frame.width} x {frame.height} px"
        raise RowError("too_many_pixels", f"{size}, at most {limits.max_pixels} in all")
    if frame.colorspace not in _MATRICES:
        frame.colorspace = _UNSPECIFIED
    return frame


@contextmanager
def open_image(location: Mapping[str, Any], limits: Limits) -> Iterator[Image]:
    """An image whose header was read; its pixels are still to be loaded, by `image.load()` inside the block.

    There the limit holds for a picture within the picture (an icon's PNG), too, and Pillow's many exceptions
    become RowErrors. Raises RowError: `unreadable`, `format_not_allowed`, `not_media`, `too_many_pixels`,
    `truncated`, `decode_error`.
    """
    from PIL import Image, UnidentifiedImageError

    head = read(location, 16)
    with _decoding(limits):
        try:
            image = Image.open(_source(location), formats=IMAGE_FORMATS)
        except UnidentifiedImageError:
            raise _unidentified(head) from None
        with image:
            yield image


# How images begin that Pillow could not, or was not allowed to, identify (each format's own specification).
_ALLOWED_HEADS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WEBP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"\0\0\0\x0cjP  ": "JPEG2000",
}
_OTHER_HEADS = {
    b"8BPS": "PSD",
    b"SIMPLE  =": "FITS",
    b"%!PS": "EPS",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
}


def _unidentified(head: bytes) -> RowError:
    for magic, name in _ALLOWED_HEADS.items():
        if head.startswith(magic):
            return RowError("decode_error", f"begins as {name}, but the header is damaged or cut off")
    allowed = ", ".join(IMAGE_FORMATS)
    if head[4:8] == b"ftyp":
        brand = head[8:12].decode("ascii", "replace")
        return RowError("format_not_allowed", f"an ISO image of brand {brand!r}, allowed are {allowed}")
    for magic, name in _OTHER_HEADS.items():
        if head.startswith(magic):
            return RowError("format_not_allowed", f"the content is {name}, allowed are {allowed}")
    return RowError("not_media", f"the content begins with none of the marks of {allowed}")


# Pillow raises these, and no class of its own, for damaged content (RuntimeError: AVIF).
_IMAGE_FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    RuntimeError,
    AttributeError,
)


@contextmanager
def _decoding(limits: Limits) -> Iterator[None]:
    """Pillow's settings are the process's: they are as they were after the block."""
    import struct
    import zlib

    from PIL import Image, ImageFile

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limits.max_pixels, False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RowError("too_many_pixels", f"{error}") from error
    except (*_IMAGE_FAULTS, struct.error, zlib.error) as error:
        raise _image_error(error) from error
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _image_error(error: Exception) -> RowError:
    text = f"{error}".replace("\n", " ") or type(error).__name__
    cut = ("truncated", "not enough image data", "unexpected end", "broken data stream", "eof", "premature")
    reason = "truncated" if any(word in text.lower() for word in cut) else "decode_error"
    return RowError(reason, text)


def _source(location: Mapping[str, Any]) -> str | IO[bytes]:
    """What Pillow opens: a file by its path, which it closes itself; of a tar member all its bytes."""
    if location.get("offset") is None:
        return str(Path(location["path"]).absolute())
    return io.BytesIO(read(location, location["size"]))


def upright(image: Image) -> Image:
    """An open image as its EXIF orientation means it."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)
