"""The tuning page's server: who may ask, what is answered, what is never given away."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from manifests.manifest import Manifest
from pipeline.tune.app import app
from pipeline.tune.terminal import desk
from tests.pipeline.local import run_here

TOKEN = "a token"


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[TestClient]:
    """The page over the finished demo, reading only."""
    with TestClient(app(desk(finished, "default", (), None), TOKEN), base_url="http://127.0.0.1") as made:
        yield made


def ask(client: TestClient, question: str, status: int = 200, **body: Any) -> Any:
    answer = client.post(f"/api/{question}", json=body, headers={"X-Token": TOKEN})
    assert status == answer.status_code, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/", "/frame/x/0.jpg", "/media/x", "/nothing"])
@pytest.mark.parametrize("token", ["", "?t=", "?t=a%20token2", "?t=A%20TOKEN"])
def test_without_the_token_nothing_is_given(client: TestClient, path: str, token: str) -> None:
    """403 for every path, there or not."""
    assert 403 == client.get(path + token).status_code
    assert 403 == client.post("/api/start", json={}, headers={"X-Token": token}).status_code


def test_another_host_is_refused(client: TestClient) -> None:
    """A name that a stranger's page has made to point at loopback is none of ours (DNS rebinding)."""
    assert 400 == client.get("/?t=a token", headers={"Host": "evil.example"}).status_code
    assert 200 == client.get("/?t=a token", headers={"Host": "localhost:8787"}).status_code


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../../etc/passwd",
        "/media/..%2f..%2f..%2fetc%2fpasswd",
        "/media/%2fetc%2fpasswd",
        "/frame/../lock/0.jpg",
        "/frame/..%2f..%2f/0.jpg",
        "/filter/record.json",
        "/media/" + "0" * 32,
    ],
)
def test_there_is_no_path_to_files(client: TestClient, path: str) -> None:
    """Media and frames are named by the ids of rows; whatever else is asked for is not there."""
    assert 404 == client.get(path, params={"t": TOKEN}).status_code


def test_the_page_lets_nothing_else_in(client: TestClient) -> None:
    """One file, its script and style by their digests, no other source but itself."""
    answer = client.get("/", params={"t": TOKEN})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe" not in policy
    assert "no-referrer" == answer.headers["referrer-policy"]
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")


def test_what_is_kept_is_what_filter_keeps(client: TestClient, finished: Path) -> None:
    """The recipe's thresholds keep the rows that the step filter left live."""
    kept = ask(client, "what_if")["kept"]["rows"]
    assert Manifest.open(finished, "filter").record["counts"]["live"] == kept


def test_a_moved_threshold_keeps_what_a_run_with_it_keeps(
    client: TestClient, finished: Path, corpus: Path, tmp_path: Path
) -> None:
    """The page's count is that of `--only filter` with the same threshold; 0 decodes, 0 model calls."""
    changes = {"not_blurred": {"max": 0.5}, "not_frozen": {"enabled": False}}
    told = ask(client, "what_if", changes=changes)
    out = shutil.copytree(finished, tmp_path / "out")
    settings = ["filter.not_blurred.max=0.5", "filter.not_frozen.enabled=false"]
    log = run_here(corpus, out, settings=settings, only=["filter"])
    counts = Manifest.open(out, "filter").record["counts"]
    assert counts["live"] == told["kept"]["rows"] != told["saved"]["rows"]
    assert {r: n for r, n in counts["rejected"].items() if r in ("not_blurred", "not_flat")} == {
        one["rule"]: one["here"] for one in told["rules"] if one["rule"] in ("not_blurred", "not_flat")
    }
    assert (0, 0) == (log.steps["filter"]["decodes"], log.steps["filter"]["model_calls"])


def test_the_boundary_is_ordered_from_the_threshold(client: TestClient) -> None:
    """Just rejected: beyond the threshold, nearest first; just kept: within it, nearest first."""
    found = ask(client, "boundary", name="not_blurred.max", changes={"not_blurred": {"max": 0.5}})
    rejected, kept = ([card["value"] for card in found[side]] for side in ("rejected", "kept"))
    assert rejected == sorted(rejected) and rejected[0] > 0.5
    assert kept == sorted(kept, reverse=True) and kept[0] <= 0.5
    assert all(card["frames"] for card in found["kept"])


def test_a_histogram_counts_every_row(client: TestClient) -> None:
    """Bins and unknown values make all rows, on each scale; survivors of the other rules are among them."""
    rows = ask(client, "start")["rows"]
    for scale in ("linear", "log", "quantile"):
        found = ask(client, "histogram", name="not_blurred.max", scale=scale)
        assert rows == sum(found["all"]) + found["unknown"]
        assert all(o <= a for o, a in zip(found["others"], found["all"], strict=True))


