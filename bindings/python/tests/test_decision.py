"""Decisions: what they say, and what is refused before one is made."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from conftest import START_UNIX_NS, Open, parallel, policy, remaining, requests, tokens

import admission

MAX = 2**63 - 1


def test_an_admitted_decision_is_true_and_names_the_tightest_limit(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10), tokens(1_000)))
    limiter.advance(5)
    decision = limiter.gate().try_acquire(input_tokens=600)
    assert decision and decision.admitted and decision.permit is decision
    assert (decision.policy_name, decision.limit_name) == ("p", "tpm")
    assert (decision.limit, decision.asked, decision.remaining) == (1_000, 600, 400)
    assert (decision.reason, decision.is_never) == (None, False)
    assert (decision.retry_after, decision.retry_after_ns) == (0.0, 0)
    assert decision.decided_at_unix_ns == START_UNIX_NS + 5
    assert decision.predicted_start_unix_ns == START_UNIX_NS + 5
    assert decision.predicted_start == pytest.approx(START_UNIX_NS / 1e9)
    assert decision.store_mode == "memory"
    assert str(decision) == "admitted: p/tpm, 400 of 1000 left"
    assert repr(decision) == "<Permit admitted: p/tpm, 400 of 1000 left>"


def test_a_rejection_is_false_and_says_when_to_come_back(open_limiter: Open) -> None:
    bucket = {"name": "pace", "count": "requests", "rate": "2/s", "burst": 2}
    limiter = open_limiter(policy(bucket))
    gate = limiter.gate()
    gate.try_charge(2)
    decision = gate.try_acquire()
    assert not decision and decision.permit is None and not decision.admitted
    assert decision.reason == "exhausted"
    assert (decision.retry_after_ns, decision.retry_after) == (500_000_000, 0.5)
    assert decision.predicted_start_unix_ns == START_UNIX_NS + 500_000_000
    assert "rejected: exhausted: p/pace, 0 of 2 left, 1 asked; retry: after 0.5 s" in str(decision)
    limiter.advance(499_999_999)
    assert not gate.try_acquire()
    limiter.advance(1)
    assert gate.try_acquire()


def test_never_and_unknown_have_no_instant(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(5), parallel(1))).gate()
    never = gate.try_acquire(6)
    assert never.is_never and never.reason == "exceeds_limit"
    assert never.retry_after is None and never.predicted_start is None
    assert "retry: never" in str(never)
    with gate.acquire():
        unknown = gate.try_acquire()
    assert not unknown.is_never and unknown.reason == "concurrency"
    assert unknown.retry_after_ns is None and unknown.predicted_start_unix_ns is None
    assert "retry: unknown" in str(unknown)


def test_where_no_limit_applies_there_is_no_name(open_limiter: Open) -> None:
    document = policy(requests(), match={"project": "acme"})
    decision = open_limiter(document).gate().try_charge()
    assert decision and decision.permit is None
    assert decision.limit_name is None and decision.policy_name is None
    assert str(decision) == "admitted: no limit applies"


def test_a_decision_outlives_its_permit_its_gate_and_its_limiter(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(10)))
    first = limiter.gate().try_acquire()
    assert first.permit is not None
    first.permit.complete()
    second = limiter.gate().try_acquire(3)
    limiter.close()
    del limiter
    assert (first.limit_name, first.remaining) == ("rpm", 9)
    assert (second.policy_name, second.remaining) == ("p", 6)


def test_acquire_returns_the_permit_or_raises_the_rejection(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(1))).gate()
    permit = gate.acquire()
    assert isinstance(permit, admission.Permit)
    with pytest.raises(admission.Rejected, match="exhausted") as raised:
        gate.acquire()
    assert raised.value.decision.limit_name == "rpm"
    assert not isinstance(raised.value, admission.AdmissionError)


def test_a_timeout_is_fine_where_nobody_has_to_wait(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(2))).gate()
    for timeout in (30, 0.5, 1e300, float("inf"), 0.0):
        gate.acquire(timeout=timeout).abandon()
    with pytest.raises(admission.Rejected):
        gate.acquire(3, timeout=30)  # never
    gate.acquire(2)
    with pytest.raises(admission.AdmissionError) as raised:
        gate.acquire(timeout=30)
    assert raised.value.code == admission.Status.NOT_SUPPORTED
    assert remaining(gate, "rpm") == 0


@pytest.mark.parametrize("timeout", [-1, -0.1, float("nan"), None, "1", True])
def test_a_timeout_that_is_none_is_refused(open_limiter: Open, timeout: Any) -> None:
    gate = open_limiter(policy(requests(2))).gate()
    with pytest.raises(admission.ArgumentError) as raised:
        gate.acquire(timeout=timeout)
    assert raised.value.name == "invalid_timeout"
    assert remaining(gate, "rpm") == 2


@pytest.mark.parametrize("name", ["requests", "input_tokens", "output_tokens", "images"])
@pytest.mark.parametrize("verb", ["try_acquire", "acquire", "try_charge", "explain"])
@pytest.mark.parametrize("value", [1.0, True, False, None, "1", MAX + 1, -(2**63) - 1, 2**200, -1])
def test_amounts_that_are_no_int64_are_refused_by_name(
    open_limiter: Open, name: str, verb: str, value: Any
) -> None:
    images = {"name": "images", "count": "images", "limit": MAX % 10**12, "window": "1m"}
    limits = [requests(10), tokens(10), images]
    gate = open_limiter(policy(*limits)).gate()
    before = gate.explain()
    with pytest.raises(admission.ArgumentError) as raised:
        getattr(gate, verb)(**{name: value})
    if value == -1:
        assert raised.value.name == "negative_cost"
    else:
        assert raised.value.name == "invalid_argument"
        assert name in raised.value.message
        assert isinstance(raised.value, TypeError) == (not type(value) is int)
    assert gate.explain() == before


def test_the_largest_amount_arrives_whole(open_limiter: Open) -> None:
    gate = open_limiter(policy(tokens(10**12))).gate()
    for amount in (2**31, 2**32 + 1, 2**40 - 1):
        gate.acquire(input_tokens=amount % 10**12).abandon()
    decision = gate.try_acquire(input_tokens=MAX)
    assert decision.is_never and decision.asked == MAX
    assert gate.try_acquire(input_tokens=10**12).remaining == 0


def test_what_counts_as_an_index_is_an_int(open_limiter: Open) -> None:
    class Three:
        def __index__(self) -> int:
            return 3

    gate = open_limiter(policy(requests(10), tokens(10))).gate()
    three: Any = Three()
    permit = gate.acquire(three, three)
    permit.complete(input_tokens=three)
    assert (remaining(gate, "rpm"), remaining(gate, "tpm")) == (7, 7)


def test_counts_of_any_name_are_counted(open_limiter: Open) -> None:
    def count(name: str) -> dict[str, Any]:
        return {"name": name, "count": name, "limit": 10, "window": "1m"}

    names = ("images", "größe in px", "timeout")
    gate = open_limiter(policy(*map(count, names))).gate()
    with gate.acquire(images=2, extra={"größe in px": 3, "timeout": 4}) as permit:
        permit.complete(images=1, extra={"größe in px": 5})
    assert [remaining(gate, name) for name in names] == [9, 5, 6]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"requests": 1}, "invalid_count"),
        ({"tokens": 1}, "invalid_count"),
        ({"concurrency": 1}, "invalid_count"),
        ({"": 1}, "invalid_count"),
        ({"nul\0": 1}, "invalid_count"),
        ({"\ud800": 1}, "invalid_utf8"),
        ({1: 1}, "invalid_count"),
        ({"x" * 256: 1}, "invalid_count"),
        ({f"count {n}": 1 for n in range(33)}, "invalid_count"),
        ([("images", 1)], "invalid_count"),
    ],
)
def test_counts_that_cannot_stand_there_are_refused(
    open_limiter: Open, extra: Any, code: str
) -> None:
    gate = open_limiter(policy(requests(10))).gate()
    with pytest.raises(admission.ArgumentError) as raised:
        gate.try_acquire(extra=extra)
    assert raised.value.name == code
    with gate.acquire() as permit:
        with pytest.raises(admission.ArgumentError):
            permit.complete(extra=extra)
        permit.abandon()
    assert remaining(gate, "rpm") == 10


def test_a_count_given_twice_is_refused(open_limiter: Open) -> None:
    gate = open_limiter(policy(requests(10))).gate()
    with pytest.raises(admission.ArgumentError, match="'images' is there twice"):
        gate.try_acquire(images=1, extra={"images": 1})


def test_try_charge_takes_no_permit(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(2)))
    gate = limiter.gate()
    assert [bool(gate.try_charge()) for _ in range(3)] == [True, True, False]
    assert limiter.snapshot()["permits_open"] == 0
    with pytest.raises(admission.ArgumentError) as raised:
        open_limiter(policy(parallel(1))).gate().try_charge()
    assert raised.value.name == "concurrency_needs_permit"


def test_explain_says_what_would_bind_and_what_nothing_met(open_limiter: Open) -> None:
    idle = {"name": "images", "count": "images", "limit": 10, "window": "1m"}
    gate = open_limiter(policy(requests(2), tokens(10), idle)).gate()
    gate.try_charge(1, 9)
    shown = gate.explain(input_tokens=2)
    limits = {each["limit"]: each for each in shown["limits"]}
    assert limits["tpm"]["remaining"] == 1 and limits["tpm"]["outcome"] == "reject"
    assert limits["tpm"]["binds"] and not limits["rpm"]["binds"]
    assert [each["limit"] for each in shown["unused"]] == ["images"]


def test_nothing_of_a_process_can_be_pickled(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(2)))
    gate = limiter.gate()
    for thing in (limiter, gate, gate.try_acquire(), gate.try_charge(9)):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(thing)
