"""fork(): plain in C, Python's multiprocessing, and a real gunicorn."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Optional

from harness import (
    HERE, ROOT, Place, Suite, Worker, check_store, environment, wait_until,
)

GUNICORN = os.environ.get("GUNICORN_PYTHON", f"{ROOT}/build/venv-processes/bin/python")
FORKED = os.environ.get("FORKED_C", f"{ROOT}/build/bin/process-forked")
WORKERS = 4
REQUESTS = 150
CHILDREN, ATTEMPTS = 4, 20
BACK_SECONDS = 1.0


def policy(limit: int, parallel: int, lease: str = "300ms") -> dict[str, Any]:
    return {
        "name": "main", "match": {"project": "*"}, "per": ["project"],
        "limits": [
            {"name": "rpm", "count": "requests", "limit": limit, "window": "1h"},
            {"name": "parallel", "count": "concurrency", "limit": parallel, "lease": lease},
        ],
    }


def plain(suite: Suite) -> None:
    with Place() as place:
        path = place.policy(policy(40, 6))
        result = subprocess.run(
            [FORKED, place.url, path], capture_output=True, text=True, env=environment(),
            timeout=120,
        )
        lines = result.stdout.splitlines()
        for line in lines[:-1]:
            print(f"   {line}")
        suite.check("plain fork() in C", result.returncode == 0,
                    lines[-1] if lines else result.stderr)
        check_store(suite, place.store, "fork: the store is consistent")


def multiprocessing(suite: Suite, method: str) -> None:
    limit = 50
    with Place() as place:
        path = place.policy(policy(limit, 8))
        result = subprocess.run(
            [sys.executable, f"{HERE}/pool.py", method, place.url, path, str(CHILDREN),
             str(ATTEMPTS)],
            capture_output=True, text=True, env=environment(), timeout=120,
        )
        if not suite.check(f"{method}: the program ends well", result.returncode == 0,
                           result.stderr[-500:]):
            return
        found = json.loads(result.stdout.splitlines()[-1])
        admitted = [child["admitted"] for child in found["children"]]
        wanted = min(limit - 1, CHILDREN * ATTEMPTS)
        suite.check(f"{method}: parent and children share one quota", sum(admitted) == wanted,
                    f"{admitted} and the parent's 1 of {limit}")
        if method == "fork":
            answers = {child["parents_permit"] for child in found["children"]}
            suite.check("fork: a permit of the parent is not the child's to end",
                        answers == {"not_owner"}, answers)
        suite.check(f"{method}: the parent completes its own", found["parent"] == 0)
        suite.check(f"{method}: every child ends well", set(found["exits"]) == {0}, found["exits"])


class Gunicorn:
    """A server on a free loopback port, stopped by its pid."""

    def __init__(self, place: Place, path: str, is_preloaded: bool) -> None:
        self.errors = f"{place.folder}/gunicorn.log"
        options = ["--bind", "127.0.0.1:0", "--workers", str(WORKERS), "--chdir", HERE,
                   "--graceful-timeout", "5", "--no-control-socket"]
        options += ["--preload"] if is_preloaded else []
        variables = {**environment(), "SERVING_STORE": place.url, "SERVING_POLICY": path}
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [GUNICORN, "-m", "gunicorn", *supported(options), "serving:application"],
                env=variables, stdout=errors, stderr=errors,
            )

    def log(self) -> str:
        with open(self.errors, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait(self) -> int:
        """Its port, once every worker has booted."""

        def has_booted() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"gunicorn ended: {self.log()[-2000:]}")
            return self.log().count("Booting worker") >= WORKERS and self.port is not None

        wait_until(has_booted, 30, 0.02)
        assert self.port is not None
        return self.port

    @property
    def port(self) -> Optional[int]:
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log())
        return int(found.group(1)) if found else None

    def __enter__(self) -> Gunicorn:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def supported(options: list[str]) -> list[str]:
    """Without the options that this gunicorn does not have."""
    has = subprocess.run([GUNICORN, "-m", "gunicorn", "--help"], capture_output=True, text=True)
    return [option for option in options
            if option != "--no-control-socket" or option in has.stdout]


def ask(port: int, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def gunicorn(suite: Suite, is_preloaded: bool) -> None:
    name = "gunicorn with preload" if is_preloaded else "gunicorn"
    limit = 60
    with Place() as place:
        path = place.policy(policy(limit, 14, lease="10m"))
        with Gunicorn(place, path, is_preloaded) as server:
            port = server.wait()
            imported: list[dict[str, Any]] = []

            def several_answer() -> bool:
                imported.append(ask(port, "/imported"))
                return len({answer["pid"] for answer in imported}) > 1

            wait_until(several_answer, 30)
            answers = [answer.get("ended", "opened here") for answer in imported]
            wanted = "not_owner" if is_preloaded else "opened here"
            claim = ("the master's permit is not a worker's to end" if is_preloaded
                     else "each worker opened the file itself")
            suite.check(f"{name}: {claim}", set(answers) == {wanted}, set(answers))
            auditor = place.opened("c", path, "g project=acme")
            imports = 1 if is_preloaded else WORKERS

            def all_imported() -> bool:
                """A worker's import takes a permit: one that still waits would take what comes free."""
                return uses(auditor)["parallel"] == imports

            wait_until(all_imported, 30)
            killed_worker(suite, name, port, auditor)
            wait_until(all_imported, 30)
            used = uses(auditor)["rpm"]
            with ThreadPoolExecutor(8) as threads:
                requests = list(threads.map(lambda _: ask(port, "/"), range(REQUESTS)))
            by_pid = Counter(a["pid"] for a in requests if a["admitted"])
            total = sum(by_pid.values())
            suite.check(f"{name}: what the workers admit together is the limit",
                        total == limit - used, f"{used} before, then {sorted(by_pid.values())}")
            suite.check(f"{name}: more than one worker admitted", len(by_pid) > 1, len(by_pid))
        check_store(suite, place.store, f"{name}: the store is consistent")


