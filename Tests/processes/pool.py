"""A program of its own for multiprocessing: pool.py fork|spawn STORE-URL POLICY CHILDREN ATTEMPTS
prints what its children found, as JSON."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any, Optional

import admission

limiter: Optional[admission.Limiter] = None
gate: Optional[admission.Gate] = None
permit: Optional[admission.Permit] = None


def child(store: Optional[tuple[str, str]], attempts: int, answers: Any) -> None:
    """Uses the limiter that it inherited, or opens the store itself."""
    ours = gate
    if store is not None:
        ours = admission.Limiter(store[1], store[0]).gate(project="acme")
    assert ours is not None
    parents = None
    if permit is not None:
        try:
            permit.complete()
            parents = "completed"
        except admission.AdmissionError as failure:
            parents = failure.name
    own = 0
    for _ in range(attempts):
        mine = ours.try_acquire().permit
        if mine is not None:
            own += 1
            assert mine.complete() == admission.Settlement.SETTLED
    answers.put({"admitted": own, "parents_permit": parents})


def main(method: str, url: str, policy: str, count: str, attempts: str) -> None:
    global limiter, gate, permit
    context = multiprocessing.get_context(method)
    limiter = admission.Limiter(policy, url)
    gate = limiter.gate(project="acme")
    permit = gate.acquire()
    answers = context.Queue()
    store = None if method == "fork" else (url, policy)
    arguments = (store, int(attempts), answers)
    children = [context.Process(target=child, args=arguments) for _ in range(int(count))]
    for process in children:
        process.start()
    found = [answers.get(timeout=60) for _ in children]
    for process in children:
        process.join(60)
    print(json.dumps({
        "children": found,
        "exits": [process.exitcode for process in children],
        "parent": int(permit.complete()),
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