def test_pictures_and_media_are_given_by_id(client: TestClient) -> None:
    """A stored frame is a JPEG; the file that a clip is of comes by byte range, and plays nothing else."""
    card = ask(client, "boundary", name="not_blurred.max")["kept"][0]
    frame = client.get(f"/frame/{card['id']}/0.jpg", params={"t": TOKEN})
    assert ("image/jpeg", b"\xff\xd8") == (frame.headers["content-type"], frame.content[:2])
    assert 404 == client.get(f"/frame/{card['id']}/99.jpg", params={"t": TOKEN}).status_code
    whole = client.get(f"/media/{card['id']}", params={"t": TOKEN})
    part = client.get(f"/media/{card['id']}", params={"t": TOKEN}, headers={"Range": "bytes=4-11"})
    assert (206, whole.content[4:12]) == (part.status_code, part.content)
    assert f"bytes 4-11/{len(whole.content)}" == part.headers["content-range"]
    assert "sandbox" in whole.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=-5", 206),
        ("bytes=3-", 206),
        ("bytes=99999999999-", 416),
        ("bytes=a-b", 416),
        ("bytes=-0", 416),
    ],
)
def test_ranges_are_met_or_refused(client: TestClient, asked: str, status: int) -> None:
    """The end of a file, all from a place on; what lies beyond it, or is no range, is 416."""
    card = ask(client, "boundary", name="not_blurred.max")["kept"][0]
    answer = client.get(f"/media/{card['id']}", params={"t": TOKEN}, headers={"Range": asked})
    assert status == answer.status_code


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("what_if", {"changes": {"not_blured": {"max": 1}}}, "did you mean 'not_blurred'"),
        ("what_if", {"changes": {"not_blurred": {"mx": 1}}}, "did you mean 'max'"),
        ("what_if", {"changes": {"not_blurred": {"max": "1; drop"}}}, "is a number"),
        ("what_if", {"changes": {"not_blurred": {"keep": "true"}}}, "has no threshold 'keep'"),
        ("what_if", {"changes": []}, "changes are"),
        ("boundary", {"name": "wanted"}, "names no threshold"),
        ("boundary", {}, "malformed"),
        ("histogram", {"name": "blurr"}, "did you mean 'blur'"),
        ("vote", {"id": "x", "vote": "good"}, "no row of that id"),
        ("review", {}, "may not write"),
        ("save", {"digest": "", "note": "why"}, "may not write"),
    ],
)
def test_a_wrong_question_is_answered_in_words(client: TestClient, name: str, body: Any, said: str) -> None:
    """400 with one sentence that offers what is near; no rule's SQL comes from a browser."""
    assert said in ask(client, name, 400, **body)["error"]


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    """400, not a traceback."""
    answer = client.post("/api/what_if", content=b"{", headers={"X-Token": TOKEN})
    assert 400 == answer.status_code


def test_votes_last_only_where_the_page_may_write(finished: Path, tmp_path: Path) -> None:
    """A page that reads only remembers votes while it runs; one that saves appends them to a file."""
    out = shutil.copytree(finished, tmp_path / "out")
    for target, kept in ((None, 0), (tmp_path / "mine.toml", 2)):
        client = TestClient(app(desk(out, "default", (), target), TOKEN), base_url="http://127.0.0.1")
        id_ = ask(client, "boundary", name="not_blurred.max")["kept"][0]["id"]
        ask(client, "vote", id=id_, vote="good")
        assert {id_: "bad"} == ask(client, "vote", id=id_, vote="bad")["votes"]
        path = out / "tune" / "votes.jsonl"
        assert kept == (len(path.read_text().splitlines()) if path.exists() else 0)
    again = TestClient(app(desk(out, "default", (), target), TOKEN), base_url="http://127.0.0.1")
    assert {id_: "bad"} == ask(again, "start")["votes"]


def test_votes_suggest_a_threshold(finished: Path) -> None:
    """Sharp clips good, soft ones bad: the suggestion parts them, with an interval."""
    client = TestClient(app(desk(finished, "default", (), None), TOKEN), base_url="http://127.0.0.1")
    cards = ask(client, "boundary", name="not_blurred.max", n=100, changes={"not_blurred": {"max": 0.5}})
    for side, vote in (("rejected", "bad"), ("kept", "good")):
        for card in cards[side]:
            ask(client, "vote", id=card["id"], vote=vote)
    found = ask(client, "precision", name="not_blurred.max", target=1.0)
    assert max(card["value"] for card in cards["kept"]) == found["suggestion"]["value"]
    assert found["suggestion"]["low"] <= found["suggestion"]["value"] <= found["suggestion"]["high"]


