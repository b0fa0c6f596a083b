"""Forked children share their parent's limiter; permits belong to one process."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from typing import Any

import pytest
from conftest import Open, parallel, policy, remaining, requests
from processes import in_child

import admission


def test_parent_and_children_share_the_counters(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10))).gate()
    gate.try_charge()

    def child() -> int:
        return sum(bool(gate.try_charge()) for _ in range(4))

    assert [in_child(child) for _ in range(3)] == [4, 4, 1]
    assert not gate.try_charge()


def test_a_child_completes_its_own_permits(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10), parallel(2))).gate()
    held = gate.acquire()

    def child() -> tuple[bool, int]:
        with gate.acquire() as permit:
            permit.complete()
        with gate.acquire():
            refused = not gate.try_acquire()
        return refused, remaining(gate, "rpm")

    assert in_child(child) == (True, 7)
    assert remaining(gate, "parallel") == 1
    held.complete()
    assert remaining(gate, "parallel") == 2


def test_a_permit_of_the_parent_is_not_the_childs_to_end(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10), parallel(1))).gate()
    permit = gate.acquire()

    def child() -> list[str]:
        names = []
        for end in (permit.complete, permit.abandon, permit.drop, permit.renew, permit.complete):
            with pytest.raises(admission.NotOwner) as raised:
                end()
            names.append(raised.value.name)
        with pytest.raises(admission.NotOwner):
            permit.complete(requests=0)
        with pytest.raises(admission.NotOwner):
            permit.add(1)
        return names

    assert in_child(child) == ["not_owner"] * 5
    assert (remaining(gate, "rpm"), remaining(gate, "parallel")) == (9, 0)
    permit.abandon()
    assert (remaining(gate, "rpm"), remaining(gate, "parallel")) == (10, 1)


def test_a_child_that_leaves_its_parents_block_changes_nothing(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10), parallel(1))).gate()
    permits = [gate.acquire()]

    def child() -> int:
        with permits[0]:
            pass
        with pytest.raises(KeyError):
            with permits[0]:
                raise KeyError
        permits.clear()
        gc.collect()
        return remaining(gate, "parallel")

    assert in_child(child) == 0
    assert remaining(gate, "parallel") == 0
    permits[0].complete()
    assert remaining(gate, "parallel") == 1


def test_a_child_may_close_what_the_parent_goes_on_with(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10)))
    gate = limiter.gate()

    def child() -> str:
        limiter.close()
        with pytest.raises(admission.AdmissionError) as raised:
            gate.try_charge()
        return raised.value.name

    assert in_child(child) == "closed"
    assert gate.try_charge()


def test_forking_beside_threads_that_decide_leaves_a_working_child(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10**9), parallel(100))).gate()
    done = threading.Event()

    def decide() -> None:
        while not done.is_set():
            gate.acquire().complete()

    threads = [threading.Thread(target=decide) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: bool(gate.acquire().complete() == 0))
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _share(gate: admission.Gate, results: Any) -> None:
    results.put(sum(bool(gate.try_charge()) for _ in range(6)))


def test_multiprocessing_with_fork_shares_the_limiter(open_limiter: Open) -> None:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    gate = open_limiter(policy(requests(10))).gate()
    workers = [context.Process(target=_share, args=(gate, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert results.get() + results.get() == 10


def _open_apart(document: dict[str, Any], results: Any) -> None:
    with admission.Limiter(document, "memory:", clock="manual") as limiter:
        results.put([bool(limiter.gate().try_charge()) for _ in range(2)])


def test_multiprocessing_with_spawn_opens_limiters_of_its_own(open_limiter: Open) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    worker = context.Process(target=_open_apart, args=(policy(requests(1)), results))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert results.get() == [True, False]
    limiter = open_limiter(policy(requests(1)))
    with pytest.raises(TypeError, match="can't be pickled"):
        context.Process(target=_share, args=(limiter.gate(), results)).start()
