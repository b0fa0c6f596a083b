"""The law of the shared table: refused until the reported instant, admitted at it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Tuple

from scenario_table import UNITS, document, wait_in_log

if TYPE_CHECKING:
    from scenario_runner import Run

MASK = 2**64 - 1


class Law:
    """Random limits of one kind, in the sequence that a seed gives in every language."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.state = kind, seed
        self.admitted = self.refused = 0

    def draw(self, below: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % below

    def limit(self) -> Tuple[str, int, int, int]:
        """The limit's JSON, its capacity, the stride and, for a rolling limit, the window."""
        if self.kind == "bucket":
            units, multiple = 1 + self.draw(1000), 1 + self.draw(100)
            unit, capacity = ("ms", "s", "m", "h")[self.draw(4)], 1 + self.draw(100)
            bound: Dict[str, Any] = {"rate": f"{units}/{multiple}{unit}", "burst": capacity}
            stride, window = multiple * UNITS[unit] // units + 1, 0
        else:
            assert self.kind == "rolling", f"unknown law: {self.kind}"
            capacity, multiple = 1 + self.draw(20), 1 + self.draw(60)
            unit = ("ms", "s", "m")[self.draw(3)]
            bound = {"limit": capacity, "window": f"{multiple}{unit}"}
            window = multiple * UNITS[unit]
            stride = window // capacity + 1
        return json.dumps({"name": "law", "count": "requests", **bound}), capacity, stride, window

    def round(self, run: Run, steps: int) -> None:
        text, capacity, stride, window = self.limit()
        run.limiter = run.open(document("limits " + text))
        run.gates["law"] = run.limiter.gate()
        run.elapsed, run.zero = 0, None
        log = run.log["law"] = []
        slack = 61 * -(-window // 60) - window
        for _ in range(steps):
            n = 1 + self.draw(capacity)
            outcome = run.ask("law", {"requests": n})
            if outcome.ok:
                self.admitted += 1
                if self.draw(2) == 1:
                    run.advance(self.draw(stride))
                continue
            self.refused += 1
            where = f"{run.line}: {text} n={n}"
            assert outcome.retry > 0, where
            if window > 0:
                least = wait_in_log(log, outcome.decided_at, n, capacity, window)
                assert least <= outcome.retry <= least + slack, f"{where}: log {least}"
            x = self.draw(outcome.retry)
            run.advance(x)
            again = run.ask("law", {"requests": n})
            assert not again.ok and again.retry == outcome.retry - x, f"{where}: {again.retry}"
            run.advance(outcome.retry - run.tick - x)
            run.edge(lambda: run.ask("law", {"requests": n}))
            self.admitted += 1
        run.limiter.close()
        run.limiter = None
