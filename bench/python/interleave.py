"""Times several callables fairly in one process: they take turns, so that all meet the same weather.

A machine's speed drifts (heat, other users, clock steps) by more than the differences one wants to see. So
the contenders alternate, each round in another order, and a ratio is formed within a round, between
neighbours in time, before any median is taken.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Contender = Callable[[], object]

BATCH_SECONDS = 2e-3  # a batch lasts at least this long, far above the clock's resolution (about 50 ns)


@dataclass(frozen=True)
class Timing:
    """Seconds for one call of a contender, over the rounds, and its ratio to the peer within each round."""

    label: str
    rounds: int
    calls: int  # calls in the batch that one round times
    median: float
    lower: float  # first quartile
    upper: float  # third quartile
    ratio: float  # median ratio to the peer
    ratio_lower: float
    ratio_upper: float


def interleave(contenders: Mapping[str, Contender], peer: str, rounds: int = 21, budget: float = 60.0) -> list[Timing]:
    """Time every contender `rounds` times, alternating, against the one named as peer.

    Parameters
    ----------
    contenders : mapping
        Label to a callable without arguments.
    peer : str
        Label of the contender that the ratios refer to.
    rounds : int
        Batches of each contender; an odd number makes the median a measured value.
    budget : float
        Seconds after which no further round begins, once there are three: without three there is no spread.

    Returns
    -------
    list of Timing
        In the order given.
    """
    if peer not in contenders:
        raise ValueError(f"the peer {peer!r} is none of the contenders: {', '.join(contenders)}")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    labels = list(contenders)
    calls = {label: _calls_for_a_batch(contenders[label]) for label in labels}
    seconds: dict[str, list[float]] = {label: [] for label in labels}
    collecting = gc.isenabled()
    gc.disable()  # a collection would be charged to whoever is running
    try:
        end = time.perf_counter() + budget
        for turn in range(rounds):
            if turn >= 3 and time.perf_counter() > end:
                break
            shift = turn % len(labels)
            for label in labels[shift:] + labels[:shift]:
                seconds[label].append(_batch(contenders[label], calls[label]))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    peers = np.array(seconds[peer])
    return [_timing(label, calls[label], np.array(seconds[label]), peers) for label in labels]


def _calls_for_a_batch(contender: Contender) -> int:
    """Warm the contender up and return how many calls make a batch long enough."""
    contender()
    calls = 1
    while True:
        seconds = _batch(contender, calls)
        if calls * seconds >= BATCH_SECONDS:
            return calls
        calls = max(2 * calls, min(10 * calls, int(1.2 * BATCH_SECONDS / max(seconds, 1e-9))))


def _batch(contender: Contender, calls: int) -> float:
    """Return the mean seconds of a call over one batch."""
    start = time.perf_counter()
    for _ in range(calls):
        contender()
    return (time.perf_counter() - start) / calls


def _timing(label: str, calls: int, seconds: np.ndarray, peers: np.ndarray) -> Timing:
    lower, median, upper = (float(value) for value in np.percentile(seconds, [25, 50, 75]))
    ratio_lower, ratio, ratio_upper = (float(value) for value in np.percentile(seconds / peers, [25, 50, 75]))
    return Timing(label, seconds.size, calls, median, lower, upper, ratio, ratio_lower, ratio_upper)


def duration(seconds: float) -> str:
    """Format seconds in a unit that leaves three figures before or around the point."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
