"""How a file comes to be on disk, whole or not at all, and how one that is no longer what was written is
told."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import ManifestError, RecipeError, nearest

CHUNK_BYTES = 1 << 20
# 128 bits, as ids have.
DIGITS = 32
_DIGITS = re.compile(r"[^.].*-((?:[0-9a-f]{12}|[0-9a-f]{32}))(?:\.[^-]*)?\.parquet")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under `path` only when the block ends well; raises OSError as `open` does."""
    with _named_last(path.parent, lambda _: path) as handle:
        yield handle


@contextmanager
def _named_last(folder: Path, name: Callable[[Path], Path]) -> Iterator[IO[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(name(temporary))
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as handle:
        handle.write(content)


def write_json(path: Path, value: object) -> None:
    """JSON with sorted keys and no clock times of its own, so that equal values are equal bytes."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_table(path: Path, table: pa.Table) -> None:
    """Parquet, zstd; equal tables give equal bytes under one version of Arrow."""
    with replacing(path) as handle:
        pq.write_table(table, handle, compression="zstd")


def keep_table(folder: Path, name: str, table: pa.Table, *, group_rows: int | None = None) -> Path:
    """Parquet as `write_table`, under a name that tells what it holds: `{}` in `name` becomes the first 32
    digits of its SHA-256.

    `promised` reads them from the name, now and later, so that no other list has to be trusted.
    """
    kept: list[Path] = []

    def named(temporary: Path) -> Path:
        kept.append(folder / name.format(sha256(temporary)[:DIGITS]))
        return kept[0]

    with _named_last(folder, named) as handle:
        pq.write_table(table, handle, compression="zstd", row_group_size=group_rows)
    return kept[0]


def promised(path: Path) -> str:
    """The digits of SHA-256 that a file's name promises; empty when it promises none."""
    found = _DIGITS.fullmatch(path.name)
    return found[1] if found else ""


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def named_toml(what: str, name: str, shipped: Path) -> tuple[Path, dict[str, Any]]:
    """A TOML file by its path or, without .toml, by its name among the shipped ones; raises RecipeError."""
    path = Path(name) if name.endswith(".toml") else shipped / f"{name}.toml"
    if not path.is_file():
        hint = nearest(name, [p.stem for p in shipped.glob("*.toml")])
        raise RecipeError(f"no {what} {name!r}: neither a .toml file nor a shipped one; {hint}")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def read_table(out: Path, path: Path, names: list[str] | None = None) -> pa.Table:
    """A parquet file of a work directory; raises ManifestError as `reading` does."""
    with reading(out, path):
        return pq.read_table(path, columns=names)


@contextmanager
def reading(out: Path, path: Path) -> Iterator[None]:
    """Around the reading of a file of the work directory `out`.

    Raises ManifestError that names the file, and the command that mends it unless the machine is to blame.
    """
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        problem = str(error).partition("\n")[0]
        if isinstance(error, OSError) and machines_fault(error):
            raise ManifestError(f"{path} cannot be read now: {problem}; mend that and run again") from error
        raise ManifestError(f"{path} cannot be read ({problem}); {remedy(out)}") from error


def remedy(out: Path) -> str:
    """What a person does about a broken file."""
    return f"`reelmix verify {out} --mend` removes what is broken, and the next run makes it again"


def machines_fault(error: OSError) -> bool:
    """Whether reading failed for a reason that says nothing of the file's content: rights, a lost mount."""
    return error.errno not in (None, errno.ENOENT, errno.EISDIR, errno.ENOTDIR)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
