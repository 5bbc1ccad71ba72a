"""What memory a device has left, which faults mean that there was none, and letting go of what torch holds back.

Knows devices by their torch names, and no engine. The texts are those of CUDA, cuBLAS and torch's allocators.
"""

from __future__ import annotations

import gc

import psutil

from partita.errors import BusyError, DeadlineError, ResourceError

MIB = 2**20
_OUT_OF_MEMORY = (
    "out of memory",
    "cudaerrormemorya",
    "cuda_error_out_of_memory",
    "cublas_status_alloc_failed",
    "alloc failed",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)


def free_bytes(device: str) -> int:
    """Bytes that a song can take on `device`: what the driver calls free, and what torch keeps for the next tensor.

    On the processor: what is available without swapping. Raises ResourceError where the device does not say.
    """
    try:
        return _free_bytes(device)
    except (RuntimeError, AttributeError, AssertionError, OSError, ValueError) as error:  # torch without that device
        raise ResourceError(f"The free memory of {device} is not known: {error}") from error


def _free_bytes(device: str) -> int:
    if device == "cpu":
        return psutil.virtual_memory().available
    import torch

    place = torch.device(device)
    if place.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    module = getattr(torch, place.type)
    free, _ = module.mem_get_info(place)
    return free + module.memory_reserved(place) - module.memory_allocated(place)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came from, means that memory did not suffice.

    A MemoryError does, and so does a fault of torch or of ours whose text is one of the known ones.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, MemoryError):
            return True
        told = isinstance(one, (RuntimeError, ResourceError, OSError))
        if (
            told
            and not isinstance(one, (BusyError, DeadlineError))
            and any(text in str(one).lower() for text in _OUT_OF_MEMORY)
        ):
            return True
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return False


def release(device: str) -> None:
    """Give back to the system what nothing uses any longer."""
    gc.collect()
    kind = device.partition(":")[0]
    if kind == "cpu":
        return
    import torch

    if torch.accelerator.is_available():
        getattr(torch, kind).empty_cache()
