"""Foreign types and damaged values are named, and nothing is charged."""

from __future__ import annotations

import random
import struct
from fractions import Fraction

import pytest
from redis.exceptions import ResponseError

from cases import CELL, MINUTE, START, dump, four, one
from client import BUCKET, REJECTED, ROLLING, Client, Limit, numbers, words


def foreign(redis, key):
    redis.delete(key)
    redis.lpush(key, "foreign")
    redis.expire(key, 1000)


@pytest.mark.parametrize("which", range(4))
def test_a_foreign_type_is_an_error_and_charges_nothing(client, redis, which):
    scopes = [four("p"), four("q")]
    client.acquire(scopes, {})
    client.advance(CELL)  # the next decision reads the cells too
    key = [scopes[1].keys[0], scopes[1].keys[1], scopes[1].keys[2], "admission:{admission}:shard"][which]
    foreign(redis, key)
    if which == 3:
        client.known.clear()
        redis.delete(*scopes[1].keys)
    before = dump(redis)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        client.acquire(scopes, {})
    after = dump(redis)
    assert {k: v for k, v in after.items() if k != scopes[0].keys[2].encode()} == {
        k: v for k, v in before.items() if k != scopes[0].keys[2].encode()}
    assert redis.hlen(scopes[0].keys[2]) == 2  # the sentinel and the one lease of before


def test_damaged_states_are_named_and_charge_nothing(client, redis):
    """Random bytes, cut short, bits turned, and words that a double would call NaN or infinite."""
    rng = random.Random(7)
    scope = four()
    scope.limits.append(Limit(BUCKET, "b", 5, interval=Fraction(200_000, 3)))
    client.acquire([scope], {})
    key = scope.keys[0]
    good = redis.get(key)
    odd = [struct.pack("<d", x) for x in (float("nan"), float("inf"), -1.0, 0.5)] + [b"\xff" * 8]
    outcomes = {"named": 0, "answered": 0}
    for case in range(600):
        bad = bytearray(good)
        kind = case % 4
        if kind == 0:
            bad = bytearray(rng.randbytes(rng.choice([0, 1, 7, 8, 40, 152, len(good), 400])))
        elif kind == 1:
            del bad[rng.randrange(len(bad)):]
        elif kind == 2:
            at = 8 * rng.randrange(len(bad) // 8)
            bad[at : at + 8] = rng.choice(odd)
        else:
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        redis.set(key, bytes(bad), px=10**9)
        try:
            reply = client.acquire([scope], {})
            outcomes["answered"] += 1
            if reply.outcome == REJECTED and reply.events == 0:
                assert redis.get(key) == bytes(bad)
        except ResponseError as error:
            assert str(error).startswith("ADMISSION_DAMAGED"), (case, bytes(bad), error)
            assert redis.get(key) == bytes(bad)
            outcomes["named"] += 1
        assert all(redis.pttl(k) > 0 for k in redis.keys("*"))
        client.known = {"p": (numbers(good)[1], START, scope.lifetime_us)}
    assert min(outcomes.values()) > 50, outcomes


@pytest.mark.parametrize("value", [b"", b"x" * 47, b"\0" * 48])
def test_a_damaged_shard_is_named(client, redis, value):
    redis.set("admission:{admission}:shard", value, px=10**6)
    with pytest.raises(ResponseError, match="ADMISSION_DAMAGED"):
        client.acquire([four()], {})


def test_a_manual_clock_that_is_not_set_is_named(redis):
    with pytest.raises(ResponseError, match="ADMISSION_CLOCK"):
        Client(redis).acquire([one(ROLLING, 1, span_us=MINUTE)], {})
