import itertools
from dataclasses import replace

import pytest

from tests.faults.soak.asking import Answer, AnswerJudge
from tests.faults.soak.faults_drawn import CLUSTER_FAULTS, FAULTS, OF_CLUSTER, OF_ONE_REDIS, draw
from tests.faults.soak.memory import Sample, by_role
from tests.support.oracle import Event

pytestmark = pytest.mark.unit

MIB = 1024**2


def names(seed: int, count: int) -> list[str]:
    return [fault.name for fault, _ in itertools.islice(draw(seed), count)]


def test_a_seed_draws_the_same_faults_and_another_seed_others() -> None:
    assert names(1, 50) == names(1, 50)
    assert names(1, 50) != names(2, 50)


def test_each_kind_of_fault_comes_before_one_comes_again() -> None:
    assert set(names(3, len(FAULTS))) == {fault.name for fault in FAULTS}


def test_a_short_soak_has_what_is_to_come_first_and_a_long_one_no_more_of_it() -> None:
    drawn = [fault for fault, _ in itertools.islice(draw(7, CLUSTER_FAULTS, OF_CLUSTER), 2 * len(CLUSTER_FAULTS))]
    assert set(drawn[: len(OF_CLUSTER)]) == set(OF_CLUSTER)
    assert set(drawn[: len(CLUSTER_FAULTS)]) == set(drawn[len(CLUSTER_FAULTS) :]) == set(CLUSTER_FAULTS)
    assert len(CLUSTER_FAULTS) == len(FAULTS) - len(OF_ONE_REDIS) + len(OF_CLUSTER)


def test_what_a_fault_draws_does_not_depend_on_what_others_drew() -> None:
    (_, first), (_, second) = itertools.islice(draw(4), 2)
    (_, again), (_, drawn_from) = itertools.islice(draw(4), 2)
    drawn_from.random()
    assert first.random() == again.random()
    assert second.random() != drawn_from.random()


def sample(pid: int, at_s: int, age_s: int, mib: float) -> Sample:
    return Sample(role="ingest", pid=pid, at_s=at_s, age_s=age_s, rss_bytes=int(mib * MIB))


def test_memory_is_looked_at_past_the_warm_up_of_each_process() -> None:
    first = [sample(1, at, at, 50 if at < 60 else 100) for at in range(200)]
    second = [sample(2, at, at - 200, 50 if at < 260 else 110) for at in range(200, 500)]
    (memory,) = by_role([*first, *second], 60)
    assert (memory.role, memory.processes, memory.most_bytes) == ("ingest", 2, 110 * MIB)
    assert memory.over_the_run is not None
    assert memory.over_the_run.percent == pytest.approx(10)
    assert memory.longest is not None
    assert (memory.longest.percent, memory.longest.seconds) == (0, 239)


def test_memory_of_processes_that_all_died_young_is_not_known() -> None:
    (memory,) = by_role([sample(pid, pid, 3, 50) for pid in range(9)], 60)
    assert memory.over_the_run is None
    assert memory.longest is None


def used(completions: int, *, organization: str = "acme") -> Event:
    return Event((organization, "s", "1"), None, "ann", "codeCompletions", 0, (completions, 0, 0, 0, 0))


def judge_of(*events: tuple[int, int]) -> AnswerJudge:
    judge = AnswerJudge()
    for broker_ms, completions in events:
        judge.add(used(completions), broker_ms)
    return judge


ANSWER = Answer(organization="acme", as_of_ms=5_000, numbers=(3, 0, 0))


@pytest.mark.parametrize(("completions", "right"), [(2, False), (3, True), (7, True), (8, False)])
def test_an_answer_holds_all_before_its_as_of_and_no_more_than_there_was(completions: int, right: bool) -> None:
    judge = judge_of((4_999, 2), (1_000, 1), (5_000, 4))
    assert judge.total("acme") == (7, 0, 0)
    found = list(judge.differences([replace(ANSWER, numbers=(completions, 0, 0))]))
    assert (not found) == right


def test_answers_are_judged_whatever_order_they_came_in() -> None:
    judge = judge_of((1_000, 1), (6_000, 4))
    answers = [replace(ANSWER, as_of_ms=9_000, numbers=(5, 0, 0)), replace(ANSWER, numbers=(1, 0, 0))]
    assert not list(judge.differences(answers))
    assert len(list(judge.differences([replace(answers[0], numbers=(1, 0, 0)), answers[1]]))) == 1
