"""What the tests of single cases share."""

from __future__ import annotations

from client import CALENDAR, CONCURRENCY, ROLLING, Client, Limit, Scope, numbers, words


START = 1_790_000_000_000_000
MINUTE, DAY = 60_000_000, 86_400_000_000
CELL = 1_000_000


def make(redis, quick=True, **options) -> Client:
    client = Client(redis, quick=quick, lean=quick, **options)
    client.set_clock(START)
    return client


def four(name: str = "p", limit: int = 10, **changes) -> Scope:
    limits = [
        Limit(ROLLING, "rpm", limit, MINUTE), Limit(ROLLING, "tpm", limit * 1000, MINUTE),
        Limit(CALENDAR, "rpd", limit * 10, 0, DAY), Limit(CONCURRENCY, "parallel", 8, 30_000_000),
    ]
    for limit_ in limits:
        for key, value in changes.get(limit_.name, {}).items():
            setattr(limit_, key, value)
    return Scope(name, limits)


def one(kind: int, limit: int, **options) -> Scope:
    return Scope("p", [Limit(kind, "l", limit, **options)])


def dump(redis) -> dict:
    return {k: redis.dump(k) for k in redis.keys("admission:{*")}


def renew(client, scope, *leases):
    state, lease_set = scope.keys[0], scope.keys[-1]
    reply = client.run("renew", [state, lease_set], [
        b"".join(words(1, believed, length, last) for _, believed, length, last in leases),
        b"".join(member for member, *_ in leases)])
    return numbers(reply)
