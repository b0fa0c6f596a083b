"""Where steady time is read from, and what the snapshot says about it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

COUNTERS = {"tsc": "tsc", "arch_sys_counter": "cntvct"}
SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")

PROGRAM = """
import json
from admission import Limiter
limiter = Limiter({"admission": 1, "policies": [{"name": "p", "limits": [
    {"name": "pace", "count": "requests", "rate": "1000/1ms", "burst": 1000000}]}]}, "memory:")
gate = limiter.gate()
instants = [gate.try_charge().decided_at_ns for _ in range(20000)]
assert instants == sorted(instants), "steady time went back"
print(json.dumps(limiter.snapshot()))
"""


def snapshot(**environment: str) -> Dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: Dict[str, Any] = json.loads(result.stdout)
    return found


def test_kernel_clock_serves_where_the_counter_is_not_trusted() -> None:
    found = snapshot(ADMISSION_CLOCK_SOURCE="clock_gettime")
    assert found["clock_source"] == "clock_gettime"
    assert "ADMISSION_CLOCK_SOURCE" in found["clock_reason"]


def test_counter_serves_exactly_where_the_kernel_keeps_time_by_it() -> None:
    kernel = SOURCE.read_text().strip() if SOURCE.exists() else "none"
    found = snapshot()
    assert found["clock_source"] == COUNTERS.get(kernel, "clock_gettime")
    if kernel not in COUNTERS:
        assert kernel in found["clock_reason"] or str(SOURCE) in found["clock_reason"]
