"""The load loop, as in drive.h, step by step."""

from __future__ import annotations

import os
import select
import time
from typing import Optional

import drivelog as d

import admission

_ACQUIRE, _COMPLETE, _ABANDON, _DROP, _RENEW = range(1, 6)
_REJECTED = 2
_LEASE_EXPIRED = 402
_MASK = (1 << 64) - 1

monotonic_ns = time.monotonic_ns


def pause(nanoseconds: int) -> None:
    """A caller's pause: the call that it makes, or the time until it asks again."""
    select.select([], [], [], nanoseconds / 1e9)


class _Held:
    """A permit under way, its number in the log, its cost, and its bin's word or None."""

    __slots__ = ("permit", "number", "cost", "bin")

    def __init__(self, permit: admission.Permit, number: int, cost: int, bin: Optional[int]):
        self.permit, self.number, self.cost, self.bin = permit, number, cost, bin


class _Drive:
    def __init__(self, gate: admission.Gate, log: d.DriveLog) -> None:
        self.gate = gate
        self.log = log
        self.words = log.words
        self.ring_start = d.HEADER_WORDS + log[d.BINS]
        self.random = log[d.SEED]
        self.numbers = 0
        self.held: list[_Held] = []
        self.cost = self.next_cost()

    def next_random(self) -> int:
        """xorshift64 (Marsaglia 2003)."""
        state = self.random
        state ^= state << 13 & _MASK
        state ^= state >> 7
        state ^= state << 17 & _MASK
        self.random = state
        return state

    def next_cost(self) -> int:
        return 1 + self.next_random() % self.words[d.LARGEST]

    def write(self, *fields: int) -> None:
        words = self.words
        start = self.ring_start + words[d.WRITTEN] % words[d.CAPACITY] * d.RECORD_WORDS
        for index, field in enumerate(fields):
            words[start + index] = field
        words[start + 7] = monotonic_ns()
        words[d.WRITTEN] += 1

    def bin_of(self, at: int) -> Optional[int]:
        words = self.words
        if not words[d.BINS]:
            return None
        bin = (at - words[d.ORIGIN_NS]) // words[d.BIN_NS]
        if not 0 <= bin < words[d.BINS]:
            words[d.ERRORS] += 1
            return None
        return d.HEADER_WORDS + int(bin)

    def note_error(self, failure: admission.AdmissionError) -> None:
        self.words[d.ERRORS] += 1
        self.words[d.LAST_ERROR] = int(failure.code)

    def acquire(self) -> None:
        words = self.words
        called = monotonic_ns()
        words[d.MARK] = _ACQUIRE
        try:
            decision = self.gate.try_acquire(input_tokens=self.cost)
        except admission.AdmissionError as failure:
            words[d.MARK] = 0
            self.note_error(failure)
            pause(1_000_000)
            return
        words[d.MARK] = 0
        words[d.OPERATIONS] += 1
        permit = decision.permit
        at, at_unix = decision.decided_at_ns, decision.decided_at_unix_ns
        if permit is None:
            self.refused(decision, called)
            return
        self.numbers += 1
        held = _Held(permit, self.numbers, self.cost, self.bin_of(at))
        if held.bin is not None:
            words[held.bin] += self.cost
        self.write(d.DECISION, at, at_unix, self.cost, d.IS_ADMITTED, held.number, called)
        words[d.ADMITTED] += 1
        words[d.UNITS] += self.cost
        self.held.append(held)
        words[d.HELD] += 1
        self.cost = self.next_cost()
        if words[d.HOLD_NS]:
            is_ramp = monotonic_ns() - words[d.STARTED_NS] < words[d.RAMP_NS]
            pause(words[d.RAMP_HOLD_NS if is_ramp else d.HOLD_NS])

    def refused(self, decision: admission.Decision, called: int) -> None:
        words = self.words
        words[d.REFUSED] += 1
        if words[d.EVERY]:
            self.write(
                d.DECISION, decision.decided_at_ns, decision.decided_at_unix_ns, self.cost,
                _REJECTED, d.REASONS.index(decision.reason or "none"), called,
            )
        if words[d.RENEWS] and self.held:
            words[d.MARK] = _RENEW
            try:
                self.held[0].permit.renew()
            except admission.AdmissionError as failure:
                self.note_error(failure)
            words[d.MARK] = 0
            words[d.OPERATIONS] += 1
        if words[d.POLL_NS]:
            pause(words[d.POLL_NS])

    def end(self, choice: int) -> None:
        words = self.words
        held = self.held.pop(0)
        words[d.HELD] -= 1
        operation, back = _COMPLETE, 0
        usage: Optional[int] = None
        if words[d.MIXED_ENDS]:
            kind = choice % 8
            if kind < 2:
                usage = held.cost // 2
                back = held.cost - usage
            elif kind == 2:
                operation, back = _ABANDON, held.cost
            elif kind == 3:
                operation = _DROP
        # What goes back leaves its bin first: who dies in between is counted with less, never more.
        if held.bin is not None:
            words[held.bin] -= back
        called = monotonic_ns()
        words[d.MARK] = operation
        try:
            if operation == _ABANDON:
                status = int(held.permit.abandon())
            elif operation == _DROP:
                status = int(held.permit.drop())
            else:
                status = int(held.permit.complete(input_tokens=usage))
        except admission.AdmissionError as failure:
            self.note_error(failure)
            status = int(failure.code)
        words[d.MARK] = 0
        words[d.OPERATIONS] += 1
        if status == _LEASE_EXPIRED:
            words[d.EXPIRED] += 1
        self.write(d.END, back, operation, held.cost, status, held.number, called)

    def run(self) -> None:
        words = self.words
        words[d.PID] = os.getpid()
        start = words[d.STARTED_NS] = monotonic_ns()
        end = start + words[d.FOR_NS]
        while not words[d.STOP] and monotonic_ns() < end:
            choice = self.next_random() >> 8
            count = len(self.held)
            if count == words[d.MOST] or (count > 0 and choice % 4 == 0):
                self.end(choice >> 8)
            else:
                self.acquire()
        while self.held:
            self.end(7)
        words[d.ENDED_NS] = monotonic_ns()


def drive(gate: admission.Gate, path: str) -> None:
    """Loads one gate as the log at ``path`` says."""
    log = d.DriveLog(path)
    run = _Drive(gate, log)
    run.run()
    del run
    log.close()
