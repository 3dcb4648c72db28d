"""Folders are walked once, without loops; what is not entered is listed with its reason."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import RecipeError
from stages.ingest.listing import Entry, entry_table, list_entries


def listed(uri: object) -> dict[str, Entry]:
    return {entry.uri: entry for entry in list_entries(str(uri), "main")}


def aside(entry: Entry) -> tuple[str, str]:
    return entry.role, str(entry.error).partition(":")[0]


def work_directory(path: Path, *more: str) -> Path:
    path.mkdir(parents=True)
    (path / "lock").touch()
    for name in more:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"result")
    return path


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("runs/000001.json", "pack/images/shards/000000.tar"),
        ("ingest/HashContent-0/all-0.parquet", "orders/ingest/0.parquet"),
    ],
    ids=["just begun", "finished", "broken off"],
)
def test_results_are_no_sources(tmp_path: Path, more: tuple[str, ...]) -> None:
    """A work directory inside the source is one ignored entry, the same for as long as it is there."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    out = work_directory(tmp_path / "deep" / "out", *more)
    first = entry_table(list_entries(str(tmp_path), "main"))
    found = listed(tmp_path)
    assert {"a.jpg", "deep/out"} == set(found)
    assert ("ignored", "work_directory") == aside(found["deep/out"])
    (out / "ingest").mkdir(exist_ok=True)
    (out / "ingest" / "more.parquet").write_bytes(b"x")
    os.utime(out, (1, 1))
    assert first == entry_table(list_entries(str(tmp_path), "main"))


def test_a_copied_work_directory_is_known_by_its_record(tmp_path: Path) -> None:
    """The lock may be lost on the way; the record of ingest is not."""
    work_directory(tmp_path / "out", "ingest/record.json")
    (tmp_path / "out" / "lock").unlink()
    assert {"out": ("ignored", "work_directory")} == {u: aside(e) for u, e in listed(tmp_path).items()}


def test_folders_that_look_alike_are_sources(tmp_path: Path) -> None:
    """A lock with content or among media, and folders named like a step, are somebody's data."""
    for name in ("a/lock", "a/ingest/x.jpg", "b/runs/y.jpg", "c/z.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c" / "lock").touch()
    assert {"a/lock", "a/ingest/x.jpg", "b/runs/y.jpg", "c/z.jpg", "c/lock"} == set(listed(tmp_path))


def test_a_work_directory_is_no_source_itself(tmp_path: Path) -> None:
    """Named as the source it is an error that says what can be named; its datasets can."""
    out = work_directory(tmp_path / "out", "runs/1.json", "pack/images/shards/a.jpg")
    with pytest.raises(RecipeError, match="pack/images"):
        list_entries(str(out), "main")
    assert {"shards/a.jpg"} == set(listed(out / "pack" / "images"))


def test_linked_folders_are_named_not_entered(tmp_path: Path) -> None:
    """A link to a folder is an ignored entry that says how to take it; so no loop is ever walked."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in" / "round")
    found = listed(tmp_path / "in")
    assert {"a.jpg", "loop", "round"} == set(found)
    assert ("ignored", "linked_folder") == aside(found["loop"])
    assert ("media", "unreadable") == aside(found["round"])
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert "a.jpg" in listed(tmp_path / "link")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders named `closed` cannot be listed, as without permission; superusers can list all."""
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    yield


@pytest.mark.usefixtures("refused")
def test_a_closed_folder_is_a_failure(tmp_path: Path) -> None:
    """A folder that cannot be listed is a failed entry; its neighbours are taken."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.jpg").write_bytes(b"x")
    found = listed(tmp_path)
    assert ("media", "unreadable") == aside(found["closed"])
    assert None is found["open/a.jpg"].error


def test_depth_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders deeper than Python's stack are walked."""
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 100
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    Path("a.jpg").write_bytes(b"x")
    (deepest,) = list_entries(str(tmp_path), "main")
    assert ("d/" * depth + "a.jpg", 1) == (deepest.uri, deepest.size)
    Path("a.jpg").unlink()
    for _ in range(depth):
        os.chdir("..")
        os.rmdir("d")


def test_a_path_of_no_reach_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders below the longest path that the system takes are one failed entry."""
    monkeypatch.chdir(tmp_path)
    for _ in range(17):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    (deepest,) = list_entries(str(tmp_path), "main")
    assert "unreadable: File name too long" == deepest.error


def test_patterns_keep_the_same_rules(tmp_path: Path) -> None:
    """`**` finds files as a walk does: no link followed, no work directory entered, each of them named."""
    for name in ("x/a.jpg", "x/deep/b.jpg", "x/c.txt", "x/.hidden/d.jpg", "e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for loop in ("one", "two"):
        (tmp_path / "x" / loop).symlink_to(tmp_path)
    work_directory(tmp_path / "out", "runs/1.json", "pack/images/z.jpg")
    found = listed(f"{tmp_path}/**/*.jpg")
    assert {"x/a.jpg", "x/deep/b.jpg", "e.jpg", "x/one", "x/two", "out"} == set(found)
    assert {"a.jpg"} == set(listed(f"{tmp_path}/x/*.jpg"))
    assert {"a.jpg", "b.jpg", "one", "two"} == {Path(uri).name for uri in listed(f"{tmp_path}/x/**/[ab].jpg")}
    assert {"a.jpg", "c.txt", "../out"} == set(listed(f"{tmp_path}/*/*"))
    with pytest.raises(RecipeError, match="work directory"):
        list_entries(f"{tmp_path}/out/**/*.jpg", "main")


def test_a_pattern_names_what_it_cannot_read(tmp_path: Path) -> None:
    """A pattern that meets a broken link or a pipe lists it with its error."""
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "b.jpg")
    found = listed(f"{tmp_path}/*.jpg")
    assert {"a.jpg": "unreadable", "b.jpg": "not_a_file"} == {u: aside(e)[1] for u, e in found.items()}
