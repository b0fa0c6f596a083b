"""Three processes, one each in Swift, C and Python, share one file for a few seconds, or a Redis server of
their own where ``STORE=redis`` asks for it; what each was admitted, and all of them together beside what
the limits allow."""

from __future__ import annotations

import os
import sys

import drivelog as d
import oracle
from drivelog import DriveLog
from harness import Place
from servers import Server

LANGUAGES = ("swift", "c", "python")
MILLISECOND = 1_000_000
SECONDS = 3
WINDOW_NS, TOKENS = 500 * MILLISECOND, 10_000
RATE, BURST = 400, 60
PARALLEL = 2


def policy() -> dict[str, object]:
    return {
        "name": "demo", "match": {"project": "*"}, "per": ["project"],
        "limits": [
            {"name": "tokens", "count": "input_tokens", "limit": TOKENS, "window": "500ms"},
            {"name": "pace", "count": "requests", "rate": f"{RATE}/s", "burst": BURST},
            {"name": "parallel", "count": "concurrency", "limit": PARALLEL, "lease": "5s"},
        ],
    }


def main() -> int:
    if os.environ.get("STORE") != "redis":
        with Place() as place:
            return show(place)
    with Server() as server, Place(url=server.url) as place:
        place.settings = {"deadline": "10s"}  # a slow machine is no outage
        print(f"redis-server {server.version} at {server.url}, for these seconds alone\n")
        return show(place)


def show(place: Place) -> int:
    path = place.policy(policy())
    workers = [place.opened(language, path, "g project=acme") for language in LANGUAGES]
    logs = []
    for number, worker in enumerate(workers):
        logs.append(DriveLog.make(
            f"{place.folder}/log-{number}", capacity=100_000, seed=11 + number,
            for_ns=SECONDS * 1000 * MILLISECOND, hold_ns=3 * MILLISECOND,
            poll_ns=MILLISECOND, most=1, largest=100, every=1,
        ))
        worker.send(f"drive g {logs[-1].path}")
    for worker in workers:
        worker.answer(SECONDS + 30)
    run = oracle.read(logs)
    print(f"{'process':10} {'pid':>7} {'admitted':>9} {'refused':>9} {'tokens':>9}")
    for worker, log in zip(workers, logs):
        print(f"{worker.language:10} {worker.pid:7} {log[d.ADMITTED]:9} {log[d.REFUSED]:9}"
              f" {log[d.UNITS]:9}")
    requests = sum(run.grants)
    print(f"{'together':10} {'':7} {requests:9} {sum(log[d.REFUSED] for log in logs):9}"
          f" {run.units:9}\n")
    return table(run, requests)


def table(run: oracle.Run, requests: int) -> int:
    """Prints each limit; 1 where one was exceeded or a good part of it not used."""
    ones = run._replace(
        attempts=[a._replace(cost=1, units=int(a.is_admitted)) for a in run.attempts])
    span = (run.attempts[-1].at - run.attempts[0].at) / 1e9
    rows = [
        ("tokens in any 500 ms", TOKENS, oracle.fullest_window(run, WINDOW_NS)),
        (f"requests at once, beyond {RATE}/s", BURST, oracle.highest_level(ones, RATE)),
        (f"requests in {span:.2f} s", int(BURST + RATE * span), requests),
        ("calls under way", PARALLEL, oracle.most_at_once(run.held)),
    ]
    print(f"{'limit':32} {'allowed':>9} {'the most':>9}")
    for name, allowed, most in rows:
        print(f"{name:32} {allowed:9,} {most:9,.0f}")
    return int(any(most > allowed for _, allowed, most in rows))


if __name__ == "__main__":
    sys.exit(main())