def test_a_saved_recipe_differs_in_that_value_only(finished: Path, tmp_path: Path) -> None:
    """Comments survive, a note goes into the history, and a file changed meanwhile is not written over."""
    mine = tmp_path / "mine.toml"
    text = '# ours\n[filter.not_blurred]\nmax = 0.6  # measured by hand\nwhy = "ours"\n'
    mine.write_text(text)
    client = TestClient(app(desk(finished, "default", (), mine), TOKEN), base_url="http://127.0.0.1")
    changes = {"not_blurred": {"max": 0.55}}
    digest = ask(client, "review", changes=changes)["digest"]
    assert "needs a note" in ask(client, "save", 400, changes=changes, digest=digest, note=" ")["error"]
    assert text == mine.read_text()
    ask(client, "save", changes=changes, digest=digest, note="softer")
    assert text.replace("0.6 ", "0.55 ") == mine.read_text()
    (line,) = map(json.loads, (tmp_path / "mine.history.jsonl").read_text().splitlines())
    assert ("softer", changes) == (line["note"], line["changes"])
    assert {"not_blurred": {"max": 0.6}} == line["was"]
    assert "changed meanwhile" in ask(client, "save", 400, changes=changes, digest=digest, note="x")["error"]
    assert [] == list(tmp_path.glob(".*"))
    assert (
        0.55
        == next(r for r in ask(client, "start")["rules"] if r["name"] == "not_blurred")["parameters"][0][
            "value"
        ]
    )


def test_a_page_learns_that_its_numbers_are_no_more(finished: Path, tmp_path: Path) -> None:
    """409 once another window, or an editor, wrote the recipe: what is kept is not what the page shows."""
    mine = tmp_path / "mine.toml"
    mine.write_text("[filter.not_blurred]\nmax = 0.6\n")
    client = TestClient(app(desk(finished, "default", (), mine), TOKEN), base_url="http://127.0.0.1")
    start = ask(client, "start")
    asked = {"step": start["step"], "session": start["session"]}
    before = ask(client, "what_if", **asked)
    mine.write_text("[filter.not_blurred]\nmax = 0.45\n")
    for question in ("what_if", "review", "overlap"):
        told = ask(client, question, 409, **asked)
        assert told["stale"] and "changed meanwhile" in told["error"]
    asked = {"step": start["step"], "session": ask(client, "start")["session"]}
    assert ask(client, "what_if", **asked)["kept"]["rows"] < before["kept"]["rows"]


def test_the_command_judges_what_the_page_shows(finished: Path, tmp_path: Path) -> None:
    """The step alone, in this folder, by this recipe and its settings: never a run of something else."""
    mine = tmp_path / "my own.toml"
    mine.write_text("[filter.not_blurred]\nmax = 0.6\n")
    made = desk(finished, str(mine), ("filter.not_black.enabled=false",), None)
    start = ask(TestClient(app(made, TOKEN), base_url="http://127.0.0.1"), "start")
    assert f"make filter OUT={shlex.quote(str(finished))} RECIPE='{mine}'" == start["command"]
    assert ["filter.not_black.enabled=false"] == start["set"]


def test_assets_are_shown_as_what_they_are(client: TestClient) -> None:
    """The rules of ingest judge files: cards name them and play them; tokens and captions are not known."""
    found = ask(client, "boundary", step="ingest", name="large_enough.min_px", n=3)["kept"]
    assert all(card["source_uri"] for card in found)
    played = next(card["id"] for card in found if card["plays"])
    assert 200 == client.get(f"/media/{played}", params={"t": TOKEN}).status_code
    told = ask(client, "what_if", step="ingest")
    assert told["captions"] is None and {"rows", "seconds"} == told["kept"].keys()


def test_duplicates_are_those_of_the_run(client: TestClient, finished: Path) -> None:
    """Each level took as many rows as the step counted; what stands within it is within all of its cuts, and
    what stands beyond it misses one."""
    levels = {level["level"]: level for level in ask(client, "pairs")}
    taken = {name: level["taken"] for name, level in levels.items() if level["taken"]}
    assert Manifest.open(finished, "dedup").record["counts"]["duplicates"] == taken
    for level in (level for level in levels.values() if "cuts" in level):
        assert all(_within(pair, level) for pair in level["within"])
        assert not any(_within(pair, level) for pair in level["beyond"])


def _within(pair: dict[str, Any], level: dict[str, Any]) -> bool:
    names = ["cosine", "distance", "mean_colour_distance"] if level["unit"] == "cosine" else []
    held = zip(names or ["distance", "colour_distance"], level["cuts"], strict=True)
    return all(pair[n] >= c["cut"] if n == "cosine" else pair[n] <= c["cut"] for n, c in held)


def test_failures_are_told(client: TestClient) -> None:
    """Failed rows by reason, each with its file."""
    assert all(one["uri"] for group in ask(client, "failures") for one in group["examples"])
