"""How texts fit a clip: cosines by hand, the best text, nulls where there is nothing to score."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch

from manifests import columns
from stages.models import weights
from stages.models.clip import OpenClip
from stages.score.embed import EmbedFrames, pooled
from stages.score.texts import ScoreCaptions, ScoreTexts, best, cosines, usable
from tests.stages.models.build import frames, tiny_clip
from tests.stages.score.work import done

Array = np.ndarray[Any, Any]
EAST, NORTH, WEST, BETWEEN = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.6, 0.8)


class Compass:
    """An `Embedder` whose texts of one token n point east, north or west."""

    def images(self, pixels: Array) -> Array:
        raise NotImplementedError

    def texts(self, tokens: Array) -> Array:
        return np.array([EAST, NORTH, WEST], np.float32)[tokens[:, 0]]


def ragged(values: list[Any], dtype: Any, width: int) -> Array:
    made = np.empty(len(values), object)
    for n, value in enumerate(values):
        made[n] = np.array(value, dtype).reshape(-1, width)
    return made


def scores(texts: list[int], points: list[tuple[float, float]]) -> dict[str, object]:
    """The columns of one row whose texts point to so many places of the compass."""
    batch = {"tokens": ragged([texts], np.int64, 1), "frames": ragged([points], np.float32, 2)}
    (found,) = cosines(Compass(), batch)
    return best([("east", "north", "west")[n] for n in texts], found)


def test_scores_by_hand() -> None:
    """Frames at (1, 0) and (0.6, 0.8): east fits 1 and 0.6, mean 0.8; the clip is (0.8, 0.4) / sqrt(0.8)."""
    expected = {
        "clip_score": 0.894427,
        "clip_score_mean": 0.8,
        "clip_score_max": 1.0,
        "clip_score_min": 0.6,
        "text_scores": [0.447214, 0.894427],
        "best_text": "east",
    }
    assert expected == scores([1, 0], [EAST, BETWEEN])


def test_the_first_of_equal_texts_is_the_best() -> None:
    """North and east fit a clip between them equally well, by the half of the square root of 2."""
    half = (0.5, 0.5)
    assert "north" == scores([1, 0], [EAST, NORTH, half])["best_text"]
    assert "east" == scores([0, 1], [EAST, NORTH, half])["best_text"]
    assert [0.707107, 0.707107] == scores([0, 1], [EAST, NORTH, half])["text_scores"]


def test_the_best_text_may_be_a_bad_one() -> None:
    """Cosines below zero are scores like others."""
    found = scores([2], [EAST, BETWEEN])
    assert (-0.894427, -0.8, -0.6, -1.0) == tuple(found[name] for name in ScoreTexts.writes[:4])


def test_the_score_of_a_clip_does_not_fall_because_it_changes() -> None:
    """Frames at right angles: a text of one fits the clip by the cosine of 45 degrees, the mean is 0.5."""
    found = scores([0], [EAST, NORTH])
    assert (0.707107, 0.5) == (found["clip_score"], found["clip_score_mean"])
    assert [0.707107] * 2 == pooled(np.array([EAST, NORTH])).round(6).tolist()
    assert [0.0, 0.0] == pooled(np.array([EAST, WEST])).tolist()


def test_texts_of_many_rows_stay_with_their_rows() -> None:
    """Two texts, none, one: each row's own against its own frames."""
    batch = {
        "tokens": ragged([[0, 1], [], [2]], np.int64, 1),
        "frames": ragged([[EAST], [EAST, NORTH], [WEST, NORTH, EAST]], np.float32, 2),
    }
    found = [cosine.frames.tolist() for cosine in cosines(Compass(), batch)]
    assert [[[1.0], [0.0]], [], [[1.0, 0.0, -1.0]]] == found


