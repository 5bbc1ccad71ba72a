import psutil
import pytest
import torch

from partita.errors import BusyError, DeadlineError, ModelError, PartitaError, ResourceError
from partita.service.memory import free_bytes, is_out_of_memory, release


def test_the_processor_has_some_memory_free_and_no_more_than_there_is():
    assert 0 < free_bytes("cpu") <= psutil.virtual_memory().total


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_here_does_not_say():
    with pytest.raises(ResourceError, match="free memory of cuda is not known"):
        free_bytes("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_torch_keeps_for_the_next_tensor_counts_as_free():
    before = free_bytes("cuda")
    held = torch.empty(256 * 2**20, dtype=torch.uint8, device="cuda")
    assert before - free_bytes("cuda") == pytest.approx(256 * 2**20, rel=0.1)
    del held
    assert free_bytes("cuda") == pytest.approx(before, rel=0.01)
    release("cuda")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DriverError(CUDA_ERROR_OUT_OF_MEMORY, ...)"),
        RuntimeError("cudaErrorMemoryAllocation"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        OSError(12, "Cannot allocate memory"),
        ResourceError("out of memory while loading"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_the_ways_in_which_memory_is_said_to_have_run_out(error: BaseException):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ResourceError("the disk is full"),
        BusyError("out of memory for more jobs"),
        DeadlineError("out of memory and time"),
        ModelError("the weights say out of memory"),
        ValueError("out of memory"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_what_is_another_fault(error: BaseException):
    assert not is_out_of_memory(error)


def test_a_fault_that_came_from_one_counts_and_one_that_hides_it_does_not():
    def wrapped(hidden: bool) -> PartitaError:
        try:
            try:
                raise MemoryError
            except MemoryError as cause:
                if hidden:
                    raise ModelError("the file is damaged") from None
                raise ModelError("could not be loaded") from cause
        except ModelError as error:
            return error

    assert is_out_of_memory(wrapped(hidden=False))
    assert not is_out_of_memory(wrapped(hidden=True))


def test_releasing_asks_nothing_of_a_device_that_is_not_here():
    release("cpu")
    release("cuda:0")
