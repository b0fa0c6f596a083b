"""The rows measured in Python: rivals from PyPI, our binding beside them, a plain ctypes call.

    python rivals.py ROW SECONDS

Each rival is used as its documentation shows, in memory, with one limit too large to refuse. The
binding's rows need PYTHONPATH and the library (`Benchmarks/run` sets both), `ctypes-call` the small
library of unit.c in ADMISSION_BENCH_UNIT.
"""

import asyncio
import ctypes
import json
import os
import sys
import time
from typing import Callable, Dict

BATCH = 100


def per_call(batch: Callable[[int], None], seconds: float) -> float:
    """Nanoseconds a call: the fastest tenth's slowest batch, the loop's own share left in."""
    warm = time.perf_counter() + seconds / 10
    while time.perf_counter() < warm:
        batch(BATCH)
    samples = []
    last = time.perf_counter_ns()
    end = last + int(seconds * 1e9)
    while last < end:
        batch(BATCH)
        now = time.perf_counter_ns()
        samples.append((now - last) / BATCH)
        last = now
    return sorted(samples)[len(samples) // 10]


def ctypes_call(seconds: float) -> float:
    library = ctypes.CDLL(os.environ["ADMISSION_BENCH_UNIT"])
    function = library.admission_bench_unit
    function.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int32

    def batch(calls: int) -> None:
        for _ in range(calls):
            function(1, 1200, 1 << 40)

    return per_call(batch, seconds)


def limits_row(strategy: str) -> Callable[[float], float]:
    def row(seconds: float) -> float:
        import limits
        import limits.storage
        import limits.strategies

        limiter = getattr(limits.strategies, strategy)(limits.storage.MemoryStorage())
        item = limits.parse("1000000000/minute")

        def batch(calls: int) -> None:
            for _ in range(calls):
                if not limiter.hit(item, "acme"):
                    raise RuntimeError("refused")

        return per_call(batch, seconds)

    return row


def throttled_row(using: str) -> Callable[[float], float]:
    def row(seconds: float) -> float:
        import throttled
        from throttled import rate_limiter, store

        throttle = throttled.Throttled(
            key="acme",
            using=getattr(throttled.RateLimiterType, using).value,
            quota=rate_limiter.per_sec(1_000_000_000, burst=1_000_000_000),
            store=store.MemoryStore(),
        )

        def batch(calls: int) -> None:
            for _ in range(calls):
                if throttle.limit().limited:
                    raise RuntimeError("refused")

        return per_call(batch, seconds)

    return row


def pyrate(seconds: float) -> float:
    from pyrate_limiter import Duration, Limiter, Rate

    limiter = Limiter(Rate(1_000_000_000, Duration.MINUTE))

    def batch(calls: int) -> None:
        for _ in range(calls):
            if not limiter.try_acquire("acme"):
                raise RuntimeError("refused")

    return per_call(batch, seconds)


def aiolimiter_row(seconds: float) -> float:
    import aiolimiter

    async def measure() -> float:
        limiter = aiolimiter.AsyncLimiter(1_000_000_000, 1)
        warm = time.perf_counter() + seconds / 10
        while time.perf_counter() < warm:
            async with limiter:
                pass
        samples = []
        last = time.perf_counter_ns()
        end = last + int(seconds * 1e9)
        while last < end:
            for _ in range(BATCH):
                async with limiter:
                    pass
            now = time.perf_counter_ns()
            samples.append((now - last) / BATCH)
            last = now
        return sorted(samples)[len(samples) // 10]

    return asyncio.run(measure())


def policy(limits: str) -> str:
    return (
        '{"admission": 1, "policies": [{"name": "bench", "per": ["project"], "limits": ['
        + limits
        + "]}]}"
    )


BUCKET = '{"name": "pace", "count": "requests", "rate": "1000000000/s", "burst": 1000000000}'
FOUR = (
    '{"name": "rpm", "count": "requests", "limit": 1000000000000, "window": "1m"},'
    '{"name": "tpm", "count": "input_tokens", "limit": 1000000000000, "window": "1m"},'
    '{"name": "rpd", "count": "requests", "limit": 1000000000000, "window": "day",'
    ' "zone": "America/Los_Angeles"},'
    '{"name": "parallel", "count": "concurrency", "limit": 8, "lease": "30s"}'
)


def admission_charge(seconds: float) -> float:
    import admission

    with admission.Limiter(policy(BUCKET)) as limiter:
        gate = limiter.gate(project="acme")

        def batch(calls: int) -> None:
            for _ in range(calls):
                if not gate.try_charge():
                    raise RuntimeError("refused")

        return per_call(batch, seconds)


def admission_acquire(limits: str, tokens: int) -> Callable[[float], float]:
    def row(seconds: float) -> float:
        import admission

        with admission.Limiter(policy(limits)) as limiter:
            gate = limiter.gate(project="acme")

            def batch(calls: int) -> None:
                for _ in range(calls):
                    decision = gate.try_acquire(input_tokens=tokens)
                    if not decision:
                        raise RuntimeError("refused")
                    decision.permit.complete()

            return per_call(batch, seconds)

    return row


def admission_settle(seconds: float) -> float:
    import admission

    with admission.Limiter(policy(FOUR)) as limiter:
        gate = limiter.gate(project="acme")

        def batch(calls: int) -> None:
            for _ in range(calls):
                decision = gate.try_acquire(input_tokens=1200)
                if not decision:
                    raise RuntimeError("refused")
                decision.permit.complete(input_tokens=800, output_tokens=150)

        return per_call(batch, seconds)


ROWS: Dict[str, Callable[[float], float]] = {
    "ctypes-call": ctypes_call,
    "limits-fixed": limits_row("FixedWindowRateLimiter"),
    "limits-moving": limits_row("MovingWindowRateLimiter"),
    "throttled-bucket": throttled_row("TOKEN_BUCKET"),
    "throttled-gcra": throttled_row("GCRA"),
    "pyrate": pyrate,
    "aiolimiter": aiolimiter_row,
    "admission-charge": admission_charge,
    "admission-one": admission_acquire(BUCKET, 0),
    "admission-four": admission_acquire(FOUR, 1200),
    "admission-settle": admission_settle,
}


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in ROWS:
        print(f"usage: rivals.py ROW SECONDS; rows: {' '.join(ROWS)}", file=sys.stderr)
        return 2
    print(json.dumps({"ns": round(ROWS[sys.argv[1]](float(sys.argv[2])), 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
