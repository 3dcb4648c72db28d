"""The one place where a container or an image from outside is opened: allow-lists, limits, and words for what is wrong."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.errors import RowError

if TYPE_CHECKING:
    import av.container
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
    "decode_error": "the decoder gave up on damaged content",
    "deadline": "not done within its deadline; the decoder was stopped",
    "out_of_memory": "more memory was asked for than the decoder may use",
    "decoder_crashed": "the decoder's process died",
}
# Demuxers of files that people have; playlists, concat scripts, image sequences and devices are none of them.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,ogg,asf,gif,ivf,rm,wav,mp3,flac,aac"
CODECS = (
    "h264,hevc,av1,libdav1d,libaom-av1,vp8,vp9,vp6,vp6f,vp6a,libvpx,libvpx-vp9,mpeg1video,mpeg2video,mpeg4,msmpeg4,"
    "msmpeg4v1,msmpeg4v2,mjpeg,prores,dnxhd,theora,wmv1,wmv2,wmv3,vc1,flv,h263,h263p,rawvideo,ffv1,huffyuv,png,gif,"
    "rv30,rv40,dvvideo,cinepak,svq1,svq3,vvc,"
    "aac,mp3,mp3float,mp2,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,wmav1,wmav2,amrnb,amrwb,"
    "pcm_s16le,pcm_s16be,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,pcm_mulaw,pcm_alaw,adpcm_ms,adpcm_ima_wav,nellymoser,speex"
)
PROTOCOLS = "file,subfile"
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO")
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Limits:
    """What one file may cost; resources, so no part of a fingerprint.

    `max_pixels` holds 8K video (7680 x 4320) and 64-megapixel photographs, not 13 000 x 13 000 bombs, which Pillow
    would load with a warning.
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
    """A location as FFmpeg takes it: an absolute path behind its protocol, so that no name is an option or a pattern."""
    path = os.path.abspath(location["path"])
    if location.get("offset") is None:
        return f"file:{path}"
    start, end = location["offset"], location["offset"] + location["size"]
    return f"subfile,,start,{start},end,{end},,:file:{path}"


def input_options(limits: Limits) -> dict[str, str]:
    """The options under which every input is opened, by PyAV and by the ffmpeg command alike."""
    return {
        "protocol_whitelist": PROTOCOLS,
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams),
    }


@contextmanager
def open_video(location: Mapping[str, Any], limits: Limits) -> Iterator[av.container.InputContainer]:
    """An open container. What content can do wrong inside the block, too, becomes a RowError with a word of REASONS."""
    import av

    try:
        container = av.open(url(location), options=input_options(limits), metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise RowError("not_media", f"no allowed container: {_words(error)}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise _row_error(error) from error
    try:
        with container:
            _within(container, limits)
            yield container
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise _row_error(error) from error


def _within(container: av.container.InputContainer, limits: Limits) -> None:
    if len(container.streams) > limits.max_streams:
        raise RowError("too_many_streams", f"{len(container.streams)} streams, at most {limits.max_streams}")
    for stream in container.streams.video:
        # Set on the context as well: options of the container do not reach decoders that open late.
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > limits.max_pixels:
            raise RowError("too_many_pixels", f"{width} x {height} px, at most {limits.max_pixels} in all")


def _row_error(error: Exception) -> RowError:
    """An FFmpeg error in our words."""
    import av

    known: list[tuple[type[Exception] | tuple[type[Exception], ...], str]] = [
        (av.error.MemoryError, "out_of_memory"),
        (av.error.EOFError, "truncated"),
        (av.error.DecoderNotFoundError, "codec_not_allowed"),
        (av.error.DemuxerNotFoundError, "format_not_allowed"),
        ((av.error.FileNotFoundError, av.error.PermissionError, av.error.OSError), "unreadable"),
        (av.error.InvalidDataError, "decode_error"),
    ]
    for kinds, reason in known:
        if isinstance(error, kinds):
            return RowError(reason, _words(error))
    return RowError("decode_error", f"{type(error).__name__}: {_words(error)}")


def _words(error: Exception) -> str:
    """What FFmpeg says, without the path that it repeats."""
    return (getattr(error, "strerror", None) or str(error)).replace("\n", " ")


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The first stream of moving pictures; cover art does not count. Raises RowError `no_video_stream`."""
    import av

    for stream in container.streams.video:
        attached = bool(stream.disposition & av.stream.Disposition.attached_pic)
        if not attached:
            return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise RowError("no_video_stream", f"the container holds {', '.join(kinds) or 'no streams'}")


def open_image(location: Mapping[str, Any], limits: Limits) -> Image:
    """An image whose header was read and whose pixels are still to be loaded, by `image.load()` within `decoding`.

    Raises RowError: `format_not_allowed`, `not_media`, `too_many_pixels`, `truncated`.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            image = Image.open(_file(location), formats=IMAGE_FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise RowError("too_many_pixels", f"{error}") from error
    except UnidentifiedImageError as error:
        raise RowError("format_not_allowed", f"no image of {', '.join(IMAGE_FORMATS)}") from error
    except _IMAGE_FAULTS as error:
        raise _image_error(error) from error
    if image.width * image.height > limits.max_pixels:
        raise RowError("too_many_pixels", f"{image.width} x {image.height} px, at most {limits.max_pixels} in all")
    return image


# Pillow raises these, and no class of its own, for damaged content.
_IMAGE_FAULTS = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError, AttributeError)


@contextmanager
def decoding() -> Iterator[None]:
    """Around what loads or converts an image's pixels: Pillow's many exceptions become RowErrors."""
    import struct
    import zlib

    from PIL import Image

    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RowError("too_many_pixels", f"{error}") from error
    except (*_IMAGE_FAULTS, struct.error, zlib.error) as error:
        raise _image_error(error) from error


def _image_error(error: Exception) -> RowError:
    text = f"{error}".replace("\n", " ") or type(error).__name__
    cut = ("truncated", "not enough image data", "unexpected end", "broken data stream", "eof", "premature")
    reason = "truncated" if any(word in text.lower() for word in cut) else "decode_error"
    return RowError(reason, text)


def _file(location: Mapping[str, Any]) -> Any:
    """The bytes at a location as a file; a tar member is read whole, which its size bounds."""
    import io

    if location.get("offset") is None:
        return open(location["path"], "rb")
    with open(location["path"], "rb") as handle:
        handle.seek(location["offset"])
        return io.BytesIO(handle.read(location["size"]))


def upright(image: Image) -> Image:
    """The image as its EXIF orientation means it."""
    from PIL import ImageOps

    with decoding():
        return ImageOps.exif_transpose(image)
