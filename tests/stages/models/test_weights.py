"""Where models come from, what names and digests they have, and what is said when they are not there."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants, errors
from safetensors.numpy import save_file

from manifests.errors import RecipeError
from stages.models import weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model: a config, weights of one array, a word about it."""
    path = tmp_path / "a" / "model"
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "README.md").write_text("good")
    save_file({"w": np.zeros((2, 3), np.float32)}, path / "model.safetensors")
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of nothing, and no way to a hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_digest_is_of_content(folder: Path, tmp_path: Path) -> None:
    """The same files elsewhere, or written again, are the same model; other weights or configs are not."""
    there = Path(shutil.copytree(folder, tmp_path / "b" / "model"))
    digest = weights.identity(str(folder))
    assert digest == weights.identity(str(there))
    os.utime(there / "model.safetensors", ns=(1, 1))
    (there / "README.md").write_text("better")
    assert digest == weights.identity(str(there))
    (there / "config.json").write_text('{"layers": 2}')
    other = weights.identity(str(there))
    assert digest != other
    save_file({"w": np.ones((2, 3), np.float32)}, there / "model.safetensors")
    assert other != weights.identity(str(there))


def test_a_digest_of_the_hubs_cache_is_that_of_a_folder(folder: Path, tmp_path: Path) -> None:
    """The cache names its files by their SHA-256, and links to them: equal content is an equal digest."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        blob = blobs / weights.files.sha256(folder / file)
        shutil.copy(folder / file, blob)
        (snapshot / file).symlink_to(blob)
    assert weights.identity(str(folder)) == weights.identity(str(snapshot))


def test_labels_are_names_and_no_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's own name, the hub's name, or the embedded model's."""
    assert "model" == weights.label(str(folder))
    monkeypatch.chdir(folder)
    assert "model" == weights.label(".")
    assert "openai/clip" == weights.label("openai/clip")
    assert "reelmix-demo-clip" == weights.label("embedded", "clip")


def test_a_model_that_is_nowhere_yet_has_its_name_for_a_digest() -> None:
    """Plans are made before models are fetched."""
    assert "hub:owner/name" == weights.identity("owner/name")
    assert "hub:" == weights.identity("", "classifier")


def test_a_missing_folder_is_told() -> None:
    """What looks like a path is one."""
    for model in ("./nowhere", "/nowhere/at/all", "~/nowhere", "nowhere/"):
        with pytest.raises(RecipeError, match="there is no model folder"):
            weights.folder(model, "clip")
    assert weights.folder("owner/name", "clip") is None


def test_shapes_are_read_from_headers(folder: Path) -> None:
    """Names and shapes of all files of weights, without loading them."""
    save_file({"v": np.zeros(5, np.float32)}, folder / "more.safetensors")
    assert {"w": (2, 3), "v": (5,)} == weights.check_folder(folder)


