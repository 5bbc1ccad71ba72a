import pytest

from partita import runtime
from partita.errors import RequestError, ResourceError
from partita.runtime import Runtime


def test_every_choice_has_a_reason():
    for name, choice in Runtime.detect().choices().items():
        assert choice.reason, name


def test_what_is_asked_for_is_taken():
    chosen = Runtime.detect(device="cpu", number_format="float32", threads=1, policy="one-at-a-time")
    assert (chosen.number_format.value, chosen.threads.value, chosen.policy.value) == ("float32", 1, "one-at-a-time")
    assert chosen.number_format.reason == "asked for"


@pytest.mark.parametrize(
    ("flags", "number_format"),
    [
        (frozenset({"avx2"}), "float32"),
        (frozenset({"avx2", "avx512_bf16"}), "bfloat16"),
        (frozenset({"amx_bf16"}), "bfloat16"),
    ],
)
def test_bfloat16_is_chosen_only_where_the_processor_has_it(monkeypatch, flags, number_format):
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: flags)
    assert Runtime.detect(device="cpu").number_format.value == number_format


def test_unknown_or_absent_devices_are_refused():
    with pytest.raises(RequestError, match="cpu, cuda, mps, xpu"):
        Runtime.detect(device="tpu")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(ResourceError, match="it sees cpu"):
            Runtime.detect(device="cuda")
    with pytest.raises(RequestError, match="float64"):
        Runtime.detect(number_format="float64")
    with pytest.raises(RequestError):
        Runtime.detect(threads=0)


def test_little_memory_means_one_part_at_a_time():
    assert runtime._policy(6 * 2**30).value == "one-at-a-time"
    assert runtime._policy(24 * 2**30).value == "keep"


def test_apples_gpus_compute_in_float32(monkeypatch):
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert Runtime.detect(device="mps").number_format.value == "float32"
