"""A process under test, in Python: takes one command a line on standard input and answers each with one
line, as worker.c does. README.md beside it lists the commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Optional

from drive import drive

import admission


class Worker:
    """One limiter, its gates by name, and the open permits by a number of the worker's own."""

    def __init__(self, limiter: Optional[admission.Limiter] = None) -> None:
        self.limiter = limiter
        self.gates: dict[str, admission.Gate] = {}
        self.permits: dict[int, admission.Permit] = {}
        self.numbers = 0

    def ready(self) -> str:
        return "ok"

    def open(self, url: str, policy: str, heartbeat: str = "automatic") -> str:
        self.limiter = admission.Limiter(policy, url, heartbeat=heartbeat)
        return "ok"

    def gate(self, name: str, *attributes: str) -> str:
        assert self.limiter is not None
        self.gates[name] = self.limiter.gate([tuple(a.split("=", 1)) for a in attributes])
        return "ok"

    def acquire(self, name: str, tokens: str) -> str:
        decision = self.gates[name].try_acquire(input_tokens=int(tokens))
        if decision.permit is None:
            after = decision.retry_after_ns
            wait = after if after is not None else -1 if decision.is_never else -2
            return f"rejected {decision.reason} {wait} {decision.limit_name} {decision.store_mode}"
        self.numbers += 1
        self.permits[self.numbers] = decision.permit
        instants = f"{decision.decided_at_ns} {decision.decided_at_unix_ns}"
        return f"admitted {self.numbers} {instants} {decision.store_mode}"

    def complete(self, permit: str, tokens: Optional[str] = None) -> str:
        usage = None if tokens is None else int(tokens)
        return self.end(permit, lambda held: held.complete(input_tokens=usage))

    def abandon(self, permit: str) -> str:
        return self.end(permit, lambda held: held.abandon())

    def drop(self, permit: str) -> str:
        return self.end(permit, lambda held: held.drop())

    def end(self, permit: str, how: Callable[[admission.Permit], admission.Settlement]) -> str:
        held = self.permits.pop(int(permit), None)
        return "status 400" if held is None else f"status {how(held).value}"

    def renew(self, permit: str) -> str:
        return f"status {self.permits[int(permit)].renew().value}"

    def drive(self, name: str, path: str) -> str:
        drive(self.gates[name], path)
        return "ok"

    def explain(self, name: str) -> str:
        return "json " + json.dumps(self.gates[name].explain())

    def events(self) -> str:
        assert self.limiter is not None
        return "json " + json.dumps(self.limiter.events())

    def snapshot(self) -> str:
        assert self.limiter is not None
        return "json " + json.dumps(self.limiter.snapshot())

    def metrics(self) -> str:
        assert self.limiter is not None
        return "text " + self.limiter.metrics().replace("\n", "|")

    def close(self) -> str:
        self.gates.clear()
        if self.limiter is not None:
            self.limiter.close()
        self.limiter = None
        return "ok"

    def become(self, user: str, group: str) -> str:
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
        return "ok"

    def obey(self, words: list[str]) -> str:
        verb: Callable[..., Any] = getattr(self, words[0])
        try:
            return str(verb(*words[1:]))
        except admission.AdmissionError as failure:
            if words[0] in ("complete", "abandon", "drop", "renew"):
                return f"status {int(failure.code)}"
            return f"error {failure.name} {failure.message}"


def serve(worker: Worker, commands: Any = sys.stdin, answers: Any = sys.stdout) -> None:
    """Obeys until ``quit`` or the end of the commands."""
    for line in commands:
        words = line.split()
        if words == ["quit"]:
            break
        if words:
            print(worker.obey(words), file=answers, flush=True)


if __name__ == "__main__":
    serve(Worker())