def test_weights_are_safetensors(folder: Path) -> None:
    """None, or pickled ones, are refused, and so is what only has the name."""
    (folder / "model.safetensors").write_bytes(b"PK\3\4 a zip file")
    with pytest.raises(RecipeError, match=r"model\.safetensors is no safetensors file"):
        weights.check_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"lacks weights: expected \*\.safetensors, it holds none"):
        weights.check_folder(folder)
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(
        RecipeError, match=r"it holds pytorch_model\.bin, and pickled weights are never loaded"
    ):
        weights.check_folder(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\1", b"\2\0\0\0\0\0\0\0[]", b"\5\0\0\0\0\0\0\0{'a':", b"\xff" * 20]
)
def test_a_broken_header_is_told(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in a file, its error names it."""
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match=r"x\.safetensors is no safetensors file"):
        weights.shapes_of(tmp_path / "x.safetensors")


def test_a_hub_out_of_reach_is_told() -> None:
    """One sentence that says what to do instead."""
    with pytest.raises(
        RecipeError, match="'owner/name' is not on this machine and its hub cannot be reached"
    ):
        weights.fetch("owner/name")


def in_cache(folder: Path, tmp_path: Path, *names: str, revision: str = "main") -> Path:
    """So many files of a folder as the hub's cache holds them; returns the snapshot."""
    commit = hashlib.sha1(revision.encode()).hexdigest()
    place = tmp_path / "cache" / "models--owner--name"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(commit)
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(folder / name, snapshot)
    return snapshot


def sharded(*parts: str) -> str:
    """The index of weights in so many files."""
    return json.dumps({"weight_map": {f"w{n}": part for n, part in enumerate(parts)}})


def test_a_broken_off_download_is_no_model(folder: Path, tmp_path: Path) -> None:
    """Weights and every part that the index names must lie in the cache; then no hub is asked."""
    found = in_cache(folder, tmp_path, "config.json")
    assert (found, None) == (weights.snapshot("owner/name"), weights.cached("owner/name"))
    with pytest.raises(
        RecipeError, match="a part of the captioner 'owner/name', and its hub did not give the rest"
    ):
        weights.fetch("owner/name")
    (found / "model.safetensors.index.json").write_text(sharded("model-1.safetensors", "model-2.safetensors"))
    shutil.copy(folder / "model.safetensors", found / "model-1.safetensors")
    assert weights.cached("owner/name") is None
    with pytest.raises(RecipeError, match="a part of the captioner 'owner/name'"):
        weights.fetch("owner/name")
    shutil.copy(folder / "model.safetensors", found / "model-2.safetensors")
    assert found == weights.cached("owner/name") == weights.fetch("owner/name")


def test_a_revision_is_pinned(folder: Path, tmp_path: Path) -> None:
    """After the @: other files, another digest, the same name."""
    main = in_cache(folder, tmp_path, "config.json", "model.safetensors")
    (folder / "config.json").write_text('{"layers": 3}')
    old = in_cache(folder, tmp_path, "config.json", "model.safetensors", revision="v1")
    assert (main, old) == (weights.fetch("owner/name"), weights.fetch("owner/name@v1"))
    assert weights.identity("owner/name") != weights.identity("owner/name@v1")
    assert "owner/name" == weights.label("owner/name@v1")


def test_a_revision_is_named_after_the_at(folder: Path, tmp_path: Path) -> None:
    """Branch, tag or commit; the commit that it stands for is known of what is cached whole."""
    assert ("owner/name", "refs/pr/4") == weights.named("owner/name@refs/pr/4")
    assert ("owner/name", None) == weights.named("owner/name")
    with pytest.raises(RecipeError, match="'owner/name@' lacks a revision"):
        weights.named("owner/name@")
    assert weights.commit("owner/name@v1") is None
    found = in_cache(folder, tmp_path, "config.json", "model.safetensors", revision="v1")
    assert found.name == weights.commit("owner/name@v1") == weights.commit(f"owner/name@{found.name}")
    assert (None, None) == (weights.commit("owner/name"), weights.commit(str(folder)))


def listed(snapshot: Path, *names: str) -> None:
    """What the hub has at a commit, as a download notes it in the cache before it begins."""
    place = snapshot.parents[1] / "trees" / f"{snapshot.name}.json"
    place.parent.mkdir(exist_ok=True)
    files = {name: {"size": 1, "blob_id": "0" * 40} for name in names}
    place.write_text(json.dumps({"format_version": 1, "files": files}))


class Hub:
    """In place of a hub's download: gives a folder's files of a commit, and lists them."""

    def __init__(self, folder: Path, snapshot: Path) -> None:
        self.folder, self.snapshot = folder, snapshot
        self.asked: list[str | None] = []
        self._cached = huggingface_hub.snapshot_download

    def __call__(
        self, name: str, *, revision: str | None, allow_patterns: list[str], local_files_only: bool = False
    ) -> str:
        if local_files_only:
            patterns = allow_patterns
            return self._cached(name, revision=revision, allow_patterns=patterns, local_files_only=True)
        self.asked.append(revision)
        shutil.copytree(self.folder, self.snapshot, dirs_exist_ok=True)
        listed(self.snapshot, *(file.name for file in self.folder.iterdir()))
        return str(self.snapshot)


@pytest.mark.parametrize("known", [True, False], ids=["listed", "unlisted"])
def test_a_broken_off_download_is_resumed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Some files are there: the hub is asked for the rest, once; then it is not asked again."""
    found = in_cache(folder, tmp_path, "config.json")
    if known:
        listed(found, "config.json", "model.safetensors")
    hub = Hub(folder, found)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert [found, found] == [weights.fetch("owner/name"), weights.fetch("owner/name")]
    assert [None] == hub.asked


def test_what_another_program_brought_is_completed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Config and weights lie in the cache, the tokenizer does not, and nothing tells that there is one: the
    hub is asked for the rest of that very commit, and what is there is used where it does not answer."""
    (folder / "tokenizer.json").write_text("{}")
    found = in_cache(folder, tmp_path, "config.json", "model.safetensors")
    assert found == weights.fetch("owner/name")
    hub = Hub(folder, found)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert [found, found] == [weights.fetch("owner/name"), weights.fetch("owner/name")]
    assert [found.name] == hub.asked
    assert (found / "tokenizer.json").is_file()


def test_a_tokenizer_is_fetched_without_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole by itself, and the hub is not asked again; the model of that name is not there by it."""
    found = in_cache(folder, tmp_path, "config.json")
    with pytest.raises(RecipeError, match="a part of the tokenizer 'owner/name'"):
        weights.fetch("owner/name", "tokenizer")
    (found / "tokenizer.json").write_text("{}")
    listed(found, "config.json", "tokenizer.json", "model.safetensors")
    hub = Hub(folder, found)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert found == weights.cached("owner/name", "tokenizer") == weights.fetch("owner/name", "tokenizer")
    assert [] == hub.asked
    assert weights.cached("owner/name") is None
    assert found == weights.fetch("owner/name")


def test_an_index_that_is_not_loaded_counts_for_nothing(folder: Path, tmp_path: Path) -> None:
    """Parts for transformers in a repository of open_clip's, which nobody asked for; parts beside a whole."""
    found = in_cache(folder, tmp_path, "config.json", "model.safetensors")
    (found / "model.safetensors.index.json").write_text(sharded("model-1.safetensors"))
    assert found == weights.cached("owner/name")
    (found / "model.safetensors").rename(found / "open_clip_model.safetensors")
    assert (found, None) == (weights.cached("owner/name", "clip"), weights.cached("owner/name"))


def test_a_folder_lacks_no_part_of_its_weights(folder: Path) -> None:
    """A part that the index names and that was not copied is told before any work; so is a broken index."""
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(sharded("model-1.safetensors", "model-2.safetensors"))
    with pytest.raises(RecipeError, match=r"lacks model-2\.safetensors: .*copy them from its source"):
        weights.check_folder(folder)
    index.write_text(sharded("model-1.safetensors"))
    assert {"w": (2, 3)} == weights.check_folder(folder)
    for broken in ("{", "[]", "{}", '{"weight_map": null}'):
        index.write_text(broken)
        with pytest.raises(RecipeError, match=r"model\.safetensors\.index\.json is no index of weights"):
            weights.check_folder(folder)


def _unknown() -> Exception:
    import httpx2

    answer = httpx2.Response(404, request=httpx2.Request("GET", "http://hub/owner/name"))
    return errors.RevisionNotFoundError("404", response=answer)


def _missing() -> Exception:
    import httpx2

    answer = httpx2.Response(404, request=httpx2.Request("GET", "http://hub/owner/name"))
    return errors.RepositoryNotFoundError("404", response=answer)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (_missing(), "no model 'owner/name': neither a folder nor an open model on the hub"),
        (_unknown(), "the hub's 'owner/name' has no revision None"),
        (errors.HFValidationError("bad name"), "no model 'owner/name'"),
        (ConnectionResetError("reset"), "its hub cannot be reached"),
        (errors.HTTPError("in the middle of it"), "its hub cannot be reached"),
        (OSError(errno.ENOSPC, "No space left on device"), "no room for the model 'owner/name' in .*HF_HOME"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no room for the model"),
    ],
    ids=[
        "no such model",
        "no such revision",
        "no name",
        "no network",
        "broken off",
        "full disk",
        "full quota",
    ],
)
def test_what_a_hub_or_a_disk_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    """One sentence each, before any work."""

    def refuse(*_: Any, local_files_only: bool = False, **__: Any) -> str:
        raise errors.LocalEntryNotFoundError("nothing there") if local_files_only else error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(RecipeError, match=message):
        weights.fetch("owner/name")


def test_other_errors_of_a_disk_are_no_matter_of_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that is gone ends the run as it is."""

    def refuse(*_: Any, local_files_only: bool = False, **__: Any) -> str:
        if local_files_only:
            raise errors.LocalEntryNotFoundError("nothing there")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        weights.fetch("owner/name")


def test_what_is_fetched_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of pickled weights is refused; of a CLIP model only open_clip's own are asked for."""
    asked: list[list[str]] = []

    def found(
        _: str, *, revision: str | None, allow_patterns: list[str], local_files_only: bool = False
    ) -> str:
        if local_files_only:
            raise errors.LocalEntryNotFoundError("nothing there")
        asked.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", found)
    assert folder == weights.fetch("owner/name", "clip")
    assert folder == weights.fetch("owner/name")
    wanted = [[name for name in patterns if "safetensors" in name] for patterns in asked]
    assert [["open_clip*.safetensors"], ["*.safetensors"]] == wanted
    (folder / "model.safetensors").rename(folder / "model.bin")
    with pytest.raises(RecipeError, match="pickled weights are never loaded"):
        weights.fetch("owner/name")
