"""Processes as if on several hosts that share a server: clocks and zone data that differ change nothing,
and what a host held that is gone comes back with its leases."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import Any

from harness import LANGUAGES, Place, Suite, Worker, wait_until
from servers import Server

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
SKEWS = (-10, 10, 0)  # seconds, by language
LEASE_SECONDS = 1.0
PATIENT = {"deadline": "10s"}


def skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong by so much (libfaketime)."""
    if not seconds:
        return {}
    found = subprocess.run(
        ["faketime", "-f", "+0s", "sh", "-c", "echo $LD_PRELOAD"], capture_output=True, text=True)
    return {
        "LD_PRELOAD": found.stdout.strip(), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_RESET": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def limited(name: str, **kind: Any) -> dict[str, Any]:
    return {
        "name": name, "match": {name: "*"}, "per": [name],
        "limits": [{"name": name, "count": "requests", **kind}],
    }


def admitted(workers: list[Worker], gate: str, tries: int = 6) -> list[tuple[int, int]]:
    """Each tries in turn, so often; the instants of the admissions, steady and wall."""
    found = []
    for _ in range(tries):
        for worker in workers:
            answer = worker.must(f"acquire {gate} 0")
            assert "redis" in answer.words, answer
            if answer.is_admitted:
                found.append((int(answer.words[1]), int(answer.words[2])))
    return found


def clocks(suite: Suite) -> None:
    """S72: burst 4 on hosts whose clocks are 10 s off is 4 and not 8; 5 in 10 s is 5."""
    with Server() as server, Place(url=server.url) as place:
        place.settings = PATIENT
        path = place.policy(
            limited("bucket", rate="1/h", burst=4), limited("rolling", limit=5, window="10s"),
            limited("minute", limit=5, window="minute"))
        workers = [
            place.worker(language, variables=skewed(skew))
            for language, skew in zip(LANGUAGES, SKEWS)
        ]
        for worker in workers:
            worker.open(place.url, path, "bucket bucket=x", "rolling rolling=x", "minute minute=x")
        before = time.time_ns()
        buckets = admitted(workers, "bucket")
        suite.check("clocks 10 s apart: a bucket of 4 is one of 4", len(buckets) == 4, len(buckets))
        rolling = admitted(workers, "rolling")
        suite.check("clocks 10 s apart: 5 in 10 s are 5", len(rolling) == 5, len(rolling))
        minutes: dict[int, int] = {}
        for _, wall in admitted(workers, "minute"):
            minutes[wall // MINUTE] = minutes.get(wall // MINUTE, 0) + 1
        suite.check("clocks 10 s apart: 5 a minute are 5 in each minute of the server's",
                    minutes != {} and max(minutes.values()) == 5, minutes)
        after = time.time_ns()
        walls = [wall for _, wall in buckets + rolling]
        suite.check("clocks 10 s apart: decisions bear the server's time",
                    all(before <= wall + 1_000 and wall <= after for wall in walls))
        suite.check("clocks 10 s apart: they were",
                    [is_skewed(worker) for worker in workers] == [bool(skew) for skew in SKEWS])


def is_skewed(worker: Worker) -> bool:
    with open(f"/proc/{worker.pid}/maps", encoding="utf-8") as maps:
        return "libfaketime" in maps.read()


def zones(suite: Suite) -> None:
    """A day begins where the zone data of who came first say so, for everybody."""
    with Server() as server, Place(url=server.url) as place:
        place.settings = PATIENT
        path = place.policy(limited("day", limit=5, window="day", zone="America/Los_Angeles"))
        own = f"{place.folder}/zones"
        os.makedirs(f"{own}/America")
        shutil.copy("/usr/share/zoneinfo/Asia/Tokyo", f"{own}/America/Los_Angeles")
        for first in ("right", "wrong"):
            client = server.client()
            client("FLUSHALL")
            client.close()
            workers = []
            for number, language in enumerate(LANGUAGES):
                is_right = (number % 2 == 0) == (first == "right")
                worker = place.worker(language, variables={} if is_right else {"TZDIR": own})
                workers.append(worker.open(place.url, path, "day day=x"))
            days = admitted(workers, "day")
            suite.check(f"other zone data, {first} ones first: 5 a day are 5", len(days) == 5, len(days))
            resets = {worker.must("explain day").json["limits"][0]["reset_unix_ns"] for worker in workers}
            suite.check(f"other zone data, {first} ones first: one boundary for all", len(resets) == 1,
                        resets)


def leases(suite: Suite) -> None:
    """S64 and E5: what a killed process held is back with its leases, none before and none twice."""
    for slots, held in ((5, 5), (100, 30)):
        with Server() as server, Place(url=server.url) as place:
            place.settings = PATIENT
            path = place.policy({
                "name": "slots", "match": {"project": "*"}, "per": ["project"],
                "limits": [{"name": "slots", "count": "concurrency", "limit": slots,
                            "lease": f"{int(LEASE_SECONDS * 1000)}ms"}],
            })
            losses = [Loss(place, path, language, slots, held) for language in LANGUAGES]
            client = server.client()
            without = [key for key in client.keys() if client("PTTL", key) < 0]
            client.close()
            suite.check("every key expires from the first charge on", not without, without or "")
            for loss in losses:
                loss.gone.kill()
            for loss in losses:
                loss.look_early()
            for loss in losses:
                loss.check(suite)


class Loss:
    """A process that is to be killed with slots in its hands, and one that asks for them."""

    def __init__(self, place: Place, path: str, language: str, slots: int, held: int) -> None:
        self.slots, self.left, self.taken = slots, slots - held, 0
        self.claim = f"{language} killed with {held} slots of {slots}"
        self.here = place.opened("c", path, f"g project={language}")
        self.gone = place.opened(language, path, f"g project={language}")
        self.first = time.monotonic()
        for _ in range(held):
            assert self.gone.must("acquire g 0").is_admitted

    def is_given(self) -> bool:
        is_admitted = self.here.must("acquire g 0").is_admitted
        self.taken += is_admitted
        return is_admitted

    def look_early(self) -> None:
        while self.is_given():
            pass
        self.is_early = time.monotonic() - self.first < LEASE_SECONDS

    def check(self, suite: Suite) -> None:
        if self.is_early:
            suite.check(f"{self.claim}: {self.left} are left at first", self.taken == self.left, self.taken)
        wait_until(self.is_given, 4 * LEASE_SECONDS)
        back = time.monotonic() - self.first
        suite.check(f"{self.claim}: none is back before its lease has passed", back >= LEASE_SECONDS,
                    f"{back:.3f} s")
        wait_until(lambda: self.is_given() and self.taken >= self.slots, 4 * LEASE_SECONDS)
        suite.check(f"{self.claim}: all are back, and none twice",
                    not any(self.is_given() for _ in range(3)), self.taken)


def run(suite: Suite) -> None:
    suite.run("hosts: clocks", clocks)
    suite.run("hosts: zone data", zones)
    suite.run("hosts: leases", leases)
