"""Which files a folder or a pattern holds, and which folders are not entered, and why."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

# What a run makes in its work directory before anything else, all of it from then on; the lock is empty.
LOCK, BEGUN = "lock", {"ingest", "orders", "runs"}
RECORD = Path("ingest", "record.json")


@dataclass(frozen=True)
class Aside:
    """A folder that is not entered: its role among the sources, and why."""

    path: Path
    role: str
    error: str


def walk(root: Path) -> Iterator[Path | Aside]:
    """Every file below a folder, in order of names, and every folder that is left out; raises nothing.

    No link to a folder is followed, so there is no loop. Depth costs nothing but the path's length.
    """
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Aside(folder, "media", f"unreadable: {error.strerror}")
            continue
        if folder != root and (why := _work(folder, (entry.name for entry in found))):
            yield why
            continue
        inside: list[Path] = []
        for entry in found:
            if not _is_folder(entry):
                yield Path(entry.path)
            elif entry.is_symlink():
                yield _linked(Path(entry.path))
            else:
                inside.append(Path(entry.path))
        stack += reversed(inside)


def is_work(folder: Path) -> bool:
    """Whether a folder is the work directory of a run: by its empty lock and what a run makes first, or by
    the record of ingest."""
    return _look(folder) is not None


def matching(pattern: str) -> list[Path | Aside]:
    """The files that fit a pattern; `**` stands for folders of any depth, entered as `walk` does.

    A folder named by a pattern without `**` is entered even through a link, as a shell does.
    """
    root, wanted = split(pattern)
    if "**" in wanted:
        below = walk(root) if root.is_dir() else iter(())
        return [one for one in below if isinstance(one, Aside) or _fits(one.relative_to(root).parts, wanted)]
    found = (Path(match) for match in sorted(glob.glob(pattern)) if not os.path.isdir(match))
    return list(_without_work(found, root))


def split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The folder that a pattern names outright, and the names below it that are patterns."""
    parts = Path(pattern).parts
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:fixed]), parts[fixed:]


def _work(folder: Path, names: Iterable[str]) -> Aside | None:
    seen = set(names)
    begun = LOCK in seen and (seen == {LOCK} or seen & BEGUN) and _is_empty(folder / LOCK)
    if begun or ("ingest" in seen and (folder / RECORD).is_file()):
        return Aside(
            folder, "ignored", "work_directory: results of a run are no sources; name a folder in it"
        )
    return None


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _linked(path: Path) -> Aside:
    return Aside(path, "ignored", "linked_folder: a link to a folder is not followed; name it as a source")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _fits(names: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a path's names fit a pattern's, as `glob` does: what begins with a dot is named or left out."""
    if not wanted or not names:
        return not names and set(wanted) <= {"**"}
    if wanted[0] == "**":
        return _fits(names, wanted[1:]) or (names[0][0] != "." and _fits(names[1:], wanted))
    shown = names[0][0] != "." or wanted[0][0] == "."
    return shown and fnmatchcase(names[0], wanted[0]) and _fits(names[1:], wanted[1:])


def _without_work(found: Iterable[Path], root: Path) -> Iterator[Path | Aside]:
    """What lies in a work directory below the pattern's fixed part gives way to one mention of it."""
    known: dict[Path, Aside | None] = {}
    mentioned: set[Path] = set()
    for path in found:
        below = [folder for folder in path.parents if folder.is_relative_to(root) and folder != root]
        why = next((work for folder in below if (work := _known(folder, known))), None)
        if why is None:
            yield path
        elif why.path not in mentioned:
            mentioned.add(why.path)
            yield why


def _known(folder: Path, known: dict[Path, Aside | None]) -> Aside | None:
    if folder not in known:
        known[folder] = _look(folder)
    return known[folder]


def _look(folder: Path) -> Aside | None:
    try:
        return _work(folder, os.listdir(folder))
    except OSError:
        return None
