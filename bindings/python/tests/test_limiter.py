"""Limiters: opening, attributes, clocks, what an operator sees, and the end."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import START_UNIX_NS, Open, policy, requests

import admission

PER_PROJECT = policy(requests(2), per=["project"])


def test_each_set_of_attributes_has_counters_of_its_own(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(1), per=["project", "user-id"]))
    acme = limiter.gate({"user-id": "7"}, project="acme")
    same = limiter.gate([("project", "acme"), ("user-id", "7")])
    other = limiter.gate({"user-id": "8", "project": "acme", "ignored": ""})
    assert acme.try_charge() and not same.try_charge() and other.try_charge()


@pytest.mark.parametrize(
    ("attributes", "code", "text"),
    [
        ({}, "missing_attribute", "project"),
        ([("project", "a"), ("project", "b")], "duplicate_attribute", "project"),
        ({"project": "a\0b"}, "invalid_attribute", "'project' holds NUL at character 1"),
        ({"pro\0ject": "a"}, "invalid_attribute", "NUL at character 3"),
        ({"project": 7}, "invalid_attribute", "'project' is 7: text is needed"),
        ({"project": None}, "invalid_attribute", "'project' is None"),
        ({"project": True}, "invalid_attribute", "'project' is True"),
        ({"project": b"acme"}, "invalid_attribute", "'project' is b'acme'"),
        ({1: "a"}, "invalid_attribute", "name is 1"),
        ({"project": "\udcff"}, "invalid_utf8", "'project': character 0"),
        ({"project": "a", "": "b"}, "invalid_attribute", ""),
        ({"project": "x" * 5_000}, "invalid_attribute", "4096 bytes"),
        ({"project": "a", **{f"a{n}": "" for n in range(64)}}, "invalid_attribute", "64"),
        ("project", "invalid_attribute", "a mapping is needed"),
    ],
)
def test_attributes_that_cannot_be_are_refused_by_name(
    open_limiter: Open, attributes: Any, code: str, text: str
) -> None:
    with pytest.raises(admission.ArgumentError) as raised:
        open_limiter(PER_PROJECT).gate(attributes)
    assert raised.value.name == code
    assert text in raised.value.message


def test_a_name_given_twice_is_refused_however_it_is_given(open_limiter: Open) -> None:
    with pytest.raises(admission.ArgumentError) as raised:
        open_limiter(PER_PROJECT).gate({"project": "a"}, project="a")
    assert raised.value.name == "duplicate_attribute"


def test_an_empty_value_counts_as_present(open_limiter: Open) -> None:
    assert open_limiter(PER_PROJECT).gate(project="").try_charge()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"store": "postgres://host"}, "unsupported_store"),
        ({"store": "mem\0ory:"}, "invalid_argument"),
        ({"store": 3}, "invalid_argument"),
        ({"clock": "sundial"}, "invalid_argument"),
        ({"clock": 1}, "invalid_argument"),
        ({"heartbeat": "none"}, "invalid_argument"),
        ({"start_unix_ns": 2**63}, "invalid_argument"),
        ({"start_unix_ns": 1.5}, "invalid_argument"),
        ({"clock": "manual", "start_unix_ns": -1}, "invalid_argument"),
        ({"permit_capacity": -1}, "invalid_argument"),
        ({"permit_capacity": 2**32 + 5}, "invalid_argument"),
        ({"key_capacity": True}, "invalid_argument"),
        ({"key_capacity": None}, "invalid_argument"),
    ],
)
def test_options_outside_their_range_are_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(admission.AdmissionError) as raised:
        admission.Limiter(PER_PROJECT, **options)
    assert raised.value.name == code


def test_the_store_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMISSION_STORE", "postgres://host")
    with pytest.raises(admission.AdmissionError) as raised:
        admission.Limiter(PER_PROJECT)
    assert raised.value.name == "unsupported_store"
    admission.Limiter(PER_PROJECT, "memory:", clock="manual").close()


def test_a_manual_clock_moves_when_it_is_told(open_limiter: Open) -> None:
    limiter = open_limiter(policy(requests(1)))
    gate = limiter.gate()
    first = gate.try_charge()
    limiter.advance(7)
    second = gate.try_charge(0)
    limiter.set_time(0)
    third = gate.try_charge(0)
    assert second.decided_at_ns - first.decided_at_ns == 7
    assert second.decided_at_unix_ns == START_UNIX_NS + 7
    assert third.decided_at_ns == second.decided_at_ns and third.decided_at_unix_ns == 0


@pytest.mark.parametrize(
    ("verb", "value", "code"),
    [
        ("advance", -1, "clock_backwards"),
        ("advance", 2**63, "invalid_argument"),
        ("advance", 1.0, "invalid_argument"),
        ("advance", True, "invalid_argument"),
        ("set_time", None, "invalid_argument"),
        ("set_time", -1, "invalid_argument"),
        ("events", -1, "invalid_argument"),
        ("events", 2**64, "invalid_argument"),
    ],
)
def test_times_outside_their_range_are_refused(
    open_limiter: Open, verb: str, value: Any, code: str
) -> None:
    with pytest.raises(admission.AdmissionError) as raised:
        getattr(open_limiter(policy(requests(1))), verb)(value)
    assert raised.value.name == code


def test_the_system_clock_is_not_moved() -> None:
    with admission.Limiter(policy(requests(1)), "memory:") as limiter:
        for move in (limiter.advance, limiter.set_time):
            with pytest.raises(admission.AdmissionError) as raised:
                move(1)
            assert raised.value.name == "not_manual_clock"
        assert limiter.gate().try_charge().decided_at_unix_ns > START_UNIX_NS // 2


def test_an_operator_sees_keys_permits_and_rejections(open_limiter: Open) -> None:
    limiter = open_limiter(PER_PROJECT)
    gates = [limiter.gate(project=str(number)) for number in range(3)]
    permits = [gate.acquire() for gate in gates]
    assert not gates[0].try_charge(2)
    snapshot = limiter.snapshot()
    assert (snapshot["keys"], snapshot["permits_open"], snapshot["gates_open"]) == (3, 3, 3)
    assert snapshot["store"] == "memory:" and snapshot["clock"] == "manual"
    assert snapshot["rejections"] == [
        {"policy": "p", "limit": "rpm", "reason": "exhausted", "count": 1}
    ]
    assert "# TYPE admission_" in limiter.metrics()
    for permit in permits:
        permit.abandon()
    del gates, permits, permit
    gc.collect()
    limiter.advance(3_600_000_000_000)
    assert limiter.reclaim() == 3
    assert limiter.snapshot()["keys"] == 0


def test_events_come_once_with_a_cursor(open_limiter: Open) -> None:
    limiter = open_limiter(PER_PROJECT)
    assert limiter.events() == []
    for _ in range(2):
        with pytest.raises(admission.PolicyError):
            limiter.reload("{}")
    events = limiter.events()
    assert [event["sequence"] for event in events] == [1, 2]
    assert limiter.events(after=1) == events[1:]
    assert limiter.events(after=2) == []


def test_text_that_outgrows_the_first_buffer_arrives_whole(open_limiter: Open) -> None:
    limits = [{**requests(), "name": f"limit {n} {'x' * 100}"} for n in range(60)]
    shown = open_limiter(policy(*limits)).gate().explain()
    assert [each["limit"] for each in shown["limits"]] == [each["name"] for each in limits]


def test_closing_twice_is_fine_and_use_after_it_raises(open_limiter: Open) -> None:
    limiter = open_limiter(PER_PROJECT)
    gate = limiter.gate(project="acme")
    permit = gate.acquire()
    assert not limiter.closed
    limiter.close()
    limiter.close()
    assert limiter.closed
    uses: list[Callable[[], Any]] = [
        limiter.snapshot,
        limiter.metrics,
        limiter.events,
        limiter.reclaim,
        limiter.gate,
        lambda: limiter.gate(project="acme"),
        lambda: limiter.reload(PER_PROJECT),
        lambda: limiter.advance(1),
        lambda: limiter.set_time(1),
        gate.try_acquire,
        gate.acquire,
        gate.try_charge,
        gate.explain,
    ]
    for use in uses:
        with pytest.raises(admission.AdmissionError) as raised:
            use()
        assert raised.value.name == "closed", use
    assert permit.complete() is admission.Settlement.SETTLED
    del gate, permit, uses, use
    gc.collect()
    with pytest.raises(admission.AdmissionError) as raised:
        limiter.snapshot()
    assert raised.value.name == "closed"


def test_with_closes_the_limiter() -> None:
    with admission.Limiter(PER_PROJECT, "memory:", clock="manual") as limiter:
        assert not limiter.closed
    assert limiter.closed


def test_a_limiter_that_is_let_go_is_gone_and_a_gate_keeps_it() -> None:
    limiter = admission.Limiter(PER_PROJECT, "memory:", clock="manual")
    seen = weakref.ref(limiter)
    gate = limiter.gate(project="acme")
    permit = gate.acquire()
    permit.complete()
    del limiter
    assert gate.try_charge()
    del gate, permit
    assert seen() is None


def test_a_store_in_a_folder_that_is_missing_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(admission.AdmissionError) as raised:
        admission.Limiter(policy(requests()), f"file:{tmp_path}/missing/quota")
    assert raised.value.code == admission.Status.STORE_UNAVAILABLE
    assert "No such file or directory" in str(raised.value)


def test_more_limits_than_a_decision_takes_are_refused_at_the_gate(open_limiter: Open) -> None:
    limits = [{**requests(), "name": f"l{n}"} for n in range(64)]
    document = {"admission": 1, "policies": [{"name": f"p{n}", "limits": limits} for n in range(5)]}
    limiter = open_limiter(document)
    with pytest.raises(admission.ArgumentError, match="320 limits apply to one gate") as raised:
        limiter.gate()
    assert raised.value.code == admission.Status.TOO_MANY_LIMITS
