"""TransNetV2: the network against a plain reference, and its files as safetensors and ONNX."""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from manifests.errors import RecipeError
from stages.models.device import Dtype
from stages.models.transnet import TransNet, network, shapes

Array = np.ndarray[Any, Any]
Weights = Mapping[str, torch.Tensor]


def random_weights(sizes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Weights that let signals through the layers; variances are positive."""
    torch.manual_seed(0)
    made = {name: torch.randn(size) / max(1, np.prod(size[1:])) ** 0.5 for name, size in sizes.items()}
    return {name: w.abs() + 0.5 if name.endswith("_var") else w for name, w in made.items()}


def narrow() -> dict[str, torch.Tensor]:
    """The network with 1, 2 and 3 filters, 5 points to compare, 7 hidden numbers."""
    sizes: dict[str, tuple[int, ...]] = {}
    given = 3
    for block, filters in enumerate((1, 2, 3)):
        for cell in (0, 1):
            name = f"SDDCNN.{block}.DDCNN.{cell}"
            for dilation in (1, 2, 4, 8):
                sizes[f"{name}.Conv3D_{dilation}.layers.0.weight"] = (2 * filters, given, 1, 3, 3)
                sizes[f"{name}.Conv3D_{dilation}.layers.1.weight"] = (filters, 2 * filters, 3, 1, 1)
            given = 4 * filters
            for part in ("running_mean", "running_var", "weight", "bias"):
                sizes[f"{name}.bn.{part}"] = (given,)
    layers = {"frame_sim_layer.projection": (5, 4 * 6), "frame_sim_layer.fc": (5, 101)}
    layers |= {"color_hist_layer.fc": (5, 101), "fc1": (7, 10 + 12 * 3 * 6), "cls_layer1": (1, 7)}
    for name, (wide, deep) in layers.items():
        sizes |= {f"{name}.weight": (wide, deep), f"{name}.bias": (wide,)}
    return random_weights(sizes)


def windows(count: int, frames: int = 100, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (count, frames, 27, 48, 3), np.uint8)


def by_hand(weights: Weights, frames: Array) -> Array:
    """The logits (frames,) of one window: arXiv 2008.04838, figures 1 and 2, in plain sums."""
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in weights.items()}
    x, means = frames.transpose(0, 3, 1, 2) / 255, []
    for block in range(3):
        first = np.maximum(cell_by_hand(w, f"SDDCNN.{block}.DDCNN.0", x), 0)
        x = np.maximum(cell_by_hand(w, f"SDDCNN.{block}.DDCNN.1", first), 0) + first
        high, wide = x.shape[2] // 2, x.shape[3] // 2
        x = x[:, :, : 2 * high, : 2 * wide].reshape(*x.shape[:2], high, 2, wide, 2).mean((3, 5))
        means.append(x.mean((2, 3)))
    points = np.concatenate(means, 1) @ w["frame_sim_layer.projection.weight"].T
    points += w["frame_sim_layer.projection.bias"]
    levels = frames.astype(int) // 32
    colours = np.zeros((len(frames), 512))
    for frame, bins in enumerate((levels * (64, 8, 1)).sum(3).reshape(len(frames), -1)):
        np.add.at(colours[frame], bins, 1)
    found = [
        neighbours_by_hand(w, "color_hist_layer.fc", colours),
        neighbours_by_hand(w, "frame_sim_layer.fc", points),
        x.transpose(0, 2, 3, 1).reshape(len(frames), -1),
    ]
    hidden = np.maximum(np.concatenate(found, 1) @ w["fc1.weight"].T + w["fc1.bias"], 0)
    return np.asarray(hidden @ w["cls_layer1.weight"][0] + w["cls_layer1.bias"])


def cell_by_hand(w: Mapping[str, Array], name: str, x: Array) -> Array:
    """(frames, channels, height, width) through the convolutions of one cell and its normalization."""
    frames, _, high, wide = x.shape
    made = []
    for dilation in (1, 2, 4, 8):
        space, time = (w[f"{name}.Conv3D_{dilation}.layers.{n}.weight"] for n in (0, 1))
        framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        flat = sum(
            np.einsum("oi,tihw->tohw", space[:, :, 0, i, j], framed[:, :, i : i + high, j : j + wide])
            for i in range(3)
            for j in range(3)
        )
        longer = np.pad(flat, ((dilation, dilation), (0, 0), (0, 0), (0, 0)))
        steps = [longer[n * dilation : n * dilation + frames] for n in range(3)]
        made.append(sum(np.einsum("oi,tihw->tohw", time[:, :, n, 0, 0], steps[n]) for n in range(3)))
    mean, var, scale, shift = (
        w[f"{name}.bn.{part}"][None, :, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return np.asarray((np.concatenate(made, 1) - mean) / np.sqrt(var + 1e-3) * scale + shift)


def neighbours_by_hand(w: Mapping[str, Array], name: str, points: Array) -> Array:
    """Cosines of each frame with those up to 50 frames before and after it, through a layer."""
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    near = np.zeros((len(points), 101))
    for frame in range(len(points)):
        for other in range(max(0, frame - 50), min(len(points), frame + 51)):
            near[frame, other - frame + 50] = points[frame] @ points[other]
    return np.asarray(np.maximum(near @ w[f"{name}.weight"].T + w[f"{name}.bias"], 0))


def test_the_network_is_that_of_the_paper() -> None:
    """Window by window the same as plain sums over it."""
    weights, given = narrow(), windows(2, seed=3)
    given[0, 40:] = given[0, 40:] // 4
    expected = np.stack([by_hand(weights, window) for window in given])
    assert expected.std() > 0.1
    with torch.inference_mode():
        found = network(weights, torch.from_numpy(given)).numpy()
    assert expected == pytest.approx(found, abs=1e-4)


def test_names_and_shapes_are_those_of_the_published_state_dict() -> None:
    """As TransNetV2() of inference-pytorch/transnetv2_pytorch.py names and sizes them."""
    found = shapes()
    assert 6 * (4 * 2 + 4) + 5 * 2 == len(found)
    expected = {
        "SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight": (32, 3, 1, 3, 3),
        "SDDCNN.0.DDCNN.1.Conv3D_8.layers.1.weight": (16, 32, 3, 1, 1),
        "SDDCNN.1.DDCNN.0.Conv3D_2.layers.0.weight": (64, 64, 1, 3, 3),
        "SDDCNN.2.DDCNN.0.Conv3D_4.layers.0.weight": (128, 128, 1, 3, 3),
        "SDDCNN.2.DDCNN.1.Conv3D_4.layers.0.weight": (128, 256, 1, 3, 3),
        "SDDCNN.2.DDCNN.1.bn.running_var": (256,),
        "frame_sim_layer.projection.weight": (128, 448),
        "frame_sim_layer.fc.weight": (128, 101),
        "color_hist_layer.fc.bias": (128,),
        "fc1.weight": (1024, 4864),
        "cls_layer1.weight": (1, 1024),
    }
    assert expected == {name: found.get(name) for name in expected}


class _Exported(torch.nn.Module):
    """What a person exports: batch first, the single-frame head and the many-hot one."""

    def __init__(self, weights: Weights, finish: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.weights, self.finish = weights, finish

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = network(self.weights, frames)
        return 3 - logits[..., None], self.finish(logits)


def export(
    path: Path,
    module: torch.nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    *,
    given: Array | None = None,
    dynamic: bool = True,
) -> Path:
    """An ONNX file of a module with the outputs many_hot and single."""
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

    # All that the exporter asks the package onnx for: custom functions, of which there are none.
    monkeypatch.setattr(onnx_proto_utils, "_add_onnxscript_fn", lambda content, _: content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.from_numpy(windows(1) if given is None else given),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["frames"],
            output_names=["many_hot", "single"],
            dynamic_axes={"frames": {0: "n"}} if dynamic else None,
        )
    return path


def test_safetensors_and_onnx_give_equal_odds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of full size, saved under the published names and exported."""
    weights = random_weights(shapes())
    more = {"cls_layer2.bias": torch.zeros(1), "SDDCNN.0.DDCNN.0.bn.num_batches_tracked": torch.tensor(7)}
    save_file({**weights, **more}, tmp_path / "net.safetensors")
    export(tmp_path / "net.onnx", _Exported(weights, lambda x: x), monkeypatch)
    models = [TransNet(str(tmp_path / name), batch=1) for name in ("net.safetensors", "net.onnx")]
    for model in models:
        model.check()
    assert ["net", "net"] == [model.label for model in models]
    assert models[0].identity() != models[1].identity()
    ours, theirs = (model.open()(windows(1)) for model in models)
    assert (1, 100) == ours.shape and ours.dtype == np.float32
    assert ours.std() > 0.01
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("finish", [lambda x: x[..., None], lambda x: torch.sigmoid(x)[..., None]])
def test_onnx_of_logits_or_odds_and_of_any_batch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finish: Callable[[torch.Tensor], torch.Tensor],
    dynamic: bool,
) -> None:
    """The head that is not many-hot counts; what is no sigmoid yet becomes one; a fixed batch is kept to."""
    weights = narrow()
    path = export(tmp_path / "net.onnx", _Exported(weights, finish), monkeypatch, dynamic=dynamic)
    model = TransNet(str(path), batch=2)
    model.check()
    with torch.inference_mode():
        expected = network(weights, torch.from_numpy(windows(3))).sigmoid().numpy()
    assert expected == pytest.approx(model.open()(windows(3)), abs=1e-5)


