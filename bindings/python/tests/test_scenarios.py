"""Runs the shared table of scenarios, ``Tests/scenarios/core.cases``, through the Python package.

The table is found through ``ADMISSION_SCENARIOS``, or in the checkout that this file belongs to.
"""

from __future__ import annotations

from typing import Iterator, List, Optional

import pytest
from scenario_runner import Run
from scenario_table import Case, read_table, table_path

IDS, CASES = read_table(table_path())
RAN: List[str] = []


@pytest.fixture(scope="module", autouse=True)
def _print_ids(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    line = "scenarios core (python): " + " ".join(each for each in IDS if each in RAN)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        print(line)
        return
    with capture.global_and_fixture_disabled():
        print("\n" + line)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id} {case.title}" for case in CASES])
def test_scenario(case: Case) -> None:
    openings: List[Optional[str]] = [*case.openings] or [None]
    for opening in openings:
        run = Run(case, opening)
        try:
            for line in case.steps:
                run.step(line)
        finally:
            run.close()
        assert run.compared > 0, "nothing was compared"
    if case.id not in RAN:
        RAN.append(case.id)


def test_every_listed_id_has_a_case_and_every_case_a_listed_id() -> None:
    assert IDS and len(IDS) == len(set(IDS))
    assert {case.id for case in CASES} == set(IDS)
