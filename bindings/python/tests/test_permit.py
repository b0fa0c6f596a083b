"""Permits: each is ended once, by whichever way comes first."""

from __future__ import annotations

import gc
from typing import Any, Callable

import pytest
from conftest import Open, parallel, policy, remaining, requests, tokens

import admission
from admission import Permit, Settlement

LIMITS = (requests(10), tokens(1_000), parallel(2))


@pytest.fixture
def gate(open_limiter: Open) -> admission.Gate:
    return open_limiter(policy(*LIMITS)).gate()


def left(gate: admission.Gate) -> tuple[int, int, int]:
    """Requests, tokens and slots that are left."""
    return remaining(gate, "rpm"), remaining(gate, "tpm"), remaining(gate, "parallel")


def test_complete_books_the_real_usage(gate: admission.Gate) -> None:
    permit = gate.acquire(input_tokens=300)
    assert left(gate) == (9, 700, 1)
    assert permit.complete(input_tokens=250, output_tokens=80) is Settlement.SETTLED
    assert left(gate) == (9, 750, 2)
    gate.acquire(input_tokens=100).complete()  # as charged
    assert left(gate) == (8, 650, 2)
    gate.acquire(input_tokens=100).complete(0, input_tokens=150)
    assert left(gate) == (8, 500, 2)


def test_a_lower_bound_gives_nothing_back(gate: admission.Gate) -> None:
    gate.acquire(input_tokens=100).complete(input_tokens=10, exact=False)
    assert left(gate) == (9, 900, 2)
    gate.acquire(input_tokens=100).complete(input_tokens=300, exact=False)
    assert left(gate) == (8, 600, 2)


def test_usage_above_the_limit_becomes_debt(gate: admission.Gate) -> None:
    gate.acquire(input_tokens=100).complete(input_tokens=5_000)
    decision = gate.try_acquire()
    assert not decision and decision.reason == "debt"


def test_add_charges_as_a_stream_goes(gate: admission.Gate) -> None:
    with gate.acquire(input_tokens=100) as permit:
        for _ in range(3):
            assert permit.add(input_tokens=50) is Settlement.SETTLED
        assert left(gate) == (9, 750, 1)
        permit.complete()
    assert left(gate) == (9, 750, 2)


def test_abandon_gives_everything_back_and_drop_nothing(gate: admission.Gate) -> None:
    assert gate.acquire(input_tokens=100).abandon() is Settlement.SETTLED
    assert left(gate) == (10, 1_000, 2)
    assert gate.acquire(input_tokens=100).drop() is Settlement.SETTLED
    assert left(gate) == (9, 900, 2)


ENDS: list[Callable[[Permit], Any]] = [
    lambda permit: permit.complete(),
    lambda permit: permit.complete(input_tokens=1),
    lambda permit: permit.complete(requests=1),
    lambda permit: permit.complete(input_tokens=1, exact=False),
    lambda permit: permit.abandon(),
    lambda permit: permit.drop(),
]


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", [*ENDS, lambda permit: permit.add(1), Permit.renew])
def test_the_second_end_is_told_so_and_changes_nothing(
    gate: admission.Gate, first: Callable[[Permit], Any], second: Callable[[Permit], Any]
) -> None:
    permit = gate.acquire(input_tokens=10)
    first(permit)
    before = left(gate)
    for _ in range(2):
        with pytest.raises(admission.AlreadyCompleted) as raised:
            second(permit)
        assert raised.value.name == "already_completed"
    assert left(gate) == before


def test_an_ended_permit_never_touches_the_next_one(gate: admission.Gate) -> None:
    first = gate.acquire(input_tokens=10)
    first.complete()
    second = gate.acquire(input_tokens=10)  # in the same frame
    with pytest.raises(admission.AlreadyCompleted):
        first.add(input_tokens=100)
    with pytest.raises(admission.AlreadyCompleted):
        first.abandon()
    assert left(gate) == (8, 980, 1)
    second.abandon()
    assert left(gate) == (9, 990, 2)


def test_with_drops_what_was_not_ended(gate: admission.Gate) -> None:
    with gate.acquire(input_tokens=100) as permit:
        assert left(gate) == (9, 900, 1)
    assert left(gate) == (9, 900, 2)
    with pytest.raises(admission.AlreadyCompleted):
        permit.complete()


def test_with_drops_on_an_exception_which_passes(gate: admission.Gate) -> None:
    with pytest.raises(ConnectionResetError):
        with gate.acquire(input_tokens=100):
            raise ConnectionResetError
    assert left(gate) == (9, 900, 2)


def test_with_leaves_an_ended_permit_alone(gate: admission.Gate) -> None:
    with gate.acquire(input_tokens=100) as permit:
        permit.complete(input_tokens=50)
    assert left(gate) == (9, 950, 2)
    with pytest.raises(KeyError):
        with gate.acquire(input_tokens=100) as permit:
            permit.abandon()
            raise KeyError
    assert left(gate) == (9, 950, 2)


