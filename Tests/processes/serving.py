"""What gunicorn serves: each request asks the gate. SERVING_STORE and SERVING_POLICY say of what.

Opened when the module is imported: with preload_app once, before the workers are forked, and
without it in each worker.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterable
from typing import Any

import admission

limiter = admission.Limiter(os.environ["SERVING_POLICY"], os.environ["SERVING_STORE"])
gate = limiter.gate(project="acme")
opened_by = os.getpid()


def patient(seconds: float) -> admission.Permit:
    """A permit, as soon as there is one: the slot of a worker that was killed is not back at once."""
    deadline = time.monotonic() + seconds
    while True:
        taken = gate.try_acquire().permit
        if taken is not None:
            return taken
        if time.monotonic() > deadline:
            raise TimeoutError(f"no permit within {seconds} s")
        select.select([], [], [], 0.005)


permit = patient(20)  # of whoever imports this
held: list[admission.Permit] = []


def answer(path: str) -> dict[str, Any]:
    if path == "/imported":
        if opened_by == os.getpid():
            return {"imported_here": True}
        try:
            return {"ended": int(permit.complete())}
        except admission.AdmissionError as failure:
            return {"ended": failure.name}
    decision = gate.try_acquire()
    if decision.permit is not None:
        if path == "/hold":
            held.append(decision.permit)
        else:
            decision.permit.complete()
    return {"admitted": decision.admitted, "reason": decision.reason}


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = json.dumps({**answer(environ["PATH_INFO"]), "pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("Content-Length", str(len(body)))])
    return [body]
