"""A file's name tells what it holds; what cannot be read says how to mend it."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import files
from manifests.errors import ManifestError

TABLE = pa.table({"id": ["a", "b"]})


def test_a_kept_table_is_named_by_its_content(tmp_path: Path) -> None:
    """The name holds the first 32 digits of the SHA-256; the same table is the same, single file."""
    path = files.keep_table(tmp_path, "all-{}.media.parquet", TABLE)
    assert files.keep_table(tmp_path, "all-{}.media.parquet", TABLE) == path
    assert f"all-{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.media.parquet" == path.name
    assert [path] == list(tmp_path.iterdir())
    assert TABLE == pq.read_table(path)


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("rows-all-0123456789ab.parquet", "0123456789ab"),
        (f"0f-{'ab' * 16}.parquet", "ab" * 16),
        (f"all-{'ab' * 16}.frame_embeddings.parquet", "ab" * 16),
        ("all-0123456789abcdef.parquet", ""),
        ("000000.parquet", ""),
        ("record.json", ""),
    ],
)
def test_what_a_name_promises(name: str, digits: str) -> None:
    """12 digits of a table, 32 of a result; the 16 of earlier results stood for ids and promise nothing."""
    assert digits == files.promised(Path(name))


def test_damage_names_file_and_command(tmp_path: Path) -> None:
    """A damaged file, a missing one: both are told by name, with what mends them."""
    (tmp_path / "junk").write_bytes(b"PAR1 junk")
    for name in ("junk", "gone"):
        with pytest.raises(ManifestError, match=f"{name} cannot be read.*reelmix verify .* --mend"):
            files.read_table(tmp_path, tmp_path / name)


def test_the_machines_fault_is_not_the_files(tmp_path: Path) -> None:
    """Where reading is refused, nobody is told to remove the file."""
    with (
        pytest.raises(ManifestError, match=r"cannot be read now: .*run again$"),
        files.reading(tmp_path, tmp_path / "x"),
    ):
        raise PermissionError(13, "Permission denied", "x")
