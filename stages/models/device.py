"""Where a model runs: device, precision, threads, and batches of one fixed shape that fit into memory."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, Any]

Dtype = Literal["float32", "bfloat16", "float16"]
log = logging.getLogger(__name__)
# How torch says that memory ran out where it has no class for it: on a CPU, in cuBLAS.
_FULL = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def device(threads: int) -> torch.device:
    """CUDA where it is, else this CPU with so many threads: their number decides the last bits."""
    import torch

    if torch.cuda.is_available():
        # By default cuDNN rounds what goes into a float32 convolution to 10 bits (TF32).
        cudnn: Any = torch.backends.cudnn
        cudnn.conv.fp32_precision = "ieee"
        return torch.device("cuda")
    torch.set_num_threads(threads)
    return torch.device("cpu")


def precision(dtype: Dtype) -> torch.dtype:
    """The recipe's dtype, whatever the device: one corpus is measured in one precision."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


class Padded:
    """Runs a model on batches of exactly `batch` rows, the last one filled with zeros.

    One shape takes one path through the arithmetic, so that a row's result does not depend on its neighbours.
    Where in the batch it stands decides nothing either, but for layers of one to three outputs: there, only
    batches of a multiple of 16 are safe (seen with torch 2.13 on a CPU; with 33 rows a last bit moved). A
    batch that does not fit into memory is halved for good, which is said in the log; a single row that does
    not fit raises.
    """

    def __init__(self, work: Callable[[Array], Array], batch: int) -> None:
        self._work, self._batch = work, batch

    def __call__(self, rows: Array) -> Array:
        """The results of all rows, in order; none for none is shape (0,)."""
        import numpy

        made, at = [], 0
        while at < len(rows):
            some = rows[at : at + self._batch]
            result = self._tried(some)
            if result is None:
                self._halve()
                continue
            made.append(result)
            at += len(some)
        return numpy.concatenate(made) if made else numpy.empty(0, numpy.float32)

    def _tried(self, some: Array) -> Array | None:
        """The results of at most `batch` rows; None when memory ran out and a smaller batch may fit."""
        import numpy

        filled = numpy.zeros((self._batch, *some.shape[1:]), some.dtype)
        filled[: len(some)] = some
        try:
            return self._work(filled)[: len(some)]
        except RuntimeError as error:
            if self._batch == 1 or not out_of_memory(error):
                raise
            return None

    def _halve(self) -> None:
        """Outside the handler of the error, which holds the tensors of the pass that failed."""
        import torch

        self._batch //= 2
        log.warning("out of memory: batches of %d from here on; lower the batch in the recipe", self._batch)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def machine_trouble(error: BaseException) -> bool:
    """Whether an error is of the device and not of what it was given: no memory left, a fault of CUDA.

    Batches have one shape, so what does not fit for one row fits for none; and after a fault of CUDA every
    call of the process fails.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error) or out_of_memory(error)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that memory ran out, on the GPU or here."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error).lower() for word in _FULL)
