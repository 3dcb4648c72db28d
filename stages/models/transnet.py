"""TransNetV2 as a network over windows of tiny frames: which files hold it, and what it makes of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import RecipeError
from stages.models import weights
from stages.models.device import Dtype, Padded, device, precision

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]
    Tensors = Mapping[str, torch.Tensor]

# Frames of a window, and the height, width and channels (RGB) of each.
WINDOW, FRAME = 100, (27, 48, 3)
# The published network: blocks of stacked cells, each cell of convolutions dilated in time by these.
_FILTERS, _CELLS, _DILATIONS = (16, 32, 64), 2, (1, 2, 4, 8)
# How many neighbours a frame is compared with, itself in the middle; how wide the layers behind that are.
_LOOKUP, _WIDE, _HIDDEN = 101, 128, 1024
_NORM, _EPSILON = ("running_mean", "running_var", "weight", "bias"), 1e-3
_BINS = 512
_PICKLED = (".pth", ".pt", ".bin", ".ckpt")
# Operators of ONNX that leave the values as they are.
_SHAPING = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose", "Slice", "Gather", "Cast")
_EXTERNAL = 14
_LISTED = 3


@dataclass(frozen=True)
class TransNet:
    """Souček and Lokoč, "TransNet V2" (arXiv 2008.04838), from a file that the recipe names.

    A .safetensors file holds the published PyTorch state dict under its own names; an .onnx file takes
    windows (n, 100, 27, 48, 3) of 0 to 255 and gives (n, 100) or (n, 100, 1) logits, or their sigmoids. Of
    several outputs the first counts that is not named after the many-hot head. `batch` windows go through at
    once, always so many, or as many as an ONNX file fixes.
    """

    model: str
    dtype: Dtype = "float32"
    threads: int = 1
    batch: int = 8

    @property
    def label(self) -> str:
        return self._path.stem

    def identity(self) -> dict[str, str]:
        return {"model": weights.digest_of(self._path)}

    def check(self) -> None:
        """Raises RecipeError: no file, a pickled one, other tensors or shapes than the network has."""
        path = self._path
        if path.suffix in _PICKLED:
            raise RecipeError(
                f"{path} is pickled, and pickled weights are never loaded; convert them once: "
                f"safetensors.torch.save_file({{k: v.contiguous() for k, v in torch.load({path.name!r}, "
                f"weights_only=True).items()}}, {path.stem + '.safetensors'!r})"
            )
        if path.suffix not in (".onnx", ".safetensors"):
            raise RecipeError(f"TransNetV2 is an .onnx or a .safetensors file, found {self.model!r}")
        if not path.is_file():
            raise RecipeError(f"there is no model file {path}; name one that holds TransNetV2")
        (_check_onnx if self._is_onnx else _check_tensors)(path)
        if self._is_onnx and self.dtype != "float32":
            raise RecipeError(f"{path} has a precision of its own; leave the dtype at float32")

    def open(self) -> Callable[[Array], Array]:
        """Loads the network; the work gives, of windows uint8 (n, 100, 27, 48, 3), float32 (n, 100).

        They are the odds of the single-frame head: how likely a frame is the middle of a transition, which
        for a hard cut is the last one before it.
        """
        if self._is_onnx:
            return _onnx(self._path, self.threads, self.batch)
        import torch
        from safetensors.torch import load_file

        where, dtype = device(self.threads), precision(self.dtype)
        tensors = {name: load.to(where, dtype) for name, load in load_file(self._path).items()}

        def odds(windows: Array) -> Array:
            with torch.inference_mode():
                logits = network(tensors, torch.from_numpy(windows).to(where))
                made: Array = logits.float().sigmoid().cpu().numpy()
            return made

        return Padded(odds, self.batch)

    @property
    def _path(self) -> Path:
        return Path(self.model).expanduser()

    @property
    def _is_onnx(self) -> bool:
        return self._path.suffix == ".onnx"


def network(tensors: Tensors, windows: torch.Tensor) -> torch.Tensor:
    """Logits (n, frames) of the single-frame head for uint8 windows (n, frames, 27, 48, 3), frames up to 100.

    `tensors` go by the names of `shapes`, all of one dtype, which is that of the arithmetic.
    """
    import torch
    from torch.nn import functional

    x = windows.permute(0, 4, 1, 2, 3).to(tensors["fc1.weight"].dtype) / 255
    blocks = []
    for number in range(len(_FILTERS)):
        x = _block(tensors, f"SDDCNN.{number}.DDCNN", x)
        blocks.append(x)
    seen = x.permute(0, 2, 3, 4, 1).flatten(2)
    means = torch.cat([block.mean((3, 4)) for block in blocks], 1).transpose(1, 2)
    points = functional.normalize(_linear(tensors, "frame_sim_layer.projection", means), dim=2)
    alike = _linear(tensors, "frame_sim_layer.fc", _neighbours(points)).relu()
    colours = _linear(tensors, "color_hist_layer.fc", _neighbours(_histograms(windows).to(x.dtype))).relu()
    hidden = _linear(tensors, "fc1", torch.cat([colours, alike, seen], 2)).relu()
    return _linear(tensors, "cls_layer1", hidden)[:, :, 0]


def _block(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    """Cells in a row, the first one's result added to the last one's; half as high and wide."""
    from torch.nn import functional

    first = x = _cell(tensors, f"{name}.0", x).relu()
    for number in range(1, _CELLS):
        x = _cell(tensors, f"{name}.{number}", x).relu()
    # Pooling of three dimensions knows no 16-bit numbers on a CPU.
    half = functional.avg_pool2d((x + first).flatten(1, 2), 2)
    return half.reshape(*x.shape[:3], *half.shape[2:])


def _cell(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    """Convolutions in space and then, each dilated in another way, in time; normalized together."""
    import torch
    from torch.nn import functional

    made = []
    for dilation in _DILATIONS:
        layers = f"{name}.Conv3D_{dilation}.layers"
        flat = functional.conv3d(x, tensors[f"{layers}.0.weight"], padding=(0, 1, 1))
        deep = tensors[f"{layers}.1.weight"]
        made.append(functional.conv3d(flat, deep, padding=(dilation, 0, 0), dilation=(dilation, 1, 1)))
    mean, var, scale, shift = (tensors[f"{name}.bn.{part}"] for part in _NORM)
    return functional.batch_norm(torch.cat(made, 1), mean, var, scale, shift, eps=_EPSILON)


def _linear(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _neighbours(points: torch.Tensor) -> torch.Tensor:
    """(n, frames, 101): the product of each frame's point with those of the 50 frames before, its own, and
    the 50 after; 0 beyond the window."""
    import torch
    from torch.nn import functional

    products = functional.pad(points @ points.transpose(1, 2), (_LOOKUP // 2, _LOOKUP // 2))
    count, frames = points.shape[:2]
    rows = torch.arange(frames, device=points.device)[:, None]
    near = rows + torch.arange(_LOOKUP, device=points.device)[None]
    return products.gather(2, near.expand(count, frames, _LOOKUP))


def _histograms(windows: torch.Tensor) -> torch.Tensor:
    """(n, frames, 512) of length 1: how many pixels have which colour, of 8 levels a channel."""
    import torch
    from torch.nn import functional

    levels = (windows >> 5).long()
    bins = (levels[..., 0] * 64 + levels[..., 1] * 8 + levels[..., 2]).flatten(2)
    counts = torch.zeros((*bins.shape[:2], _BINS), device=windows.device)
    counts = counts.scatter_add(2, bins, torch.ones(bins.shape, device=windows.device))
    return functional.normalize(counts, dim=2)


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that the network needs, by their names in the published state dict."""
    made: dict[str, tuple[int, ...]] = {}
    given = FRAME[2]
    for number, filters in enumerate(_FILTERS):
        for cell in range(_CELLS):
            name = f"SDDCNN.{number}.DDCNN.{cell}"
            for dilation in _DILATIONS:
                made[f"{name}.Conv3D_{dilation}.layers.0.weight"] = (2 * filters, given, 1, 3, 3)
                made[f"{name}.Conv3D_{dilation}.layers.1.weight"] = (filters, 2 * filters, 3, 1, 1)
            given = filters * len(_DILATIONS)
            made |= {f"{name}.bn.{part}": (given,) for part in _NORM}
    seen = given * (FRAME[0] >> len(_FILTERS)) * (FRAME[1] >> len(_FILTERS))
    layers = {
        "frame_sim_layer.projection": (_WIDE, sum(_FILTERS) * len(_DILATIONS)),
        "frame_sim_layer.fc": (_WIDE, _LOOKUP),
        "color_hist_layer.fc": (_WIDE, _LOOKUP),
        "fc1": (_HIDDEN, 2 * _WIDE + seen),
        "cls_layer1": (1, _HIDDEN),
    }
    for name, shape in layers.items():
        made |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return made


