"""Enforces a Gemini-like policy live and prints each decision.

    python Examples/python/demo.py [POLICY] [CALLS]

``POLICY`` defaults to Examples/policies/gemini-live.json: RPM, TPM and RPD of a model, eight calls in
flight, and a pace of 5 calls a second for the tenant, which is what binds here.
"""

import sys
from pathlib import Path

from admission import Limiter

POLICY = Path(__file__).resolve().parents[1] / "policies" / "gemini-live.json"


def call_the_model(number):
    """Stands for the provider: says how many tokens the call used."""
    return {"input_tokens": 900 + 40 * (number % 5), "output_tokens": 120}


def main(policy=POLICY, calls=15):
    with Limiter(policy) as limiter:
        gate = limiter.gate(provider="gemini", model="gemini-2.5-flash", project="acme", tenant="web")
        for number in range(1, int(calls) + 1):
            decision = gate.try_acquire(input_tokens=1200)
            print(f"call {number:2}: {decision}")
            if decision:
                with decision.permit as permit:
                    permit.complete(**call_the_model(number))
            elif decision.retry_after is not None:
                print(f"         … a caller that waits comes back in {decision.retry_after:.3f} s")
        print()
        for limit in gate.explain(input_tokens=1200)["limits"]:
            name = f"{limit['policy']}/{limit['limit']}"
            print(f"{name:24}{limit['used']:>8} of {limit['capacity']:<9} used, {limit['kind']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
