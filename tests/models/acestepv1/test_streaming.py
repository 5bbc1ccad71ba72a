"""Local stages in stretches: rows in order, each computed from what lies around it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor

from partita.errors import ModelError
from partita.models.acestepv1.streaming import Local, Paced, Stream, Whole, chain, run_whole

KERNEL = torch.linspace(-1, 1, 7, dtype=torch.float64)


def smooth(x: Tensor) -> Tensor:
    return F.conv1d(x[:, None], KERNEL[None, None], padding=3)[:, 0]


def halve(x: Tensor) -> Tensor:
    return F.conv1d(x[:, None], KERNEL[None, None, :3], stride=2, padding=1)[:, 0]


def triple(x: Tensor) -> Tensor:
    return smooth(x.repeat_interleave(3, dim=1))


STAGES = [Local(smooth, reach=3), Local(halve, reach=1, down=2), Local(triple, reach=1, up=3), Local(smooth, reach=3)]


@given(length=st.integers(4, 60), stretches=st.lists(st.integers(1, 9), min_size=4, max_size=4), data=st.data())
@settings(max_examples=100, deadline=None)
def test_stretches_of_any_length_give_what_the_whole_gives(
    length: int, stretches: list[int], data: st.DataObject
) -> None:
    signal = torch.randn(2, 2 * length, dtype=torch.float64)
    expected = smooth(triple(halve(smooth(signal))))
    stages = [
        Local(one.run, one.reach, one.up, one.down, stretch) for one, stretch in zip(STAGES, stretches, strict=True)
    ]
    rows = chain(Whole(signal), stages)
    assert rows.length == expected.shape[1]
    at = data.draw(st.integers(0, rows.length - 1))
    while at < rows.length:
        end = data.draw(st.integers(at + 1, rows.length))
        torch.testing.assert_close(rows.take(at, end), expected[:, at:end])
        at = end


class Recording(Whole):
    """Rows that remember what they were asked for."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__(rows)
        object.__setattr__(self, "asked", [])

    asked: list[tuple[int, int]]

    def take(self, first: int, end: int) -> Tensor:
        self.asked.append((first, end))
        return super().take(first, end)


def test_no_row_is_asked_for_twice_and_none_before_it_is_needed() -> None:
    source = Recording(torch.randn(1, 100))
    rows = Stream(source, Local(lambda x: x, reach=3))
    for start in range(20, 50, 10):
        rows.take(start, start + 10)
    assert source.asked == [(17, 33), (33, 43), (43, 53)]


def test_paced_rows_are_asked_for_between_their_edges_and_only_when_needed() -> None:
    source = Recording(torch.arange(100.0)[None])
    rows = Paced(source, [10, 30, 50, 57])
    taken = [rows.take(*stretch) for stretch in ((12, 15), (15, 30))]
    assert source.asked == [(10, 30)]
    taken += [rows.take(*stretch) for stretch in ((30, 31), (31, 57))]
    assert source.asked == [(10, 30), (30, 50), (50, 57)]
    assert torch.equal(torch.cat(taken, dim=1), source.rows[:, 12:57])
    with pytest.raises(ModelError, match="beyond"):
        rows.take(57, 58)


@given(reach=st.integers(0, 9), up=st.integers(1, 4), down=st.integers(1, 4), rows=st.integers(0, 60))
def test_rows_are_ready_when_nothing_more_is_needed_for_them(reach: int, up: int, down: int, rows: int) -> None:
    local = Local(lambda x: x, reach, up, down)
    ready = local.ready(rows)
    if ready:
        assert local.window(0, ready, 1000)[1] <= rows
    assert local.window(0, ready + 1, 1000)[1] > rows


def test_a_whole_is_run_in_stretches() -> None:
    lengths: list[int] = []

    def run(x: Tensor) -> Tensor:
        lengths.append(x.shape[1])
        return x

    signal = torch.randn(1, 25)
    assert torch.equal(run_whole(Local(run, reach=1, stretch=10), signal), signal)
    assert lengths == [11, 12, 6]


def test_stretches_out_of_order_are_refused() -> None:
    rows = Stream(Whole(torch.zeros(1, 10)), Local(lambda x: x, reach=0))
    rows.take(2, 4)
    for first, end in ((3, 5), (5, 6), (4, 4), (4, 11)):
        with pytest.raises(ModelError, match="in order"):
            rows.take(first, end)
