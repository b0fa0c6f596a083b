"""Runs the shared table of scenarios, ``Tests/scenarios/core.cases``, through the Python package.

The table is found through ``ADMISSION_SCENARIOS``, or in the checkout that this file belongs to.
"""

from __future__ import annotations

import os
from typing import Iterator, List, Optional

import pytest
from scenario_runner import Run, store_name
from scenario_table import Case, read_table, table_path

IDS, CASES = read_table(table_path())
_, REFUSED = read_table(table_path().with_name("refused.cases"))
RAN: List[str] = []


@pytest.fixture(scope="module", autouse=True)
def _print_ids(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    line = f"scenarios core (python, {store_name()}): " + " ".join(each for each in IDS if each in RAN)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        print(line)
        return
    with capture.global_and_fixture_disabled():
        print("\n" + line)


if store_name() == "redis":
    CASES = [case for case in CASES if case.is_for_servers]
ONLY = os.environ.get("ADMISSION_SCENARIO_IDS", "").split()
if ONLY:
    CASES = [case for case in CASES if case.id in ONLY]


def names(cases: List[Case]) -> List[str]:
    return [f"{case.id} {case.title}" for case in cases]


def run_case(case: Case) -> None:
    openings: List[Optional[str]] = [*case.openings] or [None]
    for opening in openings:
        run = Run(case, opening)
        try:
            for line in case.steps:
                run.step(line)
        finally:
            run.close()
        assert run.compared > 0, "nothing was compared"


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_scenario(case: Case) -> None:
    run_case(case)
    if case.id not in RAN:
        RAN.append(case.id)


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_a_case_that_does_not_hold_fails(case: Case) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, KeyError)):
        run_case(case)


def test_every_listed_id_has_a_case_and_every_case_a_listed_id() -> None:
    assert IDS and len(IDS) == len(set(IDS))
    assert {case.id for case in read_table(table_path())[1]} == set(IDS)
    assert len(REFUSED) > 0
