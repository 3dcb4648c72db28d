"""Batches of one shape, halved when memory runs out; device, precision and threads as the recipe says."""

import sys
from typing import Any, get_args

import numpy as np
import pytest
import torch

from stages.models.device import Dtype, Padded, device, machine_trouble, out_of_memory, precision

Array = np.ndarray[Any, Any]


class Sized:
    """Adds one to each row, notes how many rows it was given, and takes at most `most`."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        self.most, self.error = most, error or torch.OutOfMemoryError("CUDA out of memory")
        self.sizes: list[int] = []

    def __call__(self, rows: Array) -> Array:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise self.error
        return rows + 1


def test_every_pass_has_one_shape() -> None:
    """Seven rows in batches of four are two passes of four; the results are seven, in order."""
    work = Sized(4)
    rows = np.arange(14, dtype=np.float32).reshape(7, 2)
    assert (rows + 1).tolist() == Padded(work, 4)(rows).tolist()
    assert [4, 4] == work.sizes


def test_no_rows_are_no_pass() -> None:
    """Nothing to do opens nothing."""
    work = Sized(4)
    assert 0 == len(Padded(work, 4)(np.zeros((0, 2), np.float32)))
    assert [] == work.sizes


def test_padding_is_zeros() -> None:
    """What fills the last batch is all zeros, whatever the type."""
    seen: list[Array] = []

    def work(rows: Array) -> Array:
        seen.append(rows.copy())
        return rows

    Padded(work, 3)(np.full((1, 2), 9, np.uint8))
    assert [[[9, 9], [0, 0], [0, 0]]] == [rows.tolist() for rows in seen]
    assert np.uint8 == seen[0].dtype


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["cuda", "cpu", "cublas"],
)
def test_a_batch_that_does_not_fit_is_halved_for_good(
    error: RuntimeError, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight do not fit, nor do four; two do, from then on, and it is said. No row is lost or done twice."""
    work = Sized(2, error)
    padded = Padded(work, 8)
    rows = np.arange(5, dtype=np.float32)
    assert [1, 2, 3, 4, 5] == padded(rows).tolist()
    assert [8, 4, 2, 2, 2] == work.sizes
    assert [1, 2, 3, 4, 5] == padded(rows).tolist()
    assert [8, 4, 2, 2, 2, 2, 2, 2] == work.sizes
    assert ["batches of 4", "batches of 2"] == [
        message.partition(": ")[2].partition(" from")[0] for message in caplog.messages
    ]


def test_a_row_that_does_not_fit_alone_raises() -> None:
    """There is nothing left to halve."""
    with pytest.raises(torch.OutOfMemoryError):
        Padded(Sized(0), 2)(np.zeros((3, 1), np.float32))


def test_other_errors_are_no_matter_of_memory() -> None:
    """An error of shapes goes through, after one attempt."""
    work = Sized(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Padded(work, 8)(np.zeros((3, 1), np.float32))
    assert [8] == work.sizes
    assert not out_of_memory(RuntimeError("size mismatch"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_trouble_of_a_device_is_no_trouble_of_rows(error: Exception, expected: bool) -> None:
    """What every row after it would meet too."""
    assert expected == machine_trouble(error)


def test_where_torch_is_not_there_is_no_trouble_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not imported to look: most workers never need it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not machine_trouble(RuntimeError("CUDA error: unspecified launch failure"))


def test_precision_is_the_recipes() -> None:
    """Whatever the device."""
    found = [precision(dtype) for dtype in get_args(Dtype)]
    assert [torch.float32, torch.bfloat16, torch.float16] == found


@pytest.mark.skipif(torch.cuda.is_available(), reason="threads count on a CPU only")
def test_threads_are_the_recipes() -> None:
    """On a CPU, torch runs on as many threads as the recipe says."""
    before = torch.get_num_threads()
    try:
        assert torch.device("cpu") == device(3)
        assert 3 == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