def test_no_texts_at_all() -> None:
    """A batch without a text asks nothing of the model, and has no scores."""
    batch = {"tokens": ragged([[], []], np.int64, 1), "frames": ragged([[EAST], [EAST]], np.float32, 2)}
    found = cosines(Compass(), batch)
    assert [0, 0] == [len(row.clip) for row in found]
    assert {} == best([], found[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def embedded(folder: Path) -> pa.Table:
    """Rows of one to three frames, with their embeddings."""
    rows = columns.table(frames([1, 2, 3, 2, 1]), ["id", "frames"])
    return done(EmbedFrames(clip_model=str(folder), batch=4), rows)


TEXTS = [["a red ring", "a blue star"], [], None, ["", "x"], ["the same text", "the same text", "a b c"]]


def with_texts(embedded: pa.Table) -> pa.Table:
    texts = pa.array(TEXTS, columns.column("source_texts").type)
    return embedded.append_column("source_texts", texts)


def test_scores_are_those_of_a_bare_model(folder: Path, embedded: pa.Table) -> None:
    """Every text of a row against every frame, by open_clip; null for rows without texts."""
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    rows = with_texts(embedded)
    found = done(ScoreTexts(clip_model=str(folder), batch=4), rows)
    assert ["id", *ScoreTexts.writes] == found.column_names
    for row, made in zip(rows.to_pylist(), found.to_pylist(), strict=True):
        if not row["source_texts"]:
            assert {None} == {made[name] for name in ScoreTexts.writes}
            continue
        with torch.inference_mode():
            texts = model.encode_text(tokenize(row["source_texts"]), normalize=True).numpy()
        cosine = texts @ np.array(row["frame_embeddings"]).T
        clip = texts @ np.array(row["embedding"])
        at = int(clip.argmax())
        assert clip == pytest.approx(np.array(made["text_scores"]), abs=2e-6)
        assert row["source_texts"][at] == made["best_text"]
        expected = (clip[at], cosine[at].mean(), cosine[at].max(), cosine[at].min())
        assert expected == pytest.approx(tuple(made[name] for name in ScoreTexts.writes[:4]), abs=2e-6)


def test_scores_do_not_depend_on_neighbours(folder: Path, embedded: pa.Table) -> None:
    """In another order, and row by row, the same bits."""
    stage, rows = ScoreTexts(clip_model=str(folder), batch=4), with_texts(embedded)
    whole = done(stage, rows)
    order = pa.array([3, 0, 4, 2, 1])
    assert whole.take(order).equals(done(stage, rows.take(order)))
    alone = [done(stage, rows.slice(n, 1)) for n in range(len(rows))]
    assert whole.combine_chunks().equals(pa.concat_tables(alone).combine_chunks())


def caption(text: str, status: str = "ok") -> dict[str, Any]:
    return {"text": text, "status": status, "model": "m"}


def test_usable_captions_ended_by_themselves() -> None:
    """Those that were cut off or empty are not scored."""
    given = [caption("one"), caption("two", "truncated"), caption("three"), caption("", "empty")]
    assert ["one", "three"] == usable(given)
    assert [] == usable(None)


def test_captions_are_scored_as_texts_are(folder: Path, embedded: pa.Table) -> None:
    """The last usable caption, as ScoreTexts would score it; null without one."""
    captions = [
        [caption("a blue star"), caption("a red ring"), caption("cut off he", "truncated")],
        [caption("", "empty")],
        None,
        [caption("x")],
        [],
    ]
    of_rows = embedded.select(["id", "frame_embeddings"])
    rows = of_rows.append_column("captions", pa.array(captions, columns.column("captions").type))
    found = done(ScoreCaptions(clip_model=str(folder), batch=4), rows)
    assert ["id", "caption_score"] == found.column_names
    texts = pa.array([["a red ring"], None, None, ["x"], None], columns.column("source_texts").type)
    expected = done(ScoreTexts(clip_model=str(folder), batch=4), of_rows.append_column("source_texts", texts))
    assert expected["clip_score"].to_pylist() == found["caption_score"].to_pylist()
    assert [True, False, False, True, False] == found["caption_score"].is_valid().to_pylist()


def test_tensors_of_texts_are_plain(folder: Path, embedded: pa.Table) -> None:
    """Ragged numbers, and texts as JSON: what Ray carries whatever rows stand together."""
    tensors = ScoreTexts(clip_model=str(folder)).prepare()(with_texts(embedded))
    assert [2, 0, 0, 2, 3] == [len(tokens) for tokens in tensors["tokens"]]
    assert {(12, np.dtype(np.int64))} == {(t.shape[1], t.dtype) for t in tensors["tokens"]}
    assert [texts or [] for texts in TEXTS] == [json.loads(texts) for texts in tensors["texts"]]


@pytest.mark.skipif(
    not (weights.SHIPPED / "clip").is_dir(), reason="the embedded model is absent: make train writes it"
)
def test_the_embedded_model_tells_colours_apart() -> None:
    """A plain red circle fits its own description better than that of a blue one."""
    import cv2

    picture = np.full((256, 256, 3), 120, np.uint8)
    cv2.circle(picture, (128, 128), 60, (220, 40, 40), -1, cv2.LINE_AA)
    _, jpeg = cv2.imencode(".jpg", picture[..., ::-1])
    frame = {"pts": 0, "time_s": 0.0, "jpeg": jpeg.tobytes()}
    rows = done(EmbedFrames(), columns.table([{"id": "a", "frames": [frame]}], ["id", "frames"]))
    texts = [[f"a large {colour} circle on a gray plain background" for colour in ("blue", "red")]]
    of_row = rows.select(["id", "frame_embeddings"]).append_column("source_texts", pa.array(texts))
    (found,) = done(ScoreTexts(), of_row).to_pylist()
    assert texts[0][1] == found["best_text"]
    assert OpenClip("embedded").dimension == len(rows["embedding"][0])
