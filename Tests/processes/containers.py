"""Two containers that share a volume but not a pid namespace: they do not take each other for dead."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from harness import LANGUAGES, Place, Suite, Worker, check_store, wait_until

LEASE_MS = 500
SLOTS = 2
ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def inner_pid(worker: Worker) -> int:
    """The process that ``unshare`` started, as it is known out here."""
    with open(f"/proc/{worker.pid}/task/{worker.pid}/children", encoding="ascii") as file:
        (pid,) = file.read().split()
    return int(pid)


def take_all(worker: Worker) -> list[str]:
    return [worker.must("acquire g 0").permit for _ in range(SLOTS)]


def stays_taken(suite: Suite, claim: str, worker: Worker) -> None:
    """No slot can be had over three lease lengths: many beats of both, and a look at all owners with
    each tenth of a second of refused claims."""
    begun = time.monotonic()
    asked = 0
    got: list[str] = []

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        answer = worker.must("acquire g 0")
        got.extend([answer.permit] if answer.is_admitted else [])
        return bool(got) or time.monotonic() - begun > 3 * LEASE_MS / 1000

    wait_until(is_over, 30)
    died = [e for e in worker.must("events").json if e["kind"] == "owner_died"]
    suite.check(claim, not got and not died, f"{asked} claims {died or ''}")
    for permit in got:
        worker.must(f"drop {permit}")


def comes_back(worker: Worker, since: float) -> tuple[float, float]:
    """The seconds until every slot could be had, and the longest time between two claims till then."""
    last, longest, count = since, 0.0, 0

    def has_all() -> bool:
        nonlocal last, longest, count
        count += worker.must("acquire g 0").is_admitted
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        return count == SLOTS

    wait_until(has_all, 10)
    return last - since, longest


def apart(suite: Suite, inner: str, outer: str) -> None:
    name = f"{inner} in a namespace of its own, {outer} outside"
    with Place() as place:
        policy = place.policy({
            "name": "main", "match": {"project": "*"},
            "limits": [{"name": "parallel", "count": "concurrency", "limit": SLOTS,
                        "lease": f"{LEASE_MS}ms"}],
        })
        outside = place.opened(outer, policy, "g project=acme")
        inside = place.worker(inner, launcher=ELSEWHERE).open(place.url, policy, "g project=acme")
        pid = inner_pid(inside)
        suite.check(f"{name}: they do not see each other",
                    namespace(pid) != namespace(outside.pid), namespace(pid))

        held = take_all(inside)
        stays_taken(suite, f"{name}: outside, the inner one is not taken for dead", outside)
        suite.check(f"{name}: its permits are in time",
                    all(inside.must(f"complete {permit}").rest == "0" for permit in held))
        held = take_all(outside)
        stays_taken(suite, f"{name}: inside, the outer one is not taken for dead", inside)
        suite.check(f"{name}: its permits are in time, too",
                    all(outside.must(f"complete {permit}").rest == "0" for permit in held))

        begun = time.monotonic()
        take_all(inside)
        since = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        seconds, gap = comes_back(outside, since)
        lease = LEASE_MS / 1000
        suite.check(f"{name}: killed, its slots come back when the leases have run out, not before",
                    since - begun + seconds >= lease and seconds <= lease + 0.1 + gap,
                    f"{seconds * 1000:.0f} of {LEASE_MS} ms, asked at most {gap * 1000:.0f} ms apart")
        check_store(suite, place.store, f"{name}: the store is consistent")


def run(suite: Suite) -> None:
    tried = subprocess.run([*ELSEWHERE, "true"], capture_output=True, text=True)
    if tried.returncode:
        suite.skip("containers", f"no pid namespace can be made here: {tried.stderr.strip()}")
        return
    for index, language in enumerate(LANGUAGES):
        other = LANGUAGES[(index + 1) % len(LANGUAGES)]
        suite.run(f"containers: {language} and {other}", apart, language, other)
