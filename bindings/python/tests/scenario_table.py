"""Reads the shared table of scenarios; ``Tests/scenarios/README.md`` describes the format."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Optional, Tuple

UNITS = {"": 1, "ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
WORDS = {"never": -1, "unknown": -2}
DEFAULT_START = "1767225600s"


def table_path() -> Path:
    default = Path(__file__).resolve().parents[3] / "Tests" / "scenarios" / "core.cases"
    return Path(os.environ.get("ADMISSION_SCENARIOS", default))


class Case:
    def __init__(self, words: str) -> None:
        self.id, self.title = words.split(" ", 1)
        self.start = DEFAULT_START
        self.openings: List[str] = []
        self.steps: List[str] = []

    @property
    def scale(self) -> int:
        """How long a case's nanosecond is in a store of whole microseconds: a case that tells of
        nanoseconds runs a thousand times slower there, its limits' times with it, where it means the
        same then. Boundaries of the calendar stay, and a window above an hour has other cells."""
        tells = any(re.search("[0-9]ns", step) or step.startswith("law") for step in self.steps)
        fixed = r'"window":"(minute|hour|day|week|month|year|[4-9]s|[0-9]+[mh])"'
        return 1000 if tells and not any(re.search(fixed, each) for each in self.openings) else 1

    @property
    def is_for_servers(self) -> bool:
        """Keys of a server expire by themselves: there is nothing to reclaim."""
        return not any(step.startswith("reclaim") for step in self.steps)


def document(text: str) -> str:
    """The policy document that ``limits L`` or ``policy J`` stands for."""
    kind, body = text.split(" ", 1)
    if kind == "policy":
        return body
    assert kind == "limits", f"neither limits nor policy: {text}"
    return '{"admission":1,"policies":[{"name":"p","limits":[' + body + "]}]}"


def read_table(path: Path) -> Tuple[List[str], List[Case]]:
    ids: List[str] = []
    cases: List[Case] = []
    repeated: Optional[Tuple[int, List[str]]] = None
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if word == "ids":
            ids = rest.split()
        elif word == "case":
            cases.append(Case(rest))
        elif word == "start":
            cases[-1].start = rest
        elif word in ("limits", "policy"):
            cases[-1].openings.append(line)
        elif word == "repeat":
            repeated = (int(rest), [])
        elif word == "end" and repeated is not None:
            cases[-1].steps += repeated[1] * repeated[0]
            repeated = None
        else:
            (repeated[1] if repeated is not None else cases[-1].steps).append(line)
    return ids, cases


def number(text: str) -> int:
    """A count or a duration in nanoseconds."""
    if text in WORDS:
        return WORDS[text]
    digits = text.rstrip("nsumh")
    return int(digits) * UNITS[text[len(digits) :]]


def wait_in_log(log: List[Tuple[int, int]], now: int, n: int, limit: int, window: int) -> int:
    """How long a plain log of (instant, units) would let n wait."""
    used = 0
    for instant, units in reversed(log):
        used += units
        if used > limit - n:
            return max(0, instant + window - now)
    return 0
