"""The tuning page over HTTP: answers as JSON, pictures, media by byte range; a token guards all of it."""

from __future__ import annotations

import hmac
import os
import shlex
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from manifests.errors import ManifestError, RecipeError
from pipeline.recipe import EMBEDDED, Recipe
from pipeline.steps import SHAPES
from pipeline.tune import calibrating, page, pairs
from pipeline.tune.clips import Clips, failures
from pipeline.tune.export import exported
from pipeline.tune.save import Edit, edit, save
from pipeline.tune.session import Session
from pipeline.tune.universe import ROWS_OF
from pipeline.tune.votes import Votes

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
CHUNK_BYTES = 1 << 18
# Of the two ends of a range; files are shorter.
MOST_DIGITS = 40
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# What is not the page itself can run nothing, wherever it is opened.
NOTHING = "default-src 'none'; sandbox"

Stamp = tuple[tuple[int, int] | None, ...]
Answer = Callable[["Desk", dict[str, Any]], Any]


@dataclass(frozen=True)
class Desk:
    """One open page's server side: what is tuned, with which votes, which file may be written, if any, and
    which other recipe it is held against, if any. `settings` are those that `load` puts on the recipe."""

    out: Path
    load: Callable[[], Recipe]
    target: Path | None = None
    base: str = "default"
    against: Recipe | None = None
    settings: tuple[str, ...] = ()
    _open: dict[str, tuple[Stamp, Session]] = field(default_factory=dict, repr=False)
    _votes: list[Votes] = field(default_factory=list, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def session(self, step: str | None) -> Session:
        """The session of a step; a new one where the step was run anew, or the recipe saved, meanwhile."""
        # What is written while it is read is seen by the next question.
        stamps = {name: self._stamp(name) for name in ROWS_OF}
        made = Session.open(self.out, self.load(), step)
        held = self._open.get(made.step)
        kept = held[1] if held and held[1].digest == made.digest else made
        self._open[made.step] = (stamps[made.step], kept)
        return kept

    def current(self, body: dict[str, Any]) -> Session:
        """The session that the page was told of when it started, as its `session` says.

        Raises StaleError where the step was run anew, or the recipe saved, since.
        """
        step = body.get("step")
        held = self._open.get(step) if isinstance(step, str) else None
        found = held[1] if held and held[0] == self._stamp(held[1].step) else self.session(step)
        if body.get("session", found.digest) != found.digest:
            raise StaleError("the recipe, or what the step holds, was changed meanwhile; the numbers are new")
        return found

    def _stamp(self, step: str) -> Stamp:
        """What changes whenever the recipe's file or the rows of a step are written."""
        paths = [self.out / ROWS_OF[step] / "record.json", Path(self.recipe)]
        return tuple((s.st_mtime_ns, s.st_size) if (s := _stat(path)) else None for path in paths)

    @property
    def recipe(self) -> str:
        """The recipe that is tuned, by its name or its file."""
        return str(self.target) if self.target and self.target.exists() else self.base

    def start(self, session: Session) -> dict[str, Any]:
        """What a page begins with. Its `command` judges anew what it shows, with changes added to `set`."""
        recipe = "" if self.recipe == EMBEDDED else f" RECIPE={shlex.quote(self.recipe)}"
        return {
            **session.start(),
            "session": session.digest,
            "target": self.target.name if self.target else None,
            "against": self.against.name if self.against else None,
            "votes": self.votes.by_id,
            "command": f"make {session.step} OUT={shlex.quote(str(self.out))}{recipe}",
            "set": list(self.settings),
        }

    def clips_of(self, id_: str) -> Clips:
        """The clips of the open session that has a row of that id; of any where none has."""
        every = [held[1].clips for held in self._open.values()] or [self.session(None).clips]
        return next((clips for clips in every if clips.has(id_)), every[0])

    @property
    def votes(self) -> Votes:
        if not self._votes:
            self._votes.append(Votes.open(self.out, keeps=self.target is not None))
        return self._votes[0]

    def edited(self, body: dict[str, Any]) -> Edit:
        """Raises RecipeError where the page may not write."""
        if self.target is None:
            raise RecipeError("this page may not write; start it with --save FILE")
        self.current(body).rules(_changes(body))
        return edit(self.target, self.base, _changes(body))


class StaleError(ManifestError):
    """A page asks on numbers that are no more."""


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def app(desk: Desk, token: str) -> Starlette:
    """The application. Every path needs the token (`?t=` or the header X-Token), else 403; a Host that is not
    loopback gets 400."""
    routes = [
        Route("/", _page),
        Route("/frame/{id}/{n:int}.jpg", _frame),
        Route("/media/{id}", _media),
        *(Route(f"/api/{name}", _api(answer), methods=["POST"]) for name, answer in ANSWERS.items()),
    ]
    made = Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(_Guard, token=token)],
    )
    made.state.desk = desk
    return made


