"""One policy file that three processes watch: an edit is in force in each of them within a second, and
counters are kept."""

from __future__ import annotations

import os
import time
from typing import Any

from harness import IS_SOAK, LANGUAGES, Place, Suite, Worker, check_store

IN_FORCE_SECONDS = 1.0
EDITS = 20 if IS_SOAK else 3
USED = 60
PROBE = 80
"""More than any document's limit `edit-N` takes: it is refused by that one for good, so a probe moves
no counter and its refusal names the document that the process itself has in force."""


def document(number: int) -> dict[str, Any]:
    """Bursts, rates and limits take turns: a conversion that happened twice would show."""
    is_odd = number % 2 == 1
    return {
        "name": "main", "match": {"project": "*"},
        "limits": [
            {"name": "pace", "count": "input_tokens", "rate": "1/2h" if is_odd else "1/1h",
             "burst": 200 if is_odd else 100},
            {"name": "tpm", "count": "input_tokens", "limit": 700 if is_odd else 900,
             "window": "1h"},
            {"name": "parallel", "count": "concurrency", "limit": 5 if is_odd else 7},
            {"name": f"edit-{number}", "count": "input_tokens", "limit": 70, "window": "1h"},
        ],
    }


def in_force(workers: list[Worker], number: int, since: float) -> dict[str, tuple[float, float]]:
    """For each process the seconds from `since` to its first decision by document `number`, and the
    longest time between two of its decisions until then: by so much a busy machine can hide it."""
    found: dict[str, tuple[float, float]] = {}
    asked = {worker.language: since for worker in workers}
    longest = dict.fromkeys(asked, 0.0)
    while len(found) < len(workers) and time.monotonic() - since < 10:
        for worker in workers:
            name = worker.language
            if name in found:
                continue
            reason, after, limit, _ = worker.must(f"acquire g {PROBE}").words
            now = time.monotonic()
            longest[name] = max(longest[name], now - asked[name])
            asked[name] = now
            assert after == "-1", (reason, after, limit)
            if limit == f"edit-{number}":
                found[name] = (now - since, longest[name])
    return found


def counted(worker: Worker) -> dict[str, int]:
    """What the limits that every document has still let through, in front of their capacities."""
    limits = {entry["limit"]: entry for entry in worker.must("explain g").json["limits"]}
    return {
        "level": limits["pace"]["remaining"], "used": limits["tpm"]["used"],
        "held": limits["parallel"]["used"],
    }


def edited(suite: Suite) -> None:
    with Place() as place:
        policy = place.policy(document(0))
        workers = [place.opened(language, policy, "g project=acme") for language in LANGUAGES]
        # Twenty tokens each from the bucket and the window, and a permit that stays open.
        for worker in workers:
            worker.must(f"acquire g {USED // len(workers)}")
        expected = {"level": 100 - USED, "used": USED, "held": len(workers)}
        for number in range(1, EDITS + 1):
            following = place.policy(document(number), name="next")
            since = time.monotonic()
            os.rename(following, policy)
            found = in_force(workers, number, since)
            suite.check(
                f"edit {number}: every process decides by it within a second",
                len(found) == len(workers)
                and all(taken <= IN_FORCE_SECONDS + gap for taken, gap in found.values()),
                ", ".join(f"{name} {taken * 1000:.0f} ms, asked at most {gap * 1000:.0f} ms apart"
                          for name, (taken, gap) in found.items()),
            )
            kept = {worker.language: counted(worker) for worker in workers}
            suite.check(f"edit {number}: counters are kept, and converted once for all",
                        all(counts == expected for counts in kept.values()), kept)
        hashes = {worker.must("snapshot").json["policy_hash"] for worker in workers}
        suite.check("in the end all have one document", len(hashes) == 1, hashes)
        for worker in workers:
            broken = [e for e in worker.must("events").json if e["kind"] == "policy_broken"]
            suite.check(f"no edit was broken to {worker.language}", not broken, broken or "")
        check_store(suite, place.store, "edits: the store is consistent")


def run(suite: Suite) -> None:
    suite.run("watched: an edited policy file", edited)