@pytest.mark.parametrize("verb", ["acquire", "try_acquire"])
@pytest.mark.parametrize("not_sent", [ConnectionRefusedError, (KeyError, ConnectionError)])
def test_an_exception_that_means_not_sent_abandons(
    gate: admission.Gate, verb: str, not_sent: Any
) -> None:
    def permit() -> Permit:
        taken = getattr(gate, verb)(input_tokens=100, not_sent=not_sent)
        assert isinstance(taken, Permit)
        return taken

    with pytest.raises(ConnectionRefusedError):
        with permit():
            raise ConnectionRefusedError
    assert left(gate) == (10, 1_000, 2)
    with pytest.raises(TimeoutError):
        with permit():
            raise TimeoutError
    assert left(gate) == (9, 900, 2)


@pytest.mark.parametrize("not_sent", [KeyError(), "KeyError", (KeyError, 3), [KeyError]])
def test_not_sent_holds_exception_classes_only(gate: admission.Gate, not_sent: Any) -> None:
    with pytest.raises(admission.ArgumentTypeError, match="exception classes are needed"):
        gate.acquire(not_sent=not_sent)
    assert left(gate) == (10, 1_000, 2)


@pytest.mark.parametrize("name", ["requests", "input_tokens", "output_tokens", "images"])
@pytest.mark.parametrize("value", [1.0, True, "1", 2**63, -(2**70), -1, -2])
def test_usage_that_is_no_amount_is_refused_and_leaves_the_permit_open(
    gate: admission.Gate, name: str, value: Any
) -> None:
    permit = gate.acquire(input_tokens=100)
    for verb in (permit.complete, permit.add):
        with pytest.raises(admission.ArgumentError) as raised:
            verb(**{name: value})
        small = type(value) is int and -(2**63) <= value < 0
        assert raised.value.name == ("negative_usage" if small else "invalid_argument")
        assert name in raised.value.message
    assert left(gate) == (9, 900, 1)
    permit.complete(input_tokens=1)
    assert left(gate) == (9, 999, 2)


def test_exact_is_a_bool(gate: admission.Gate) -> None:
    permit = gate.acquire()
    for value in (1, 0, None, "yes"):
        wrong: Any = value
        with pytest.raises(admission.ArgumentTypeError, match="exact is"):
            permit.complete(exact=wrong)
    permit.complete()


def test_a_permit_that_is_let_go_is_dropped(gate: admission.Gate) -> None:
    permit = gate.acquire(input_tokens=100)
    decision = gate.try_acquire(input_tokens=100)
    assert left(gate) == (8, 800, 0)
    del permit
    assert left(gate) == (8, 800, 1)
    del decision
    assert left(gate) == (8, 800, 2)


def test_finalisers_may_run_in_any_order(open_limiter: Open) -> None:
    for order in ("lgp", "lpg", "glp", "gpl", "plg", "pgl"):
        limiter = admission.Limiter(policy(*LIMITS), "memory:", clock="manual")
        things = {"l": limiter, "g": limiter.gate()}
        things["p"] = things["g"].acquire()  # type: ignore[attr-defined]
        del limiter
        for name in order:
            del things[name]
            gc.collect()


def test_permits_in_a_cycle_are_dropped_by_the_collector(gate: admission.Gate) -> None:
    class Holder:
        permit: Permit
        itself: Any

    holder = Holder()
    holder.itself, holder.permit = holder, gate.acquire()
    del holder
    gc.collect()
    assert left(gate) == (9, 1_000, 2)


def test_a_lease_that_ran_out_is_told_and_still_settled(open_limiter: Open) -> None:
    limiter = open_limiter(
        policy(tokens(1_000), parallel(1, lease="1s", max_hold="2s")), heartbeat="manual"
    )
    gate = limiter.gate()
    permit = gate.acquire(input_tokens=100)
    limiter.advance(500_000_000)
    assert permit.renew() is Settlement.SETTLED
    limiter.advance(1_100_000_000)
    other = gate.acquire()
    assert permit.complete(input_tokens=40) is Settlement.LEASE_EXPIRED
    assert remaining(gate, "tpm") == 960
    assert not gate.try_acquire()  # the slot is the other's
    other.drop()


def test_more_permits_than_frames_are_kept(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10_000)), permit_capacity=1_000)
    gate = limiter.gate()
    permits = [gate.acquire() for _ in range(1_000)]
    with pytest.raises(admission.AdmissionError) as raised:
        gate.try_acquire()
    assert raised.value.name == "permit_table_full"
    for permit in permits:
        permit.complete()
    assert limiter.snapshot()["permits_open"] == 0
    assert gate.try_acquire().remaining == 8_999
