"""A list that cannot be read ends in one sentence: which file, which line, what to do."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import RecipeError
from stages.ingest.listing import entry_table, list_entries

GOOD = b'{"path": "a.jpg"}\n'
BAD = {
    "l.parquet: parquet": b"PAR1 this is no parquet PAR1",
    "m.parquet: parquet": b"",
    "a.jsonl: line 2.*UTF-8": GOOD + b'{"path": "\xff.jpg"}\n',
    "b.jsonl: line 2.*UTF-8": GOOD + b'{"path": "a.jpg", "text": "\\ud800"}\n',
    "c.jsonl: line 1.*UTF-8": '{"path": "a.jpg"}\n'.encode("utf-16"),
    "d.jsonl: line 2.*NUL": GOOD + b'{"path": "a\\u0000.jpg"}\n',
    "e.jsonl: line 2.*JSON": GOOD + b'{"path": "a.jpg", "n": ' + b"9" * 5000 + b"}\n",
    "f.jsonl: line 2.*JSON": GOOD + b'{"path": ' + b"[" * 100_000 + b"\n",
    "g.jsonl: line 2.*no path": GOOD + b'{"path": 7}\n',
    "h.jsonl: line 2.*UTF-8": GOOD + b'{"path": "\\ud800.jpg"}\n',
    "i.jsonl: line 1.*longer": b'{"path": "' + b"x" * (17 << 20) + b'"}\n',
    "a.csv: line 2.*131072": b'path,text\na.jpg,"' + b"x" * 140_000 + b'"\n',
    "b.csv: line 3.*UTF-8": b"path\na.jpg\n\xff.jpg\n",
    "c.csv: line 2.*NUL": b"path\na\0.jpg\n",
    "d.csv: line 2.*no path": b"name\na.jpg\n",
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_list_names_its_line(tmp_path: Path, what: str) -> None:
    """Broken parquet, no UTF-8, a giant field, NUL, a huge integer, deep JSON: each is one sentence."""
    name, _, said = what.partition(": ")
    (tmp_path / name).write_bytes(BAD[what])
    with pytest.raises(RecipeError, match=f"{name}.*{said}"):
        list_entries(str(tmp_path / name), "main")


def test_a_parquet_is_read_for_its_columns_only(tmp_path: Path) -> None:
    """What the other columns hold is not looked at; a text that is no UTF-8 is a sentence."""
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    pq.write_table(pa.table({"path": ["a.jpg"], "other": bad}), tmp_path / "good.parquet")
    assert ["a.jpg"] == [entry.uri for entry in list_entries(str(tmp_path / "good.parquet"), "main")]
    pq.write_table(pa.table({"path": ["a.jpg"], "text": bad}), tmp_path / "bad.parquet")
    with pytest.raises(RecipeError, match=r"bad\.parquet.*row"):
        list_entries(str(tmp_path / "bad.parquet"), "main")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_many_rows_of_one_file_are_one_entry(tmp_path: Path, kind: str) -> None:
    """An image with a row a caption, as in COCO, is one file with every caption once."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    rows = [{"path": "a.jpg", "caption": text} for text in ("two", "one", "two", "three")]
    path = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_text("path,caption\n" + "\n".join(f"{r['path']},{r['caption']}" for r in rows))
    (row,) = entry_table(list_entries(str(path), "main")).to_pylist()
    assert ["one", "three", "two"] == row["source_texts"]


def test_a_listed_folder_or_pipe_is_one_failure(tmp_path: Path) -> None:
    """A row that names no plain file fails, its neighbours do not."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "list.csv").write_text("path\na.jpg\nfolder\npipe.mp4\n")
    found = {e.uri: e.error for e in list_entries(str(tmp_path / "list.csv"), "main")}
    assert None is found.pop("a.jpg")
    assert ["not_a_file", "not_a_file"] == [str(error).partition(":")[0] for error in found.values()]