class _Guard:
    """Refuses whoever has not the token, and says to browsers what they may not do."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope)
        given = request.headers.get("x-token") or request.query_params.get("t") or ""
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            refused = Response(
                "the token is missing or wrong; open the address that tune printed\n", 403, HEADERS
            )
            return await refused(scope, receive, send)
        return await self._app(scope, receive, send)


async def _page(request: Request) -> Response:
    content, policy = page.live()
    return HTMLResponse(content, headers={**HEADERS, "Content-Security-Policy": policy})


def _api(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        desk: Desk = request.app.state.desk
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _json({"error": "send a JSON object"}, 400)
        return await run_in_threadpool(_answered, desk, answer, body)

    return endpoint


def _answered(desk: Desk, answer: Answer, body: dict[str, Any]) -> Response:
    """One answer at a time: what is remembered between answers is shared."""
    try:
        with desk.lock:
            return _json(answer(desk, body))
    except (RecipeError, KeyError, TypeError, ValueError, OverflowError) as error:
        told = str(error) if isinstance(error, RecipeError) else f"the request is malformed: {error!r}"
        return _json({"error": told}, 400)
    except ManifestError as error:
        return _json({"error": str(error), "stale": isinstance(error, StaleError)}, 409)


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status, {**HEADERS, "Content-Security-Policy": NOTHING})


def _changes(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    changes = body.get("changes", {})
    if not isinstance(changes, dict) or not all(isinstance(change, dict) for change in changes.values()):
        raise RecipeError("changes are {rule: {threshold: value}}")
    return changes


def _flips(desk: Desk, body: dict[str, Any]) -> Any:
    against = desk.against if body.get("against") else None
    return desk.current(body).flips(_changes(body), n=_few(body), against=against)


def _vote(desk: Desk, body: dict[str, Any]) -> Any:
    if desk.current(body).universe.places.find(str(body["id"])) is None:
        raise RecipeError("no row of that id is judged here")
    desk.votes.cast(body["id"], body["vote"])
    return {"votes": desk.votes.by_id, "kept": desk.votes.keeps}


def _precision(desk: Desk, body: dict[str, Any]) -> Any:
    session, labels = desk.current(body), desk.votes.labels()
    return calibrating.precision(
        session, _changes(body), body["name"], labels, target=float(body.get("target", 0.9))
    )


def _review(desk: Desk, body: dict[str, Any]) -> Any:
    edited = desk.edited(body)
    return {"file": edited.path.name, "diff": edited.diff, "digest": edited.digest}


def _save(desk: Desk, body: dict[str, Any]) -> Any:
    edited, session = desk.edited(body), desk.current(body)
    if edited.digest != body["digest"]:
        raise RecipeError(f"{edited.path.name} was changed meanwhile; look at the difference again")
    found = session.what_if(_changes(body))
    told = {
        "was": session.recipes_values(_changes(body)),
        "kept": [found["saved"]["rows"], found["kept"]["rows"]],
        "rows": session.manifest_digest,
    }
    save(edited, _changes(body), str(body.get("note", "")), SHAPES, told)
    return {"file": edited.path.name}


ANSWERS: dict[str, Answer] = {
    "start": lambda d, b: d.start(d.session(b.get("step"))),
    "what_if": lambda d, b: d.current(b).what_if(_changes(b)),
    "histogram": lambda d, b: d.current(b).histogram(_changes(b), b["name"], scale=b.get("scale", "linear")),
    "boundary": lambda d, b: d.current(b).boundary(_changes(b), b["name"], n=_few(b)),
    "overlap": lambda d, b: d.current(b).overlap(_changes(b)),
    "flips": _flips,
    "pairs": lambda d, b: pairs.levels(d.out, d.current(b).clips),
    "failures": lambda d, b: failures(d.out),
    "vote": _vote,
    "precision": _precision,
    "review": _review,
    "save": _save,
    "export": lambda d, b: {
        "file": f"tune-{d.out.name}.html",
        "html": exported(d.current(b), d.start(d.current(b)), _changes(b), name=b.get("name")),
    },
}


def _few(body: dict[str, Any]) -> int:
    return max(1, min(int(body.get("n", 12)), 100))


def _frame(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    with desk.lock:
        frames = desk.clips_of(request.path_params["id"]).frames(request.path_params["id"])
    n = request.path_params["n"]
    if n >= len(frames):
        return _not_there()
    headers = {**HEADERS, "Content-Security-Policy": NOTHING, "Cache-Control": "private, max-age=3600"}
    return Response(frames[n], media_type="image/jpeg", headers=headers)


def _media(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    with desk.lock:
        found = desk.clips_of(request.path_params["id"]).media(request.path_params["id"])
    if found is None:
        return _not_there()
    path, offset, size, kind = found
    asked = _range(request.headers.get("range"), size)
    headers = {**HEADERS, "Content-Security-Policy": NOTHING, "Accept-Ranges": "bytes"}
    if asked is None:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    first, end = asked
    headers["Content-Length"] = str(end - first)
    if partial := "range" in request.headers:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    content = _read(path, offset + first, end - first)
    return StreamingResponse(content, 206 if partial else 200, headers, media_type=kind)


def _not_there() -> Response:
    return Response("there is nothing of that name\n", 404, HEADERS)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """[first, end) of a Range header (RFC 9110, 14.1.2: one range), the whole without one; None for one that
    cannot be met."""
    if header is None:
        return 0, size
    unit, _, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    digits = first + last
    plain = digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS
    if unit != "bytes" or not dash or not plain:
        return None
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    end = min(int(last) + 1, size) if last else size
    return (int(first), end) if int(first) < end else None


def _read(path: Path, offset: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as handle:
        handle.seek(offset)
        while size > 0 and (chunk := handle.read(min(CHUNK_BYTES, size))):
            size -= len(chunk)
            yield chunk
