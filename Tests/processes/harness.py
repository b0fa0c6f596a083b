"""Worker processes in three languages, spoken to line by line, and how the checks are counted."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
IS_SOAK = bool(os.environ.get("ADMISSION_SOAK"))
LANGUAGES = ("c", "swift", "python")
ANSWER_SECONDS = 30.0
"""The longest that an answer may take before the worker counts as hung."""

COMMANDS = {
    "c": [os.environ.get("WORKER_C", f"{ROOT}/build/bin/process-worker")],
    "swift": [os.environ.get("WORKER_SWIFT", f"{ROOT}/build/bin/process-worker-swift")],
    "python": [sys.executable, f"{HERE}/worker.py"],
}


def environment() -> dict[str, str]:
    """Python finds the binding of this checkout, and it the library that was just built."""
    library = os.environ.get("ADMISSION_LIBRARY", f"{ROOT}/build/lib/libadmission.so.0")
    paths = f"{HERE}:{ROOT}/bindings/python/src"
    return {
        **os.environ,
        "PYTHONPATH": paths,
        "ADMISSION_LIBRARY": library,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SWIFT_BACKTRACE": "enable=no",  # what a worker dies of is looked at by its driver
    }


class Suite:
    """Counts claims, prints them as they are decided."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def check(self, claim: str, holds: bool, figures: object = "") -> bool:
        text = f" ({figures})" if figures != "" else ""
        if holds:
            self.passed += 1
            print(f"ok: {claim}{text}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED: {claim}{text}", flush=True)
        return holds

    def skip(self, claim: str, why: str) -> None:
        self.skipped += 1
        print(f"skipped: {claim}: {why}", flush=True)

    def run(self, name: str, part: Callable[..., None], *arguments: Any) -> None:
        """Runs a part; what it raises is a failure of its own, and the next part runs all the same."""
        print(f"-- {name}", flush=True)
        start = time.monotonic()
        try:
            part(self, *arguments)
        except Exception as failure:  # a hung or dead worker ends its part alone
            import traceback

            traceback.print_exc(file=sys.stdout)
            self.check(f"{name} comes to its end", False, repr(failure))
        print(f"   {name}: {time.monotonic() - start:.1f} s", flush=True)

    def finish(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


class Answer:
    """One line of a worker, as README.md lists them."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.kind, _, self.rest = line.partition(" ")

    @property
    def words(self) -> list[str]:
        return self.rest.split(" ")

    @property
    def is_admitted(self) -> bool:
        return self.kind == "admitted"

    @property
    def permit(self) -> str:
        if not self.is_admitted:
            raise AssertionError(f"no permit: {self.line}")
        return self.words[0]

    @property
    def error(self) -> Optional[str]:
        """The status' name, None where it is no error."""
        return self.words[0] if self.kind == "error" else None

    @property
    def json(self) -> Any:
        if self.kind != "json":
            raise AssertionError(f"no JSON: {self.line}")
        return json.loads(self.rest)

    def __repr__(self) -> str:
        return self.line


class Gone(Exception):
    """The worker ended or was killed before it answered."""


class Worker:
    """A worker process. Ends with its ``with`` block at the latest. ``launcher``: a command that starts
    it, as its child or in its own place. ``variables``: more of its environment."""

    def __init__(
        self, language: str, launcher: Sequence[str] = (),
        variables: Optional[dict[str, str]] = None, **options: Any,
    ) -> None:
        self.language = language
        self.process = subprocess.Popen(
            [*launcher, *COMMANDS[language]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env={**environment(), **(variables or {})}, **options,
        )
        self.buffer = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            raise Gone(f"{self.language} worker {self.pid} before {line!r}") from None

    def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        """The next line; raises ``Gone`` or ``TimeoutError``."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError(f"{self.language} worker {self.pid}: no answer in {seconds} s")
            piece = os.read(self.process.stdout.fileno(), 65_536)
            if not piece:
                raise Gone(f"{self.language} worker {self.pid}")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return Answer(line.decode())

    def ask(self, line: str, seconds: float = ANSWER_SECONDS) -> Answer:
        self.send(line)
        return self.answer(seconds)

    def must(self, line: str) -> Answer:
        """Asks for what has to go well."""
        answer = self.ask(line)
        if answer.kind == "error":
            raise AssertionError(f"{self.language}: {line}: {answer}")
        return answer

    def open(self, url: str, policy: str, *gates: str) -> Worker:
        self.must(f"open {url} {policy}")
        for gate in gates:
            self.must(f"gate {gate}")
        return self

    def kill(self) -> int:
        """SIGKILL; the monotonic ns right before it was sent. The process is not waited for."""
        now = time.monotonic_ns()
        os.kill(self.pid, signal.SIGKILL)
        return now

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def quit(self) -> None:
        """Ends it in its own way."""
        self.send("quit")
        self.process.wait(ANSWER_SECONDS)
        self.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


class Place:
    """A folder for one part's store, policies and logs, and the workers that live there."""

    def __init__(self, where: Optional[str] = None, url: Optional[str] = None) -> None:
        self.folder = tempfile.mkdtemp(prefix="admission-processes-", dir=where)
        os.chmod(self.folder, 0o755)
        self.store = f"{self.folder}/quota"
        self.url = url or f"file:{self.store}"
        self.settings: dict[str, Any] = {}  # the documents' ``store``
        self.workers: list[Worker] = []

    def policy(self, *policies: dict[str, Any], name: str = "policy") -> str:
        path = f"{self.folder}/{name}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"admission": 1, "store": self.settings, "policies": policies}, file)
        return path

    def worker(self, language: str, *arguments: Any, **options: Any) -> Worker:
        worker = Worker(language, *arguments, **options)
        self.workers.append(worker)
        return worker

    def opened(self, language: str, policy: str, *gates: str) -> Worker:
        """A worker with the store and these gates open."""
        return self.worker(language).open(self.url, policy, *gates)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: Any) -> None:
        for worker in self.workers:
            worker.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(holds: Callable[[], bool], seconds: float, pace_seconds: float = 0.002) -> float:
    """Looks until it holds, at most so long; the seconds that it took. Raises ``TimeoutError``."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"not within {seconds} s")
        select.select([], [], [], pace_seconds)
    return time.monotonic() - start


def check_store(suite: Suite, store: str, claim: str) -> None:
    """Has the command verify the segment."""
    command = os.environ.get("ADMISSION_COMMAND", f"{ROOT}/build/bin/admission-debug")
    if not os.path.exists(command):
        suite.skip(claim, f"there is no {command}")
        return
    result = subprocess.run(
        [command, "inspect", "--check", store], capture_output=True, text=True, timeout=60
    )
    output = (result.stdout + result.stderr).strip()
    if "Unknown option" in output or "unexpected argument" in output.lower():
        suite.skip(claim, "the command has no inspect --check")
        return
    last = output.splitlines()[-1] if output else ""
    if not suite.check(claim, result.returncode == 0, last):
        print(output)
