"""A server that refuses, that is none, or that holds what is not ours: a named status in bounded time,
and no password in anything that is said."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from harness import LANGUAGES, Answer, Place, Suite, Worker, wait_until
from proxies import Babbler
from servers import Client, Server, free_port

CANARY = "canary-9f3e"
OPEN_SECONDS = 20.0
"""Opening may take its time, 5 s a step; this is what no machine should need."""
LIMITS = [
    {"name": "tpm", "count": "input_tokens", "limit": 1_000_000, "window": "1m"},
    {"name": "calls", "count": "requests", "limit": 1_000_000, "window": "year"},
    {"name": "pace", "count": "requests", "rate": "1000000/s", "burst": 1_000_000},
    {"name": "parallel", "count": "concurrency", "limit": 100, "lease": "10s"},
]
POLICY = {"name": "p", "match": {"project": "*"}, "per": ["project"], "limits": LIMITS}
LEAST_RIGHTS = (
    "~admission:*", "-@all", "+evalsha", "+script|load", "+time", "+get", "+set", "+getrange",
    "+setrange", "+del", "+pexpire", "+pttl", "+hset", "+hget", "+hmget", "+hdel", "+hgetall",
    "+client|setname",
)
"""As docs/redis-store.md lists them."""
BABBLE = (
    b"", b"\r\n", b"+OK\r\n" * 50, b"-ERR no\r\n", b"\xff" * 300, b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"$-5\r\n", b"*-7\r\n", b"$1000000000000\r\n",
    b"*3\r\n:1\r\n", b":99999999999999999999\r\n", b"*1\r\n" * 200, b"$5\r\nabcdefgh\r\n",
)


class Doors:
    """A worker of each language, which are to open what cannot be opened."""

    def __init__(self, suite: Suite, place: Place) -> None:
        self.suite = suite
        self.path = place.policy(POLICY)
        self.workers = [place.worker(language) for language in LANGUAGES]
        for worker in self.workers:
            worker.must("ready")

    def stay_shut(self, claim: str, url: str, *names: str) -> None:
        start = time.monotonic()
        for worker in self.workers:
            worker.send(f"open {url} {self.path}")
        answers: list[Answer] = [worker.answer() for worker in self.workers]
        seconds = time.monotonic() - start
        wrong = [
            (worker.language, answer) for worker, answer in zip(self.workers, answers)
            if answer.error not in names or CANARY in answer.line
        ]
        self.suite.check(f"opening {claim}: {' or '.join(names)}, in every language",
                         not wrong and seconds < OPEN_SECONDS, wrong or f"{seconds:.2f} s")


def opening(suite: Suite) -> None:
    with Server(password=CANARY) as server, Place() as place:
        doors = Doors(suite, place)
        host = f"127.0.0.1:{server.port}"
        client = server.client()
        client("ACL", "SETUSER", "powerless", "on", f">{CANARY}", "~*", "-@all", "+ping")
        client("ACL", "SETUSER", "elsewhere", "on", f">{CANARY}", "~other:*", "+@all")
        for claim, url, name in (
            ("with a wrong password", f"redis://:{CANARY}-wrong@{host}", "store_not_permitted"),
            ("as nobody", f"redis://nobody:{CANARY}@{host}", "store_not_permitted"),
            ("without a password", f"redis://{host}", "store_not_permitted"),
            ("without rights", f"redis://powerless:{CANARY}@{host}", "store_not_permitted"),
            ("without rights to our keys", f"redis://elsewhere:{CANARY}@{host}",
             "store_not_permitted"),
            ("a database that is none", f"redis://:{CANARY}@{host}/99", "store_unavailable"),
            ("where nobody listens", f"redis://:{CANARY}@127.0.0.1:{free_port()}",
             "store_unavailable"),
            ("a host without an address", f"redis://:{CANARY}@no-such-host.invalid",
             "store_unavailable"),
            ("a socket that is not there", f"redis+unix://:{CANARY}@/nowhere/redis.sock",
             "store_unavailable"),
            ("a manual store by the system's clock", f"redis://:{CANARY}@{host}?clock=manual",
             "clock_mismatch"),
        ):
            doors.stay_shut(claim, url, name)
        for url in (
            f"redis://:{CANARY}@", f"redis://:{CANARY}@{host}/x", f"redis://:{CANARY}@127.0.0.1:0",
            f"redis://:{CANARY}@127.0.0.1:70000", f"redis://:{CANARY}@{host}?other={CANARY}",
            f"redis:{CANARY}", f"redis//:{CANARY}@{host}", f"reddis://{CANARY}",
            f"rediss+x://:{CANARY}@{host}", f"redis://u:%zz{CANARY}@{host}",
            f"redis://:{CANARY}@[::1", f"redis://:{CANARY}@{host}/0/1", f"redis://:{CANARY}@{host}#{CANARY}",
        ):
            doors.stay_shut(url.replace(CANARY, "…").replace(host, "host"), url, "unsupported_store")
        client.close()


def silence(suite: Suite) -> None:
    """Hosts that take a connection and say nothing, or anything."""
    with Place() as place:
        doors = Doors(suite, place)
        for reply in BABBLE:
            with Babbler(reply, ends=bool(reply)) as babbler:
                url = f"redis://:{CANARY}@127.0.0.1:{babbler.port}"
                doors.stay_shut(f"a server that says {reply[:20]!r}", url, "store_unavailable",
                                "store_corrupted", "store_not_permitted")


def refusing(suite: Suite) -> None:
    """What a server refuses while limiters are open."""
    with Server(password=CANARY) as server, Place(url=server.url) as place:
        place.settings = {"deadline": "10s"}
        path = place.policy(POLICY)
        client = server.client()
        client("ACL", "SETUSER", "worker", "on", f">{CANARY}", *LEAST_RIGHTS)
        place.url = f"redis://worker:{CANARY}@127.0.0.1:{server.port}"
        workers = [place.opened(language, path, "g project=acme") for language in LANGUAGES]
        suite.check("a user with the rights that the documentation lists can work",
                    all(acquired(worker) == "0" for worker in workers))

        def refused(claim: str, name: str, word: str) -> None:
            answers = [worker.ask("acquire g 1") for worker in workers]
            holds = all(a.error == name and word in a.line for a in answers)
            suite.check(f"{claim}: {name}, in the server's words", holds, answers[0 if holds else slice(0, 3)])

        def well(claim: str) -> None:
            found = [acquired(worker) for worker in workers]
            suite.check(f"{claim}: goes on", found == ["0"] * len(workers), found)

        held = [worker.must("acquire g 1").permit for worker in workers]
        client("CONFIG", "SET", "maxmemory", 1)
        refused("maxmemory reached", "store_full", "OOM")
        ends = [w.must(f"complete {permit} 0").rest for w, permit in zip(workers, held)]
        suite.check("maxmemory reached: ending a permit has a name", set(ends) <= {"0", "601"}, ends)
        client("CONFIG", "SET", "maxmemory", 0)
        well("memory is free again")

        client("ACL", "SETUSER", "worker", "-setrange")
        refused("a right was taken away", "store_not_permitted", "the script")
        client("ACL", "SETUSER", "worker", "+setrange")
        well("the right is given back")

        states = [name for name in client.keys("admission:{*") if name.endswith(b":s")]
        (state,) = states
        value = client("GET", state)
        client("DEL", state)
        client("RPUSH", state, "foreign")
        refused("a list at our key", "store_foreign", "WRONGTYPE")
        suite.check("a list at our key: it is left alone", client("LLEN", state) == 1)
        client("DEL", state)
        client("SET", state, b"\x07" * len(value), "PX", 60_000)
        refused("a damaged state", "store_corrupted", "ADMISSION_DAMAGED")
        client("SET", state, value, "PX", 60_000)
        well("the state is whole again")
        check_silence(suite, server, client, workers)
        client.close()


def acquired(worker: Worker) -> str:
    return worker.must(f"complete {worker.must('acquire g 1').permit}").rest


def check_silence(suite: Suite, server: Server, client: Client, workers: Sequence[Worker]) -> None:
    """What is said of a server that is gone, and of one that has another password now."""

    def said(worker: Worker) -> str:
        lines: list[Any] = [worker.ask(verb).line for verb in ("events", "snapshot", "metrics")]
        return "\n".join(lines)

    client("ACL", "SETUSER", "worker", "resetpass", ">another")
    client("CLIENT", "KILL", "USER", "worker")
    for worker in workers:
        wait_until(lambda: worker.ask("acquire g 1").kind != "admitted", 10)
    texts = [said(worker) for worker in workers]
    server.kill()
    for worker in workers:
        wait_until(lambda: "outage" in worker.ask("acquire g 1").words, 10)
    texts += [said(worker) for worker in workers]
    suite.check("no password in events, snapshots and metrics, from every language",
                all("store_lost" in text for text in texts[-len(workers):])
                and not any(CANARY in text for text in texts))
    logs = [f"{worker.language} {os.readlink(f'/proc/{worker.pid}/exe')}" for worker in workers]
    suite.check("everybody is alive behind that", len(logs) == len(workers))


def run(suite: Suite) -> None:
    suite.run("refusals: opening", opening)
    suite.run("refusals: while at work", refusing)
    suite.run("refusals: no server", silence)
