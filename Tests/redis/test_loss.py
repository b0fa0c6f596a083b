"""What was lost, or lies ahead of the clock, is held until it cannot count any more."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cases import CELL, DAY, MINUTE, START, four, make, one, renew
from client import (
    BUCKET, CALENDAR, CALENDAR_DAMAGED, CELLS_LOST, CONCURRENCY, LEASES_LOST, LOST, MOST,
    REJECTED, RESET, ROLLING, STEPPED_BACK, UNKNOWN, Limit, Scope,
)


@pytest.mark.parametrize("wipe", ["flush", "state"])
def test_a_lost_state_is_held_until_what_was_charged_has_passed(client, redis, wipe):
    scope = Scope("p", [
        Limit(ROLLING, "r", 10, MINUTE), Limit(CALENDAR, "c", 10, 0, 3_600_000_000),
        Limit(BUCKET, "b", 5, interval=Fraction(10**6)), Limit(CONCURRENCY, "l", 2, 30_000_000)])
    client.acquire([scope], {"r": 9, "c": 9})
    client.advance(1_000_000)
    wipe_now(client, redis, scope, wipe)
    refusal = client.acquire([scope], {})
    assert refusal.outcome == REJECTED and refusal.events == LOST
    now = START + 1_000_000
    assert refusal.view("r").fits_at == (now // CELL + 61) * CELL
    assert refusal.view("b").fits_at == now + 1_000_000
    assert refusal.view("c").fits_at == refusal.view("c").fields[1]
    assert refusal.view("l").fits_at == UNKNOWN
    client.set_clock(refusal.view("c").fields[1])
    reply = client.acquire([scope], {})
    assert reply.is_admitted and reply.events == 0


def wipe_now(client, redis, scope, what):
    if what == "flush":
        redis.flushall()
        client.set_clock(client.steady)
    else:
        redis.delete(scope.keys[0])


def test_other_scopes_of_the_shard_are_held_as_of_the_loss(client, redis):
    scope, other = four("p"), four("q")
    client.acquire([scope], {})
    wipe_now(client, redis, scope, "flush")
    client.acquire([scope], {})
    newcomer = make(redis, on_loss=1, seed=9)
    newcomer.set_clock(START + 40 * CELL)
    refusal = newcomer.acquire([other], {})
    assert refusal.outcome == REJECTED
    assert refusal.view("rpm").fits_at == (START // CELL + 61) * CELL
    newcomer.set_clock(refusal.view("rpm").fits_at)
    assert newcomer.acquire([Scope("q", [Limit(ROLLING, "rpm", 10, MINUTE)])], {}).outcome != 3


def test_a_state_that_another_made_anew_is_held_too(client, redis):
    scope = one(ROLLING, 10, span_us=MINUTE)
    client.acquire([scope], {})
    wipe_now(client, redis, scope, "flush")
    unaware = make(redis, seed=5)
    assert unaware.acquire([scope], {}).is_admitted
    refusal = client.acquire([scope], {})
    assert refusal.events == LOST and not refusal.is_admitted
    # Noted once: a third client that knew the state of before finds it held, and reports nothing.
    assert not unaware.acquire([scope], {}).is_admitted
    assert unaware.acquire([scope], {}).events == 0


def test_reset_starts_anew_and_says_so(redis):
    client = make(redis, on_loss=RESET)
    scope = four()
    client.acquire([scope], {"rpm": 9})
    wipe_now(client, redis, scope, "flush")
    reply = client.acquire([scope], {})
    assert reply.is_admitted and reply.events == LOST and reply.view("rpm").used() == 1
    assert client.acquire([scope], {}).events == 0


def test_a_state_that_one_made_anew_is_not_reset_by_the_next(redis):
    clients = [make(redis, on_loss=RESET, seed=seed) for seed in (3, 4, 5)]
    scope = one(ROLLING, 10, span_us=MINUTE)
    for client in clients:
        client.acquire([scope], {})
    wipe_now(clients[0], redis, scope, "flush")
    replies = [client.acquire([scope], {"l": 3}) for client in clients]
    assert [reply.events for reply in replies] == [LOST] * 3
    assert [reply.view("l").used() for reply in replies] == [3, 6, 9]
    assert not clients[0].acquire([scope], {"l": 2}).is_admitted


def test_a_state_that_expired_in_time_is_no_loss(client, redis):
    scope = one(ROLLING, 10, span_us=MINUTE)
    client.acquire([scope], {})
    redis.delete(*scope.keys, "admission:{admission}:shard")
    client.advance(scope.lifetime_us)
    reply = client.acquire([scope], {})
    assert reply.is_admitted and reply.events == 0


def test_lost_cells_count_as_if_just_sealed(client, redis):
    scope = one(ROLLING, 10, span_us=MINUTE)
    client.acquire([scope], {"l": 10})
    client.advance(30 * CELL)
    client.acquire([scope], {"l": 0})
    redis.delete(scope.keys[1])
    refusal = client.acquire([scope], {})
    assert refusal.events == CELLS_LOST
    assert refusal.view("l").fits_at == ((START + 29 * CELL) // CELL + 61) * CELL


def test_lost_leases_hold_the_limit_for_one_lease_and_come_back(client, redis):
    scope = one(CONCURRENCY, 3, span_us=30_000_000)
    for member in (b"a" * 6, b"b" * 6):
        client.acquire([scope], {}, member)
    redis.delete(scope.keys[-1])
    last = client.acquire([scope], {}, b"c" * 6)
    assert last.is_admitted and last.events == LEASES_LOST
    assert not client.acquire([scope], {}).is_admitted
    client.advance(10_000_000)
    believed = START + 30_000_000
    renewed = renew(client, scope, (b"a" * 6, believed, 30_000_000, MOST),
                    (b"b" * 6, believed, 30_000_000, MOST))
    assert renewed[1:] == [START + 40_000_000] * 2
    client.set_clock(START + 30_000_000)
    assert client.acquire([scope], {}).view("l").used() == 3
    assert not client.acquire([scope], {}).is_admitted


def test_a_clock_far_behind_begins_anew_held(client):
    scope = one(ROLLING, 10, span_us=MINUTE)
    client.set_clock(START + DAY)
    client.acquire([scope], {})
    client.set_clock(START)
    refusal = client.acquire([scope], {})
    assert refusal.events == STEPPED_BACK and refusal.now == START
    assert refusal.view("l").fits_at == (START // CELL + 61) * CELL
    client.set_clock(refusal.view("l").fits_at)
    assert client.acquire([scope], {}).is_admitted


def test_a_calendar_window_far_ahead_is_full_until_the_present_one_ends(client):
    scope = one(CALENDAR, 10, unit_us=DAY)
    client.set_clock(START, START + 5 * DAY)
    client.acquire([scope], {})
    client.set_clock(START, START)
    refusal = client.acquire([scope], {})
    end = START - START % DAY + DAY
    assert refusal.events == CALENDAR_DAMAGED and refusal.view("l").fits_at == end
    assert client.acquire([scope], {}).events == 0
    client.set_clock(START, end)
    assert client.acquire([scope], {}).is_admitted
