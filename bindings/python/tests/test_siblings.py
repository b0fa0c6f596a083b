"""A process that counts in memory beside others is warned: together they admit too much."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from typing import Any

import pytest
from conftest import policy, requests
from processes import in_child

import admission

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="marks are abstract sockets, which Linux has"
)
_numbers = itertools.count()


@pytest.fixture
def document() -> dict[str, Any]:
    """A policy of this test alone."""
    return policy({**requests(10), "name": f"{os.getpid()} {next(_numbers)}"})


def opens_with(document: Any, times: int = 1, **options: Any) -> int:
    """Opens limiters and closes them; how many warnings there were."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limiters = [admission.Limiter(document, "memory:", **options) for _ in range(times)]
        for limiter in limiters:
            limiter.close()
    for each in caught:
        assert each.category is RuntimeWarning and each.filename == __file__
        assert "N times the limits" in str(each.message)
    return len(caught)


def test_one_process_is_not_warned(document: dict[str, Any]) -> None:
    assert opens_with(document, times=3) == 0
    assert in_child(lambda: opens_with(document)) == 0


def test_the_second_of_two_siblings_is_warned_once(document: dict[str, Any]) -> None:
    def first() -> tuple[int, int]:
        # The first worker holds its limiter open while the second one, its sibling, opens another.
        reader, writer = os.pipe()
        done_reader, done_writer = os.pipe()
        worker = os.fork()
        if worker == 0:
            limiter = admission.Limiter(document, "memory:")
            os.write(writer, b"x")
            os.read(done_reader, 1)
            limiter.close()
            os._exit(0)
        os.read(reader, 1)
        beside = in_child(lambda: opens_with(document, times=3))
        os.write(done_writer, b"x")
        os.waitpid(worker, 0)
        return beside, in_child(lambda: opens_with(document))

    assert in_child(first) == (1, 0)


def test_a_child_that_opens_its_own_beside_its_parents_is_warned(document: dict[str, Any]) -> None:
    with admission.Limiter(document, "memory:") as limiter:
        assert in_child(lambda: opens_with(document)) == 1
        gate = limiter.gate()
        assert in_child(lambda: bool(gate.try_charge()))
    assert in_child(lambda: opens_with(document)) == 0


def test_a_parent_that_opens_beside_its_child_is_warned(document: dict[str, Any]) -> None:
    reader, writer = os.pipe()
    done_reader, done_writer = os.pipe()
    child = os.fork()
    if child == 0:
        limiter = admission.Limiter(document, "memory:")
        os.write(writer, b"x")
        os.read(done_reader, 1)
        limiter.close()
        os._exit(0)
    os.read(reader, 1)
    try:
        assert opens_with(document) == 1
    finally:
        os.write(done_writer, b"x")
        os.waitpid(child, 0)


def test_other_policies_and_manual_clocks_are_not_meant(document: dict[str, Any]) -> None:
    other = policy({**requests(11), "name": "other"})
    with admission.Limiter(document, "memory:"):
        assert in_child(lambda: opens_with(other)) == 0
        assert in_child(lambda: opens_with(document, clock="manual")) == 0
