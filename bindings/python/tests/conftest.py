"""What the tests share: limiters on a manual clock, closed at the end of each test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import admission

START_UNIX_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC


def pytest_report_header() -> str:
    return f"library: {admission.library_path}"


def policy(*limits: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A document with one policy ``p`` of these limits."""
    return {"admission": 1, "policies": [{"name": "p", "limits": list(limits), **rest}]}


def requests(limit: int = 10) -> dict[str, Any]:
    return {"name": "rpm", "count": "requests", "limit": limit, "window": "1m"}


def tokens(limit: int = 1_000) -> dict[str, Any]:
    return {"name": "tpm", "count": "input_tokens", "limit": limit, "window": "1m"}


def parallel(limit: int = 2, **rest: Any) -> dict[str, Any]:
    return {"name": "parallel", "count": "concurrency", "limit": limit, **rest}


def remaining(gate: admission.Gate, limit: str) -> int:
    """What a limit of the gate has left."""
    found = [each for each in gate.explain()["limits"] if each["limit"] == limit]
    return int(found[0]["remaining"])


Open = Callable[..., admission.Limiter]


@pytest.fixture
def open_limiter() -> Iterator[Open]:
    """Opens limiters in memory on a manual clock."""
    opened = []

    def open_one(document: Any, **options: Any) -> admission.Limiter:
        options = {"clock": "manual", "start_unix_ns": START_UNIX_NS, **options}
        opened.append(admission.Limiter(document, "memory:", **options))
        return opened[-1]

    yield open_one
    for limiter in opened:
        limiter.close()


@pytest.fixture
def checkout() -> Path:
    """The checkout's files that tests read; a copy of them where the wheel is tested."""
    here = Path(__file__).resolve()
    return Path(os.environ.get("ADMISSION_TEST_CHECKOUT", str(here.parents[3])))
