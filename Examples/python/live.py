"""Enforces a policy live, on the system clock, and prints each decision.

    python Examples/python/live.py Examples/policies/gemini.json
"""

import sys
from pathlib import Path

from admission import Limiter

POLICY = Path(__file__).resolve().parents[1] / "policies" / "gemini.json"


def again(decision):
    """When a caller that was refused may come back."""
    if decision.is_never:
        return "never"
    if decision.retry_after is None:
        return "when a call ends"
    return f"in {decision.retry_after_ns // 1_000_000} ms"


def main(path=POLICY):
    with Limiter(Path(path)) as limiter:
        gate = limiter.gate(provider="gemini", model="gemini-2.5-flash", project="acme")
        print("call  input tokens  decision    left of the limit that binds")
        for call in range(1, 21):
            # Long prompts, every fourth a short one; the last is longer than the limit itself.
            tokens = 1_200_000 if call == 20 else 8_000 if call % 4 == 0 else 90_000
            decision = gate.try_acquire(input_tokens=tokens)
            left = f"{decision.limit_name or 'no limit'}: {decision.remaining} of {decision.limit}"
            if not decision:
                print(f"{call:4}  {tokens:12}  rejected    {left}, again {again(decision)}")
                continue
            print(f"{call:4}  {tokens:12}  admitted    {left}")
            with decision.permit as permit:
                # The call is made here; then its permit is completed with what it really used.
                permit.complete(input_tokens=tokens * 9 // 10, output_tokens=250)


if __name__ == "__main__":
    main(*sys.argv[1:])