def _check_tensors(path: Path) -> None:
    found = weights.shapes_of(path)
    wrong = [
        f"{name} is {found.get(name, 'missing')}, expected {shape}"
        for name, shape in shapes().items()
        if found.get(name) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise RecipeError(
            f"{path} is not TransNetV2: {'; '.join(wrong[:_LISTED])}{more}; convert the published state dict "
            f"as it is"
        )


def _onnx(path: Path, threads: int, batch: int) -> Callable[[Array], Array]:
    """The work of `TransNet.open` by ONNX Runtime."""
    import numpy

    session = _session(path, threads, ("CUDAExecutionProvider", "CPUExecutionProvider"))
    (given,), output = session.get_inputs(), _output(session)
    dtype = numpy.uint8 if given.type == "tensor(uint8)" else numpy.float32
    fixed = given.shape[0] if isinstance(given.shape[0], int) else batch
    finished = _ends_in_sigmoid(_graph(path), output.name)

    def odds(windows: Array) -> Array:
        try:
            (made,) = session.run([output.name], {given.name: windows.astype(dtype, copy=False)})
        except _onnx_errors() as error:
            words = "out of memory: " if "allocate memory" in str(error) else ""
            raise RuntimeError(f"{words}{error}") from error
        values = numpy.asarray(made, numpy.float32).reshape(len(windows), WINDOW)
        return values if finished else 1 / (1 + numpy.exp(-values))

    return Padded(odds, fixed)


def _session(path: Path, threads: int, providers: Sequence[str]) -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # It ships no types.

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As `device` does for torch: no rounding of float32 to 10 bits, no algorithm chosen by a stopwatch.
    known = {"CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}
    there = onnxruntime.get_available_providers()
    wanted = [(name, known.get(name, {})) for name in providers if name in there]
    return onnxruntime.InferenceSession(path, options, providers=wanted)


def _check_onnx(path: Path) -> None:
    faults: tuple[type[Exception], ...] = (OSError, ValueError, *_onnx_errors())
    try:
        graph = _graph(path)
        session = None if graph.elsewhere else _session(path, 1, ("CPUExecutionProvider",))
    except faults as error:
        problem = str(error).partition("\n")[0]
        raise RecipeError(f"{path} is no ONNX file that runs here ({problem}); export it again") from error
    if session is None:
        raise RecipeError(f"{path} keeps its weights in another file; export it with external_data=False")
    given, output = session.get_inputs(), _output(session)
    if len(given) != 1 or given[0].type not in ("tensor(uint8)", "tensor(float)"):
        kinds = [(one.name, one.type) for one in given]
        raise RecipeError(f"{path} is not TransNetV2: its inputs are {kinds}, expected one of uint8 or float")
    _fits(path, "input", given[0], [(WINDOW, *FRAME)])
    _fits(path, "output", output, [(WINDOW,), (WINDOW, 1)])


def _fits(path: Path, which: str, tensor: Any, allowed: Sequence[tuple[int, ...]]) -> None:
    """Raises RecipeError unless a tensor has one of these shapes behind its batch; named sizes may be any."""
    found = tensor.shape[1:]
    for shape in allowed:
        if len(found) == len(shape) and all(
            size == wanted or not isinstance(size, int) for size, wanted in zip(found, shape, strict=True)
        ):
            return
    expected = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in allowed)
    raise RecipeError(
        f"{path} is not TransNetV2: its {which} {tensor.name} has the shape {tuple(tensor.shape)}, expected "
        f"{expected}"
    )


def _output(session: Any) -> Any:
    """The single-frame head: the first output that is not named after the many-hot one."""
    outputs = session.get_outputs()
    return next((output for output in outputs if "many" not in output.name.lower()), outputs[0])


def _onnx_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import (  # type: ignore[import-untyped]  # It ships no types.
        onnxruntime_pybind11_state as state,
    )

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


@dataclass(frozen=True)
class _Graph:
    """What ONNX Runtime does not tell: which operator, of which inputs, makes a value; if weights lie
    elsewhere."""

    made_by: Mapping[str, tuple[str, Sequence[str]]]
    elsewhere: bool


def _graph(path: Path) -> _Graph:
    """Read from the file itself, by the numbers of onnx.proto: graph 7, node 1 (input 1, output 2, op_type
    4), initializer 5 (data_location 14). Raises OSError, ValueError."""
    made_by: dict[str, tuple[str, Sequence[str]]] = {}
    elsewhere = False
    graphs = [graph for number, graph in _fields(path.read_bytes()) if number == 7]
    for number, value in (field for graph in graphs for field in _fields(graph)):
        if number == 5:
            elsewhere |= any(key == _EXTERNAL and location == b"\1" for key, location in _fields(value))
        if number == 1:
            node: dict[int, list[str]] = {1: [], 2: [], 4: []}
            for key, part in _fields(value):
                if key in node:
                    node[key].append(part.decode())
            made_by |= {name: ("".join(node[4]), node[1]) for name in node[2]}
    return _Graph(made_by, elsewhere)


def _ends_in_sigmoid(graph: _Graph, name: str) -> bool:
    """Whether an output is odds already, whatever reshapes it."""
    while name in graph.made_by:
        operator, inputs = graph.made_by[name]
        if operator not in _SHAPING or not inputs:
            return operator == "Sigmoid"
        name = inputs[0]
    return False


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message by number, numbers as their bytes; raises ValueError for another."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        begin, end = at, at + {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            _, end = _varint(message, at)
        if key & 7 == 2:
            size, begin = _varint(message, at)
            end = begin + size
        if key & 7 not in (0, 1, 2, 5) or end > len(message):
            raise ValueError("its content is cut off or of another format")
        yield key >> 3, message[begin:end]
        at = end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("its content is cut off")
