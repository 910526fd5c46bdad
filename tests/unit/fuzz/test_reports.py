import pytest

from tests.fuzz.jobs import CASES_MIN, PHASES, jobs
from tests.fuzz.reports import Finding, Report, Tally

GET = "GET /a"


def test_the_sum_of_reports_says_how_many_answers_are_200() -> None:
    tally, other = Tally(), Tally()
    tally.report(Report(job="x", phase="coverage", cases={GET: 2}, answers={GET: {200: 1, 400: 2}}))
    other.report(Report(job="y", phase="fuzzing", cases={GET: 1}, answers={GET: {200: 1}}))
    tally.add(other)
    assert (tally.cases.total(), tally.answered, tally.of(GET, 400)) == (3, 0.5, 2)
    assert tally.table().splitlines()[-1] == "3 cases (coverage 2, fuzzing 1); 50.0% of 4 answers are 200"


def test_nothing_answered_is_no_share_of_200() -> None:
    assert Tally().answered == 0


def test_findings_are_of_one_kind_when_their_first_lines_agree() -> None:
    first, second = (
        Finding(operation=GET, check="engine", message=f"broken\n{detail}", request=detail) for detail in "ab"
    )
    assert first.kind == second.kind


@pytest.mark.parametrize("operations", [1, 3, 17, 40])
def test_the_jobs_make_enough_cases_in_every_phase(operations: int) -> None:
    planned = list(jobs(operations))
    fuzzing = sum(job.examples * operations for job in planned if job.phases == ("fuzzing",) and not job.credentials)
    assert fuzzing >= CASES_MIN
    assert {phase for job in planned for phase in job.phases} == set(PHASES)
    assert any(job.credentials for job in planned)