def test_odds_do_not_depend_on_neighbours(tmp_path: Path) -> None:
    """In another order, among others, every bit stays, in batches of a multiple of 4."""
    save_file(narrow(), tmp_path / "net.safetensors")
    odds, given = TransNet(str(tmp_path / "net.safetensors"), batch=4).open(), windows(7)
    found, order = odds(given), np.random.default_rng(0).permutation(7)[:6]
    assert np.array_equal(found[order], odds(given[order]))


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_16_bits_are_near(tmp_path: Path, dtype: Dtype, tolerance: float) -> None:
    """Every layer knows them; the odds come as float32 all the same."""
    save_file(narrow(), tmp_path / "net.safetensors")
    near, exact = (
        TransNet(str(tmp_path / "net.safetensors"), dtype=kind, batch=1).open()(windows(1))
        for kind in (dtype, "float32")
    )
    assert near.dtype == np.float32 and not np.array_equal(near, exact)
    assert exact == pytest.approx(near, abs=tolerance)


def lacking(path: Path) -> None:
    kept = {name: torch.zeros(size) for name, size in shapes().items() if name != "fc1.bias"}
    kept["cls_layer1.bias"] = torch.zeros(2)
    save_file(kept, path)


FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "nothing there": ("net.safetensors", lambda p: None, "there is no model file"),
    "another kind": ("net.pb", lambda p: p.touch(), r"is an \.onnx or a \.safetensors file, found"),
    "pickled": (
        "net.pth",
        lambda p: p.touch(),
        r"never loaded; convert.*torch\.load\('net\.pth', weights_only",
    ),
    "other shapes": (
        "net.safetensors",
        lacking,
        r"fc1\.bias is missing, expected \(1024,\); cls_layer1\.bias is \(2,\), expected \(1,\); convert",
    ),
    "another model": (
        "net.safetensors",
        lambda p: save_file({"a": torch.zeros(1)}, p),
        r"Conv3D_1\.layers\.0\.weight is missing, expected \(32, 3, 1, 3, 3\).* and 79 more; convert",
    ),
    "no safetensors": ("net.safetensors", lambda p: p.write_bytes(b"no"), "is no safetensors file"),
    "no ONNX": ("net.onnx", lambda p: p.write_bytes(b"<html>"), "no ONNX file that runs here"),
    "cut off": ("net.onnx", lambda p: p.write_bytes(b"\x3a\x7f\x01"), "cut off or of another format"),
    # By onnx.proto: a graph (7) with an initializer (5) whose data_location (14) is EXTERNAL (1).
    "split in two": ("net.onnx", lambda p: p.write_bytes(b"\x3a\x04\x2a\x02\x70\x01"), "external_data=False"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_work_is_told_before_any_work(tmp_path: Path, fault: str) -> None:
    """One sentence that names what is missing or wrong."""
    name, make, message = FAULTS[fault]
    make(tmp_path / name)
    with pytest.raises(RecipeError, match=message):
        TransNet(str(tmp_path / name)).check()


def test_onnx_of_another_shape_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes in or comes out is not as the network has it; a precision cannot be asked of a file."""

    class Other(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return frames.float(), frames.float().mean((2, 3))

    path = export(tmp_path / "a.onnx", Other(), monkeypatch)
    expected = (
        re.escape("output single has the shape ") + ".*" + re.escape("expected (n, 100) or (n, 100, 1)")
    )
    with pytest.raises(RecipeError, match=expected):
        TransNet(str(path)).check()
    path = export(tmp_path / "b.onnx", Other(), monkeypatch, given=np.zeros((1, 3, 100, 27, 48), np.uint8))
    with pytest.raises(RecipeError, match=r"input frames has the shape .* expected \(n, 100, 27, 48, 3\)"):
        TransNet(str(path)).check()
    path = export(tmp_path / "c.onnx", _Exported(narrow(), lambda x: x), monkeypatch)
    with pytest.raises(RecipeError, match="leave the dtype at float32"):
        TransNet(str(path), dtype="float16").check()
