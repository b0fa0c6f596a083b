"""Edges of every kind of limit: zero, one, the capacity, the last microsecond, debt, leases."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from cases import CELL, DAY, MINUTE, START, four, one, renew
from client import (
    BUCKET, CALENDAR, CONCURRENCY, MOST, REJECTED, ROLLING, TAKEN, UNKNOWN, Limit, Scope,
)


def test_first_call_capacity_and_one_more(client):
    for name, scope in {
        "r": one(ROLLING, 3, span_us=MINUTE), "c": one(CALENDAR, 3, unit_us=DAY),
        "b": one(BUCKET, 3, interval=Fraction(10**6)), "l": one(CONCURRENCY, 3, span_us=10**6),
    }.items():
        scope.name = name
        assert [client.acquire([scope], {}).is_admitted for _ in range(4)] == [True] * 3 + [False]


def test_a_whole_limit_at_once_and_zero_beside_it(client):
    scope = one(ROLLING, 10**12, span_us=MINUTE)
    assert client.acquire([scope], {"l": 10**12}).is_admitted
    assert not client.acquire([scope], {"l": 1}).is_admitted
    assert client.acquire([scope], {"l": 0}).is_admitted


def test_the_last_microsecond_of_a_calendar_window(client):
    scope = one(CALENDAR, 1, unit_us=MINUTE, span_us=0)
    end = START - START % MINUTE + MINUTE
    client.set_clock(end - 1)
    assert client.acquire([scope], {}).is_admitted
    refusal = client.acquire([scope], {})
    assert not refusal.is_admitted and refusal.view("l").fits_at == end
    client.set_clock(end)
    assert client.acquire([scope], {}).is_admitted
    client.set_clock(end - 1)  # the spent window is not opened again; the decision is of the new one
    again = client.acquire([scope], {})
    assert not again.is_admitted and again.wall == end


@pytest.mark.parametrize("interval, burst", [
    (Fraction(8760 * 3_600_000_000), 1), (Fraction(60_000_000, 10**9), 1000),
    (Fraction(90_000, 7), 3),
])
def test_rates_are_exact(client, interval, burst):
    """Greedy asking from microsecond to microsecond gets what the fraction says, to the unit."""
    scope = one(BUCKET, burst, interval=interval)
    now, tat = START, Fraction(START)
    rng = random.Random(1)
    admitted = 0
    for _ in range(300):
        client.set_clock(now)
        cost = rng.choice([1, burst])
        reply = client.acquire([scope], {"l": cost})
        after = max(tat, Fraction(now)) + cost * interval
        fits = after - burst * interval <= now
        assert reply.is_admitted == fits
        if fits:
            tat, admitted = after, admitted + cost
            assert tat - START >= admitted * interval  # never above the rate
            now += rng.choice([0, 1, 13])
        else:
            at = reply.view("l").fits_at
            assert at == -(-(after - burst * interval) // 1)
            now = at
    assert admitted > burst


def test_debt_refuses_even_nothing_until_it_is_paid(client):
    scope = Scope("p", [Limit(BUCKET, "b", 5, interval=Fraction(10**6)),
                        Limit(ROLLING, "r", 5, MINUTE)])
    charge = client.acquire([scope], {"b": 5, "r": 5})
    client.settle([scope], charge, {"b": (0, 7), "r": (0, 1)})
    refusal = client.acquire([scope], {"b": 0, "r": 0})
    assert not refusal.is_admitted
    assert refusal.view("b").fits_at == START + 7_000_000
    assert refusal.view("r").fits_at == (START // CELL + 61) * CELL
    client.set_clock(START + 7_000_000)
    assert client.acquire([scope], {"b": 0, "r": 0}).view("b").fits_at == 0


def test_a_long_debt_outlives_the_scope_s_lifetime(client, redis):
    scope = one(BUCKET, 1, interval=Fraction(10**6))
    charge = client.acquire([scope], {})
    client.settle([scope], charge, {"l": (0, 10**6)})
    assert redis.pttl("admission:{admission}:p:s") >= 10**9
    assert redis.pttl("admission:{admission}:shard") >= 10**9


def test_debt_saturates(client):
    scope = one(BUCKET, 1, interval=Fraction(10**9))
    charge = client.acquire([scope], {})
    for _ in range(3):
        settled = client.settle([scope], charge, {"l": (0, 8 * 10**6)})
    assert settled.view("l").fields == (MOST, 0)
    scope = Scope("q", [Limit(ROLLING, "l", 1, MINUTE)])
    charge = client.acquire([scope], {})
    assert client.settle([scope], charge, {"l": (0, 2**52)}).view("l").used() == 2**41 - 2


def test_more_is_not_given_back_than_was_taken(client):
    scope = four()
    charge = client.acquire([scope], {"tpm": 500})
    settled = client.settle([scope], charge, {"tpm": (10**6, 0), "rpd": (50, 0)})
    assert settled.view("tpm").used() == settled.view("rpd").used() == 0


def test_a_refund_goes_to_its_own_cell_or_nowhere(client):
    scope = one(ROLLING, 10, span_us=MINUTE)
    charge = client.acquire([scope], {"l": 6})
    client.advance(CELL)
    client.acquire([scope], {"l": 4})
    client.advance(CELL)
    assert client.settle([scope], charge, {"l": (5, 0)}).view("l").used() == 5
    client.set_clock((START // CELL + 61) * CELL)  # the 1 that stayed in its cell comes back
    assert client.acquire([scope], {"l": 0}).view("l").used() == 4
    assert client.settle([scope], charge, {"l": (1, 0)}).view("l").used() == 4


def test_a_lease_lives_until_its_expiry_and_is_freed_once(client):
    scope = one(CONCURRENCY, 1, span_us=1_000_000)
    charge = client.acquire([scope], {}, b"a" * 6)
    client.set_clock(START + 999_999)
    refusal = client.acquire([scope], {}, b"b" * 6)
    assert refusal.outcome == REJECTED and refusal.view("l").fits_at == UNKNOWN
    client.set_clock(START + 1_000_000)
    assert client.acquire([scope], {}, b"b" * 6).is_admitted
    assert client.settle([scope], charge, {}, ["l"], b"a" * 6).lived == [0]
    assert client.settle([scope], charge, {}, ["l"], b"b" * 6).lived == [1]
    assert client.settle([scope], charge, {}, ["l"], b"b" * 6).lived == [0]
    assert client.acquire([scope], {}, b"c" * 6).is_admitted
    assert not client.acquire([scope], {}, b"d" * 6).is_admitted


def test_a_member_that_another_lease_has_is_refused_by_name(client):
    scopes = [Scope(n, [Limit(CONCURRENCY, n, 5, 10**6), Limit(ROLLING, "r" + n, 5, MINUTE)])
              for n in "ab"]
    client.acquire(scopes[1:], {}, b"twice!")
    assert client.acquire(scopes, {}, b"twice!").outcome == TAKEN
    reply = client.acquire(scopes, {}, b"other!")
    assert [reply.view(n).used() for n in ("a", "b", "ra", "rb")] == [1, 2, 1, 2]


def test_renewal_prolongs_live_leases_up_to_the_longest_hold(client, redis):
    scope = one(CONCURRENCY, 2, span_us=1_000_000)
    for member in (b"a" * 6, b"b" * 6):
        client.acquire([scope], {}, member)
    client.advance(600_000)
    lease = 1_000_000
    assert renew(client, scope, (b"a" * 6, START + lease, lease, START + 1_200_000)) == [
        START + 600_000, START + 1_200_000]
    client.set_clock(START + 1_000_000)
    assert client.acquire([scope], {}, b"c" * 6).view("l").used() == 2
    ran_out, at_its_end = renew(
        client, scope, (b"b" * 6, START + lease, lease, MOST),
        (b"a" * 6, START + 1_200_000, lease, START + 1_200_000))[1:]
    assert (ran_out, at_its_end) == (0, START + 1_200_000)
    assert redis.pttl(scope.keys[-1]) > 0
