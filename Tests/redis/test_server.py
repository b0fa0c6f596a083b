"""Memory, and the server's own clock."""

from __future__ import annotations

from cases import CELL, MINUTE, four, make
from client import CONCURRENCY, ROLLING, Client, Limit, Scope


def test_memory_of_a_scope_of_four_limits_and_of_a_lease(redis):
    client = make(redis)
    scope = four(limit=10**6)
    for _ in range(70):
        client.acquire([scope], {"tpm": 1000})
        client.advance(CELL)
    total = sum(redis.memory_usage(key, samples=0) for key in scope.keys)
    leases = redis.memory_usage(scope.keys[2], samples=0)
    many = Scope("many", [Limit(CONCURRENCY, "l", 10**6, 30_000_000)])
    for _ in range(2000):
        client.acquire([many], {})
    each = redis.memory_usage(many.keys[1], samples=0) / 2000
    print(f"four limits: {total} bytes with 8 leases, whose set takes {leases}; "
          f"a lease among 2,000: {each:.0f}")
    assert total - 8 * each <= 2048
    assert each <= 100


def test_the_servers_clock_decides_and_every_key_expires(redis):
    client = Client(redis, clock="time")
    seconds, micros = redis.time()
    client.wall = seconds * 10**6 + micros
    scope = four(limit=5)
    replies = [client.acquire([scope], {}, bytes([i]) * 6) for i in range(7)]
    assert [r.is_admitted for r in replies] == [True] * 5 + [False] * 2
    assert replies[0].now >= client.wall and replies == sorted(replies, key=lambda r: r.now)
    ttls = {key: redis.pttl(key) for key in redis.keys("*")}
    assert all(0 < ttl for ttl in ttls.values())
    # Only a calendar limit keeps a scope longer than its windows.
    assert max(ttls.values()) <= 1.25 * scope.lifetime_us / 1000 + 2
    short = Scope("short", [Limit(ROLLING, "r", 5, MINUTE)], tag="other")
    client.acquire([short], {})
    assert redis.pttl(short.keys[0]) <= 1.25 * 61_000 + 2
