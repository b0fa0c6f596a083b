"""What was admitted, judged apart from the library: plain logs of the decisions' own instants.

Units are net: what was given back later was never used. Every bound of the design holds for them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Union

import drivelog
from drivelog import DriveLog, Frozen


class Attempt(NamedTuple):
    """One decision of one worker."""

    at: int
    at_unix: int
    cost: int
    units: int  # 0 where refused, else what was used in the end
    is_admitted: bool
    worker: int
    called: int
    returned: int


class Run(NamedTuple):
    """The logs of one run put together."""

    attempts: list[Attempt]  # by their instants
    held: list[tuple[int, int]]  # from acquire's return to the call that ends it, monotonic
    grants: list[int]  # by worker

    @property
    def units(self) -> int:
        return sum(attempt.units for attempt in self.attempts)


def read(logs: Sequence[Union[DriveLog, Frozen]]) -> Run:
    """Puts logs together. A permit whose end is not in its log is not counted as held."""
    attempts: list[Attempt] = []
    held: list[tuple[int, int]] = []
    grants = []
    for worker, log in enumerate(logs):
        records = list(log.records())
        ends = {r.permit: r for r in records if r.kind == drivelog.END}
        grants.append(0)
        for record in records:
            if record.kind != drivelog.DECISION:
                continue
            units = 0
            if record.outcome == drivelog.IS_ADMITTED:
                grants[-1] += 1
                end = ends.get(record.permit)
                units = record.cost - (end.at if end else 0)
                if end is not None:
                    held.append((record.returned, end.called))
            attempts.append(
                Attempt(
                    record.at, record.at_unix, record.cost, units,
                    record.outcome == drivelog.IS_ADMITTED, worker, record.called,
                    record.returned,
                )
            )
    attempts.sort()
    return Run(attempts, held, grants)


def fullest_window(run: Run, span_ns: int) -> int:
    """The most units in any window of this length, its end left out."""
    window: deque[Attempt] = deque()
    total = most = 0
    for attempt in run.attempts:
        if not attempt.units:
            continue
        while window and attempt.at - window[0].at >= span_ns:
            total -= window.popleft().units
        window.append(attempt)
        total += attempt.units
        most = max(most, total)
    return most


def highest_level(run: Run, per_second: int) -> float:
    """What a bucket would need to hold: the most, over every span, of units less rate x span."""
    level = most = 0  # in billionths of a unit: whole numbers
    last = run.attempts[0].at if run.attempts else 0
    for attempt in run.attempts:
        level = max(0, level - (attempt.at - last) * per_second)
        last = attempt.at
        level += attempt.units * 1_000_000_000
        most = max(most, level)
    return most / 1_000_000_000


def fullest_calendar_window(run: Run, starts_unix_ns: Sequence[int]) -> int:
    """The most units between two of these boundaries; before the first is a window too."""
    sums = [0] * (len(starts_unix_ns) + 1)
    for attempt in run.attempts:
        sums[bisect_right(starts_unix_ns, attempt.at_unix)] += attempt.units
    return max(sums)


def most_at_once(held: Iterable[tuple[int, int]], since: int = 0) -> int:
    """The most permits that were surely held at one instant, not before ``since``."""
    edges = []
    for start, end in held:
        if end > max(start, since):
            edges += [(max(start, since), 1), (end, -1)]
    count = most = 0
    for _, step in sorted(edges):  # at one instant, ends come first
        count += step
        most = max(most, count)
    return most


class Greedy:
    """Admits each attempt that a plain log of what it admitted itself leaves room for."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self.attempts = attempts
        self.admitted: list[tuple[int, int]] = []

    def rolling(self, limit: int, span_ns: int) -> Greedy:
        window: deque[tuple[int, int]] = deque()
        total = 0
        for attempt in self.attempts:
            while window and attempt.at - window[0][0] >= span_ns:
                total -= window.popleft()[1]
            if total + attempt.cost <= limit:
                total += attempt.cost
                window.append((attempt.at, attempt.cost))
                self.admitted.append((attempt.at, attempt.cost))
        return self

    def bucket(self, per_second: int, burst: int) -> Greedy:
        level, last, full = 0, 0, burst * 1_000_000_000
        for attempt in self.attempts:
            level = max(0, level - (attempt.at - last) * per_second)
            last = attempt.at
            if level + attempt.cost * 1_000_000_000 <= full:
                level += attempt.cost * 1_000_000_000
                self.admitted.append((attempt.at, attempt.cost))
        return self

    def calendar(self, limit: int, starts_unix_ns: Sequence[int]) -> Greedy:
        sums = [0] * (len(starts_unix_ns) + 1)
        for attempt in self.attempts:
            window = bisect_right(starts_unix_ns, attempt.at_unix)
            if sums[window] + attempt.cost <= limit:
                sums[window] += attempt.cost
                self.admitted.append((attempt.at, attempt.cost))
        return self


def share(run: Run, greedy: Greedy, last_ns: int) -> float:
    """What was admitted in terms of what the oracle admits, as the mean over all ends of the run
    within its last ``last_ns``: in which part of a turn a run happens to end does not count. 0: at
    its very end."""
    end = run.attempts[-1].at
    start = end - last_ns

    def weighed(admitted: Iterable[tuple[int, int]]) -> int:
        return sum(units * (end - max(at, start) if last_ns else 1) for at, units in admitted)

    ours = weighed((a.at, a.units) for a in run.attempts if a.units)
    return ours / weighed(greedy.admitted)


def steady_spread_ns(run: Run) -> int:
    """How far the workers' steady times are apart: each decision's instant lies between its call
    and its return, so all allow one offset to monotonic time; this is by how much they do not."""
    highest = max(a.at - a.returned for a in run.attempts)
    lowest = min(a.at - a.called for a in run.attempts)
    return max(0, highest - lowest)


def highest_bin_level(bins: Sequence[int], per_bin: int) -> int:
    """Over every span of whole bins: units less ``per_bin`` for each."""
    level = most = 0
    for units in bins:
        level = max(0, level) + units - per_bin
        most = max(most, level)
    return most


def fullest_bins(bins: Sequence[int], count: int) -> int:
    """The most units in so many neighbouring bins: instants less than their widths apart."""
    total = most = sum(bins[:count])
    for index in range(count, len(bins)):
        total += bins[index] - bins[index - count]
        most = max(most, total)
    return most
