"""Threads share limiters, gates and frames."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Callable, Iterator

import pytest
from conftest import Open, parallel, policy, remaining, requests, tokens

import admission


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Makes the interpreter change threads between almost any two instructions."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Runs ``work`` on ``count`` threads that start together; the first failure is raised."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_threads_together_are_admitted_exactly_the_limit(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(5_000))).gate()
    admitted = [0] * 8

    def work(number: int) -> None:
        for _ in range(1_000):
            decision = gate.try_acquire()
            if decision:
                admitted[number] += 1
                assert decision.permit is not None
                decision.permit.complete()

    at_once(8, work)
    assert sum(admitted) == 5_000


def test_no_amount_is_mixed_up_with_another_threads(open_limiter: Open) -> None:
    gate = open_limiter(policy(tokens(10**9), parallel(1_000))).gate()

    def work(number: int) -> None:
        for step in range(500):
            permit = gate.acquire(input_tokens=number * 1_000 + step)
            assert permit.asked in (number * 1_000 + step, 1)
            permit.complete(input_tokens=number * 100 + step)

    at_once(8, work)
    used = sum(number * 100 + step for number in range(8) for step in range(500))
    assert remaining(gate, "tpm") == 10**9 - used
    assert remaining(gate, "parallel") == 1_000


def test_of_two_threads_that_end_a_permit_one_does(open_limiter: Open) -> None:
    gate = open_limiter(policy(tokens(10**9), parallel(1_000))).gate()
    used = 0
    for _ in range(200):
        permit = gate.acquire(input_tokens=100)
        outcomes: list[int] = []

        def end(number: int, permit: admission.Permit = permit) -> None:
            try:
                permit.complete(input_tokens=number + 1)
                outcomes.append(number + 1)
            except admission.AlreadyCompleted:
                other = gate.acquire(input_tokens=7)  # takes the frame that the winner gave back
                other.abandon()

        at_once(3, end)
        assert len(outcomes) == 1
        used += outcomes[0]
        assert remaining(gate, "tpm") == 10**9 - used
    assert remaining(gate, "parallel") == 1_000


def test_adding_races_with_ending_and_never_touches_another_permit(open_limiter: Open) -> None:
    gate = open_limiter(policy(tokens(10**9), parallel(1_000))).gate()
    for _ in range(100):
        permit = gate.acquire(input_tokens=1)
        before = remaining(gate, "tpm")

        def work(number: int, permit: admission.Permit = permit) -> None:
            if number == 0:
                permit.complete(input_tokens=1)
                return
            for _ in range(5):
                try:
                    permit.add(input_tokens=10)
                except admission.AlreadyCompleted:
                    break
            gate.acquire(input_tokens=50).abandon()

        at_once(3, work)
        # What was added before the end is part of the whole usage of 1.
        assert remaining(gate, "tpm") == before


def test_a_permit_may_end_on_another_thread(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10_000), parallel(1_000)))
    gate = limiter.gate()
    permits: queue.SimpleQueue[admission.Permit] = queue.SimpleQueue()

    def work(number: int) -> None:
        for _ in range(500):
            if number % 2:
                permits.put(gate.acquire())
            else:
                permits.get().complete()

    at_once(4, work)
    assert limiter.snapshot()["permits_open"] == 0
    assert remaining(gate, "rpm") == 9_000


def test_closing_beside_decisions_ends_them_with_closed(open_limiter: Open) -> None:
    for _ in range(10):
        limiter = open_limiter(policy(requests(10**6)))
        gate = limiter.gate()

        def work(number: int, limiter: admission.Limiter = limiter) -> None:
            if number == 0:
                gate.try_charge()
                limiter.close()
                return
            with pytest.raises(admission.AdmissionError) as raised:
                while True:
                    gate.acquire().complete()
            assert raised.value.name == "closed"

        at_once(3, work)


def test_reloads_beside_decisions_lose_nothing(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10**6)))
    gate = limiter.gate()

    def work(number: int) -> None:
        for step in range(200):
            if number == 0 and step % 10 == 0:
                limiter.reload(policy(requests(10**6 + step)))
            gate.acquire().complete()

    at_once(4, work)
    assert gate.explain()["limits"][0]["used"] == 800
