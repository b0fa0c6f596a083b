"""SIGSTOP of a holder: others go on, its lease runs out, and its late completion says so."""

from __future__ import annotations

import os
import signal
import time

from harness import LANGUAGES, Place, Suite, Worker, check_store, wait_until

LEASE_MS = 400
LEASE_EXPIRED = "402"


def used(worker: Worker, limit: str) -> int:
    """What a limit of the gate ``g`` holds."""
    for entry in worker.must("explain g").json["limits"]:
        if entry["limit"] == limit:
            return int(entry["used"])
    raise AssertionError(f"no limit {limit}")


def stop(worker: Worker) -> None:
    """Stops a process; returns when the kernel says that it stands still."""
    os.kill(worker.pid, signal.SIGSTOP)
    _, status = os.waitpid(worker.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def holder(suite: Suite, language: str, other_language: str) -> None:
    name = f"a stopped {language} process"
    with Place() as place:
        policy = place.policy({
            "name": "main", "match": {"project": "*"},
            "limits": [
                {"name": "tpm", "count": "input_tokens", "limit": 10_000, "window": "1h"},
                {"name": "parallel", "count": "concurrency", "limit": 1,
                 "lease": f"{LEASE_MS}ms"},
            ],
        }, {
            "name": "apart", "match": {"apart": "*"},
            "limits": [{"name": "apart", "count": "requests", "limit": 10**6, "window": "1h"}],
        })
        gates = ("g project=acme", "apart apart=x")
        stopped = place.opened(language, policy, *gates)
        other = place.opened(other_language, policy, *gates)
        permit = stopped.must("acquire g 1000").permit

        # As long as it lives, its lease is renewed, whatever its length.
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 2 * LEASE_MS / 1000, 5)
        suite.check(f"{name}: before, its lease is renewed",
                    not other.must("acquire g 1").is_admitted)

        stop(stopped)
        since = time.monotonic()
        suite.check(f"{name}: others go on", other.must("acquire apart 0").is_admitted)
        taken: list[str] = []

        def is_taken() -> bool:
            answer = other.must("acquire g 2000")
            taken.extend([answer.permit] if answer.is_admitted else [])
            return bool(taken)

        wait_until(is_taken, 10)
        seconds = time.monotonic() - since
        suite.check(f"{name}: its slot is another's when the lease has run out",
                    seconds <= LEASE_MS / 1000 + 0.1, f"{seconds * 1000:.0f} of {LEASE_MS} ms")

        os.kill(stopped.pid, signal.SIGCONT)
        answer = stopped.must(f"complete {permit} 1500")
        suite.check(f"{name}: its late completion says that the lease ran out",
                    answer.rest == LEASE_EXPIRED, answer)
        suite.check(f"{name}: its usage is settled", used(other, "tpm") == 3_500,
                    used(other, "tpm"))
        suite.check(f"{name}: the slot, another's by now, is not touched",
                    used(other, "parallel") == 1
                    and not stopped.must("acquire g 1").is_admitted)
        suite.check(f"{name}: the other's completion is in time",
                    other.must(f"complete {taken[0]}").rest == "0")
        suite.check(f"{name}: then it goes on itself", stopped.must("acquire g 1").is_admitted)
        check_store(suite, place.store, f"{name}: the store is consistent")


def run(suite: Suite) -> None:
    for index, language in enumerate(LANGUAGES):
        other = LANGUAGES[(index + 1) % len(LANGUAGES)]
        suite.run(f"stopped: {language}", holder, language, other)
