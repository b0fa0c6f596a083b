"""What a worker under load shares with its driver: one mapped file, laid out as drivelog.h says."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = 0x474F4C4D4441
HEADER_WORDS = 64
RECORD_WORDS = 8

(CAPACITY, BINS, BIN_NS, ORIGIN_NS, SEED, FOR_NS, HOLD_NS, POLL_NS, MOST, LARGEST, MIXED_ENDS,
 EVERY, RENEWS, RAMP_NS, RAMP_HOLD_NS) = range(1, 16)
(STOP, MARK, WRITTEN, ADMITTED, REFUSED, HELD, ERRORS, LAST_ERROR, UNITS, EXPIRED, STARTED_NS,
 ENDED_NS, PID, OPERATIONS) = range(16, 30)

OPERATIONS_BY_MARK = ("none", "acquire", "complete", "abandon", "drop", "renew")
DECISION, END = 1, 2
IS_ADMITTED = 1
REASONS = ("none", "exceeds_limit", "concurrency", "exhausted", "debt", "boundary_guard",
           "store_unavailable")
"""Of refusals, by their numbers."""

_RECORD = struct.Struct("<8q")


class Record(NamedTuple):
    """A decision, or the end of a permit (then ``at`` is what went back)."""

    kind: int
    at: int
    at_unix: int
    cost: int
    outcome: int
    permit: int  # refused: the number of the reason
    called: int
    returned: int


class Frozen(NamedTuple):
    """Records as they were, to be looked into later."""

    raw: list[bytes]
    has_lost: bool  # whether older ones were overwritten

    def records(self) -> Iterator[Record]:
        for raw in self.raw:
            yield Record(*_RECORD.unpack(raw))


class DriveLog:
    """A log that a driver makes and reads, and that a worker maps and writes."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self.map).cast("q")

    @classmethod
    def make(cls, path: str, capacity: int, **parameters: int) -> DriveLog:
        """A log of these parameters, by the names in drivelog.h in lower case."""
        bins = parameters.get("bins", 0)
        with open(path, "wb") as file:
            os.ftruncate(file.fileno(), (HEADER_WORDS + bins + RECORD_WORDS * capacity) * 8)
        log = cls(path)
        log.words[CAPACITY] = capacity
        for name, value in parameters.items():
            log.words[globals()[name.upper()]] = value
        log.words[0] = MAGIC
        return log

    def __getitem__(self, word: int) -> int:
        return self.words[word]

    def stop(self) -> None:
        """Asks the worker to end its permits and come back."""
        self.words[STOP] = 1

    @property
    def mark(self) -> str:
        """The operation that is under way, or was when the worker died."""
        return OPERATIONS_BY_MARK[self.words[MARK]]

    def bins(self) -> memoryview:
        """What was admitted and not given back, by the decisions' instants."""
        return self.words[HEADER_WORDS : HEADER_WORDS + self.words[BINS]]

    def frozen(self) -> Frozen:
        """A copy of the records that the ring holds, oldest first; those that a worker at work
        overwrites meanwhile are left out."""
        capacity, written = self.words[CAPACITY], self.words[WRITTEN]
        start = (HEADER_WORDS + self.words[BINS]) * 8
        first = max(0, written - capacity)
        copy = [
            self.map[start + n % capacity * 64 : start + n % capacity * 64 + 64]
            for n in range(first, written)
        ]
        lost = max(0, self.words[WRITTEN] - capacity + 1 - first) if first else 0
        return Frozen(copy[lost:], first + lost > 0)

    def records(self) -> Iterator[Record]:
        """The records that the ring holds, oldest first."""
        return self.frozen().records()

    def close(self) -> None:
        self.words.release()
        self.map.close()
