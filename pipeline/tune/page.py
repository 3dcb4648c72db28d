"""The page as one file: markup, style and script put together, with a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

WEB = Path(__file__).parents[1] / "web"
SCRIPTS = ("tune_base.js", "tune_chart.js", "tune_cards.js", "tune_tabs.js", "tune_main.js")


def live() -> tuple[str, str]:
    """The page that asks a server, and its Content-Security-Policy."""
    style, script = _parts()
    return _put_together(style, script), f"{_policy(style, script)}; frame-ancestors 'none'"


def alone(data: Mapping[str, Any]) -> str:
    """The page with its answers in it, its policy too: opened from a disk, it asks nobody."""
    style, script = _parts()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script, live=False)}">'
    return _put_together(style, script, head=policy, data=_inert(data))


@lru_cache(maxsize=1)
def _parts() -> tuple[str, str]:
    style = (WEB / "tune.css").read_text(encoding="utf-8")
    return style, "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)


def _put_together(style: str, script: str, *, head: str = "", data: str = "") -> str:
    parts = {
        "<!-- head -->": f"{head}<style>{style}</style>",
        "<!-- data -->": data,
        "<!-- script -->": f"<script>{script}</script>",
    }
    page = (WEB / "tune.html").read_text(encoding="utf-8")
    for mark, part in parts.items():
        before, _, after = page.partition(mark)
        page = before + part + after
    return page


def _inert(data: Mapping[str, Any]) -> str:
    """JSON that no browser takes for markup, whatever the text in it."""
    text = json.dumps(data, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="data">{text}</script>'


def _policy(style: str, script: str, *, live: bool = True) -> str:
    asks = "connect-src 'self'; media-src 'self'; img-src 'self' data:" if live else "img-src data:"
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; {asks}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
