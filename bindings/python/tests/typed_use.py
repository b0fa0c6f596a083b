"""What callers write, for mypy --strict; ``test_examples.py`` runs it."""

from __future__ import annotations

from typing import Any, Optional

from admission import Decision, Gate, Limiter, Permit, Rejected, Settlement

POLICY: dict[str, Any] = {
    "admission": 1,
    "policies": [
        {"name": "p", "limits": [{"name": "rpm", "count": "requests", "limit": 2, "window": "1m"}]}
    ],
}


def main() -> list[str]:
    said: list[str] = []
    with Limiter(POLICY, "memory:", clock="manual") as limiter:
        gate: Gate = limiter.gate({"user-id": "7"}, project="acme")
        decision: Decision = gate.try_acquire(input_tokens=10, images=1)
        permit: Optional[Permit] = decision.permit
        if permit is not None:
            settlement: Settlement = permit.complete(input_tokens=8, exact=False)
            said.append(settlement.name)
        with gate.acquire(extra={"images": 2}, not_sent=(ConnectionRefusedError,)) as held:
            held.add(output_tokens=5)
        try:
            gate.acquire()
        except Rejected as rejected:
            after: Optional[float] = rejected.decision.retry_after
            said.append(f"{rejected.decision.reason} {after is not None}")
    return said