def uses(auditor: Worker) -> dict[str, int]:
    """What the gate's limits hold, by their names."""
    limits = auditor.must("explain g").json["limits"]
    return {entry["limit"]: entry["used"] for entry in limits}


def killed_worker(suite: Suite, name: str, port: int, auditor: Worker) -> None:
    """A worker dies with the last free slot; it is back within a second of its master's wait."""
    permits: list[str] = []

    def takes() -> bool:
        taken = auditor.must("acquire g 0")
        permits.extend([taken.permit] if taken.is_admitted else [])
        return taken.is_admitted

    while takes():
        pass
    auditor.must(f"abandon {permits.pop()}")
    holder = ask(port, "/hold")
    assert holder["admitted"] and not takes(), holder
    os.kill(holder["pid"], signal.SIGKILL)
    # Its master waits for it, then it is gone.
    wait_until(lambda: not os.path.exists(f"/proc/{holder['pid']}"), 10)
    seconds = wait_until(takes, 30)
    suite.check(f"{name}: what a killed worker held is back within {BACK_SECONDS:.0f} s",
                seconds <= BACK_SECONDS, f"{seconds * 1000:.0f} ms")
    for permit in permits:
        auditor.must(f"abandon {permit}")


def run(suite: Suite) -> None:
    suite.run("forks: plain C", plain)
    suite.run("forks: multiprocessing fork", multiprocessing, "fork")
    suite.run("forks: multiprocessing spawn", multiprocessing, "spawn")
    if not os.path.exists(GUNICORN):
        suite.skip("gunicorn", f"there is no {GUNICORN}")
        return
    suite.run("forks: gunicorn", gunicorn, False)
    suite.run("forks: gunicorn with preload", gunicorn, True)
