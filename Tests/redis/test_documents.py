"""Several documents on one store; reset, inspect, load."""

from __future__ import annotations

from cases import CELL, DAY, MINUTE, START, dump, four, one
from client import CALENDAR, NEWER, RARE_NEEDED, ROLLING, Limit, Scope, numbers, words


def test_windows_that_do_not_hold_the_time_are_asked_for(client, redis):
    scope = one(CALENDAR, 10, unit_us=DAY)
    before = dump(redis)
    reply = client.acquire([scope], {}, windows_at=START - 5 * DAY)
    assert (reply.outcome, reply.wall) == (RARE_NEEDED, START) and dump(redis) == before
    client.acquire([scope], {})
    # While the stored window lasts nobody's table is asked.
    assert client.acquire([scope], {}, windows_at=START - 5 * DAY).is_admitted


def test_newer_parameters_are_the_answer(client):
    client.acquire([four(rpm={"limit": 3, "stamp": 2})], {})
    reply = client.acquire([four()], {})
    assert reply.outcome == NEWER
    scope, value = numbers(reply.raw[32:40])[0], reply.raw[40:]
    count, version = numbers(value[-16:])
    assert (scope, count, version) == (1, 4, 1)
    descriptors = [numbers(value[-16 - 64 * i : -16 - 64 * i + 64]) for i in range(count, 0, -1)]
    assert [d[2:4] for d in descriptors][0] == [2, 3]


def test_two_documents_with_other_limits_share_what_they_have_in_common(client):
    a, b, c = (Limit(ROLLING, n, 10, MINUTE) for n in "abc")
    first, second = Scope("p", [a, b]), Scope("p", [c, a])
    for _ in range(3):
        client.acquire([first], {})
        client.acquire([second], {})
        client.advance(2 * CELL)
    assert client.acquire([first], {"a": 0, "b": 0}).view("b").used() == 3
    assert client.acquire([second], {"a": 0, "c": 0}).view("c").used() == 3
    assert client.acquire([second], {"a": 0, "c": 0}).view("a").used() == 6




def test_a_reset_is_no_loss_and_gives_nothing_back_twice(client, redis):
    scope = four()
    charge = client.acquire([scope], {"rpm": 10, "tpm": 10_000})
    reset = [words(77, scope.lifetime_us, START)]
    assert client.run("reset", ["admission:{admission}:shard", *scope.keys[:2]], reset) == 1
    reply = client.acquire([scope], {"rpm": 10})
    assert reply.is_admitted and reply.events == 0 and reply.view("parallel").used() == 2
    assert client.settle([scope], charge, {"rpm": (10, 0)}).view("rpm").used() == 10


def test_inspect_shows_and_changes_nothing(client, redis):
    scope = four()
    client.acquire([scope], {}, b"a" * 6)
    before = dump(redis)
    clock, shard, state, cells, leases = client.run(
        "inspect", ["admission:{admission}:shard", *scope.keys], ["10"])
    assert numbers(clock) == [START, START] and len(shard) == 48 and cells is None
    assert state == redis.get(scope.keys[0]) and leases == [b"a" * 6, words(START + 30_000_000)]
    assert dump(redis) == before
    assert client.run("inspect", ["x", "y", "y", "y"], ["10"])[1:] == [None, None, None, []]


def load(client, document, *limits, look=False):
    arguments = [document, "1" if look else "0"]
    for limit in limits:
        arguments += [limit.identity, words(*limit.parameters)]
    before, stamp, *rows = client.run("load", ["admission:{admission}:load"], arguments)
    return before, numbers(stamp)[0], [numbers(row) for row in rows]


def test_the_document_loaded_last_owns_the_parameters(client, redis):
    a, b = Limit(ROLLING, "a", 10, MINUTE), Limit(ROLLING, "b", 10, MINUTE)
    assert load(client, "first", a, b)[:2] == (b"", START)
    assert load(client, "first", a, b)[:2] == (b"first", START)  # the same again changes nothing
    a.limit = 20
    before, stamp, rows = load(client, "second", a)
    assert (before, stamp) == (b"first", START + 1) and rows[0] == [START + 1, 20, CELL, 60, 0, 0]
    _, _, rows = load(client, "", a, b, Limit(ROLLING, "c", 1, MINUTE), look=True)
    assert [row[:2] for row in rows] == [[START + 1, 20], [START, 10], [0, 0]]
    assert redis.pttl("admission:{admission}:load") > 0
