"""What the watchdog's judge makes of looks at a process, in the watchdog's own seconds."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from services.stuck import Doing, Finding, Judge, Limits, Look, OwnTime, Work

LIMITS = Limits(loop_s=10, work_s=120, believed_s=130)


def findings(looks: Iterable[Look], limits: Limits = LIMITS) -> list[Finding | None]:
    judge = Judge(limits)
    return [judge.judge(look, 1.0) for look in looks]


def standing(seconds: int, *, mark: int = 0, outages: int | None = None, turns: int = 1) -> list[Look]:
    """Looks at a turning process whose work does not go on."""
    works = {"partition 3": Work(waits=True, mark=mark), "partition 4": Work(waits=False, mark=0)}
    return [Look(turns=turns + at, works=works, outages=outages) for at in range(seconds)]


def certain(found: Iterable[Finding | None]) -> list[int]:
    return [at for at, each in enumerate(found) if each is not None and each.certain]


def test_a_loop_that_turns_now_and_then_is_in_order_and_one_that_does_not_is_stuck_at_its_limit() -> None:
    assert findings(Look(turns=at // 9) for at in range(100)) == [None] * 100
    found = findings([Look(turns=1)] * 12)
    assert certain(found) == [10, 11]
    assert found[10] == Finding(cause="the event loop has not turned for 10 s", certain=True, may_wait=False)


def test_work_that_waits_and_does_not_go_on_is_doubted_at_half_its_limit_and_stuck_at_the_whole() -> None:
    found = findings(standing(121))
    assert found[59] is None
    assert found[60] == Finding(
        cause="partition 3 waits and has not gone on for 60 s, with no dependency away", certain=False, may_wait=True
    )
    assert certain(found) == [120]


def test_work_that_goes_on_or_has_nothing_to_do_is_never_stuck() -> None:
    going = [look for mark in range(5) for look in standing(59, mark=mark)]
    turning = [Look(turns=at, works=look.works) for at, look in enumerate(going)]
    assert findings(turning) == [None] * len(turning)
    idle = [Look(turns=at, works={"partition 3": Work(waits=False, mark=0)}) for at in range(500)]
    assert findings(idle) == [None] * 500


def test_one_that_stands_is_seen_among_others_that_go_on() -> None:
    looks = [
        Look(turns=at, works={"one": Work(waits=True, mark=at), "other": Work(waits=True, mark=0)}) for at in range(121)
    ]
    found = findings(looks)[120]
    assert found is not None
    assert (found.certain, found.cause.partition(" ")[0]) == (True, "other")


def test_work_that_was_given_up_and_is_taken_up_again_begins_anew() -> None:
    looks = [*standing(100), Look(turns=200), *standing(100, turns=300)]
    assert certain(findings(looks)) == []


def test_a_retried_outage_is_believed_for_ever_and_one_word_for_a_while() -> None:
    retried = [Look(turns=at, works=look.works, outages=1 + at // 100) for at, look in enumerate(standing(2000))]
    assert findings(retried) == [None] * 2000
    told_once = findings([Look(turns=at, works=each.works, outages=1) for at, each in enumerate(standing(400))])
    assert certain(told_once)[0] == 130 + 120 - 1


def test_what_had_something_to_wait_for_counts_anew() -> None:
    judge = Judge(LIMITS)
    for at, look in enumerate(standing(1000)):
        found = judge.judge(look, 1.0)
        assert found is None or not found.certain, at
        if found is not None:
            judge.dependency_was_away()


def test_a_limit_that_is_lifted_is_never_reached() -> None:
    looks = [Look(turns=0, works={"a poll": Work(waits=True, mark=0)})] * 10_000
    assert findings(looks, Limits(loop_s=None, work_s=None, believed_s=0)) == [None] * 10_000


def test_a_second_counts_once_and_only_as_far_as_the_loop_had_a_processor() -> None:
    own = OwnTime(1.0, 100.0, 7.0)
    assert own.passed_s(101.0, 7.0) == 1
    assert own.passed_s(102.0, 7.75) == 0.25
    assert own.passed_s(900.0, 7.75) == 1, "a frozen process looks late"
    assert own.passed_s(901.0, 9.75) == 0


def test_what_is_done_now_and_then_waits_while_it_is_done_and_is_another_work_each_time() -> None:
    doing = Doing()
    seen = []
    for _ in range(2):
        with doing("a look"):
            seen.append(doing.works()["a look"])
    assert doing.works() == {}
    assert all(work.waits for work in seen)
    assert seen[0].mark != seen[1].mark


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([None, 1, 2])), max_size=60))
def test_nothing_is_stuck_that_was_seen_to_move_within_the_limit(steps: list[tuple[bool, bool, int | None]]) -> None:
    limits = Limits(loop_s=4, work_s=4, believed_s=4)
    judge = Judge(limits)
    turns = mark = 0
    still = stood = 0
    for at, (turned, moved, outages) in enumerate(steps):
        turns, mark = turns + turned, mark + moved
        still = 0 if turned or not at else still + 1
        stood = 0 if moved or not at else stood + 1
        found = judge.judge(Look(turns=turns, works={"it": Work(waits=True, mark=mark)}, outages=outages), 1.0)
        assert (found is not None and not found.may_wait) == (still >= 4)
        if found is not None and found.may_wait:
            assert stood >= 2
            assert not found.certain or stood >= 4
