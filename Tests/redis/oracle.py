"""What the limits promise, from a plain log: every unit with its instant, summed anew each time.

Nothing here is shared with the scripts or the library. Instants are whole microseconds, buckets
are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Optional

from client import BUCKET, CALENDAR, CONCURRENCY, MOST, ROLLING, UNKNOWN, Limit


@dataclass
class Entry:
    at: int
    amount: int  # net of what was given back
    in_excess: int = 0  # of it, used beyond a charge: not bounded


@dataclass
class Ledger:
    """Everything that was ever charged to one limit of one key."""

    limit: Limit
    log: list[Entry] = field(default_factory=list)
    tat: Fraction = Fraction(0)
    window: tuple[int, int] = (0, 0)
    count: int = 0
    leases: dict[bytes, int] = field(default_factory=dict)

    # Rolling
    def epoch(self, at: int) -> int:
        return at // self.limit.cell_us

    def used_at(self, now: int) -> int:
        oldest = self.epoch(now) - self.limit.cells
        return sum(e.amount for e in self.log if self.epoch(e.at) >= oldest)

    def fullest_window(self) -> int:
        """The most units in any window of the promised length, excess left out."""
        return max(
            (sum(o.amount - o.in_excess for o in self.log
                 if e.at - self.limit.span_us < o.at <= e.at) for e in self.log),
            default=0,
        )

    # Any
    def used(self, now: int) -> int:
        if self.limit.kind == ROLLING:
            return self.used_at(now)
        if self.limit.kind == CALENDAR:
            return self.count
        return sum(expiry > now for expiry in self.leases.values())

    def fits_at(self, now: int, wall: int, amount: int) -> int:
        """0 if it fits, 1 if nobody knows, else the first instant at which it does."""
        limit = self.limit
        if limit.kind == CONCURRENCY:
            return UNKNOWN if self.used(now) >= limit.limit else 0
        if limit.kind == CALENDAR:
            if self.count + amount > limit.limit:
                return self.window[1] + (limit.span_us if amount else 0)
            if amount and wall - self.window[0] < limit.span_us:
                return self.window[0] + limit.span_us
            return 0
        if limit.kind == BUCKET:
            after = max(self.tat, Fraction(now)) + amount * limit.interval
            over = after - limit.limit * limit.interval
            return 0 if over <= now else -(-over.numerator // over.denominator)
        if self.used_at(now) + amount <= limit.limit:
            return 0
        epoch = self.epoch(now)
        while self.used_at(epoch * limit.cell_us) + amount > limit.limit:
            epoch += 1
            if epoch > self.epoch(now) + limit.cells + 1:
                break
        return epoch * limit.cell_us

    def charge(self, now: int, amount: int, member: bytes) -> None:
        if self.limit.kind == ROLLING:
            self.log.append(Entry(now, amount))
        elif self.limit.kind == CALENDAR:
            self.count += amount
        elif self.limit.kind == CONCURRENCY:
            self.leases[member] = now + self.limit.span_us
        else:
            self.tat = max(self.tat, Fraction(now)) + amount * self.limit.interval

    def turn(self, wall: int) -> Optional[int]:
        """Moves a calendar window on; the instant to raise the wall time to, if it lies behind."""
        if wall < self.window[0]:
            return self.window[0]
        if wall >= self.window[1]:
            start, end, _ = self.limit.window(wall)
            self.window, self.count = (max(start, self.window[1]), end), 0
        return None

    def settle(self, now: int, back: int, more: int, place: int) -> None:
        limit = self.limit
        if limit.kind == ROLLING:
            for entry in self.log:
                if back and self.epoch(entry.at) == place and place >= self.epoch(now) - limit.cells:
                    step = min(back, entry.amount)
                    entry.amount -= step
                    back -= step
            if more:
                self.log.append(Entry(now, more, more))
        elif limit.kind == CALENDAR:
            if place == self.window[0]:
                self.count = max(0, self.count - back)
            self.count += more
        elif limit.kind == BUCKET:
            tat = max(Fraction(now), self.tat - back * limit.interval)
            self.tat = min(tat + more * limit.interval, Fraction(MOST))

    def reload(self, new: Limit, now: int) -> None:
        """Other parameters: the level stays in units; parts of a unit against the caller."""
        old, self.limit = self.limit, new
        if new.kind == BUCKET and old.interval:
            level = old.limit - (max(self.tat, Fraction(now)) - now) / old.interval
            tat = now + (new.limit - min(level, new.limit)) * new.interval
            self.tat = min(tat, Fraction(MOST))
