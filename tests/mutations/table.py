"""Which tests must fail under which patch, and with which words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATCHES: Final = Path(__file__).parent / "patches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """A test that must fail under a mutation.

    Attributes:
        test: node id, or a file, of which one test must fail.
        says: what its failure says, as a regular expression: a test that fails because nothing starts has seen nothing.
    """

    test: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One guarantee, broken.

    Attributes:
        name: of its patch.
        breaks: what is done wrongly.
        guard: what else sees to it, and is taken off by a second patch, `NAME.guard.patch`; empty for nothing.
        catches: each of them must fail.
    """

    name: str
    breaks: str
    catches: tuple[Catch, ...]
    guard: str = ""


STORE: Final = "tests/contract/test_counter_store.py"
AGGREGATOR: Final = "tests/unit/aggregator"
DIFFERENT_CELLS: Final = r"cells compared, [1-9]\d* different"

MUTATIONS: Final = (
    Mutation(
        name="01-commit-before-acknowledgement",
        breaks="ingest commits a poll before its frames and dead letters are acknowledged",
        catches=(
            Catch(
                test="tests/faults/test_row_01_ingest_killed.py",
                says=DIFFERENT_CELLS,
            ),
            Catch(
                test="tests/unit/ingest/test_worker.py"
                "::test_offsets_are_committed_once_every_dead_letter_and_then_every_frame_is_acknowledged",
                says="commit",
            ),
        ),
    ),
    Mutation(
        name="02-applied-offset-in-a-second-call",
        breaks="the applied offset and the sources' positions are stored by a call after the one with the counters",
        catches=(
            Catch(
                test="tests/faults/test_one_call.py::test_an_aggregator_dies_after_the_reply_and_every_copy_is_known",
                says=r"ledger of partition \d",
            ),
        ),
    ),
    Mutation(
        name="03-dup-treated-as-apply",
        breaks="a run at or below the applied offset is written once more",
        catches=(
            Catch(
                test=f"{STORE}::test_a_run_at_or_below_the_applied_offset_is_a_duplicate_and_changes_nothing[redis]",
                says=r"Applied\(\) == Duplicate",
            ),
        ),
    ),
    Mutation(
        name="04-gap-ignored",
        breaks="a run beyond the next offset is written, and the frames before it are left out",
        catches=(
            Catch(
                test=f"{STORE}::test_a_run_beyond_the_next_offset_is_a_gap_and_changes_nothing[redis]",
                says=r"Applied\(\) == Gap",
            ),
        ),
    ),
    Mutation(
        name="05-ids-in-a-second-call",
        breaks="the ids of a run are added by a call after the one with the counters",
        catches=(
            Catch(
                test="tests/faults/test_one_call.py::test_an_aggregator_dies_after_the_reply_and_every_copy_is_known",
                says=DIFFERENT_CELLS,
            ),
        ),
    ),
    Mutation(
        name="06-identity-without-source",
        breaks="two producers' events with the same id are one",
        catches=(
            Catch(
                test=f"{AGGREGATOR}/test_fold.py::test_every_cell_and_every_active_user_equals_brute_force",
                says="assert",
            ),
            Catch(
                test="tests/unit/services/test_identity.py::test_the_same_id_of_two_producers_is_two_identities",
                says=" != ",
            ),
        ),
    ),
    Mutation(
        name="07-position-from-kafka",
        breaks="an assignment begins at the group's committed offset, not at the applied offset + 1",
        catches=(
            Catch(
                test="tests/faults/test_older_redis.py"
                "::test_an_idle_aggregator_notices_that_redis_went_back_and_reads_on_from_there",
                says=r"not within \d+ s: .*Behind",
            ),
        ),
    ),
    Mutation(
        name="08-exception-swallowed-in-the-agent",
        breaks="the agent's applier logs an exception and goes on with the next frame",
        catches=(
            Catch(
                test="tests/faults/test_agent_fails.py::test_a_record_that_is_no_frame_ends_the_aggregator",
                says=r"not within \d+ s: aggregator-0 ends",
            ),
        ),
    ),
    Mutation(
        name="09-lower-cur-ignored",
        breaks="the owner's look at Redis every second lets an applied offset pass that is lower than acknowledged",
        catches=(
            Catch(
                test="tests/faults/test_older_redis.py"
                "::test_an_idle_aggregator_notices_that_redis_went_back_and_reads_on_from_there",
                says=r"not within \d+ s: aggregator-1 ends",
            ),
        ),
    ),
    Mutation(
        name="10-fold-on-old-reads-sent-again",
        breaks="after a DUP the next fold is made on what was read before it",
        catches=(
            Catch(
                test=f"{AGGREGATOR}/test_applying.py"
                "::test_after_an_apply_that_was_another_owners_nothing_is_folded_on_what_was_known",
                says="MemoryPartit",
            ),
        ),
    ),
    Mutation(
        name="11-frame-id-ignored",
        breaks="any frame at the applied offset passes for the one that was applied",
        catches=(
            Catch(
                test=f"{AGGREGATOR}/test_log_probe.py::test_another_frame_or_none_where_the_applied_one_stood_is_another_log",
                says="DID NOT RAISE",
            ),
        ),
    ),
    Mutation(
        name="12-distinct-users-summed-over-windows",
        breaks="the active users of a range are the sum of those of its windows",
        catches=(
            Catch(
                test="tests/unit/query_api/test_usage.py::test_active_users_of_several_windows_and_products_are_united",
                says=r"\[\[2, 2, 2, 2\]\] == \[\[1, 1, 1, 1\]\]",
            ),
        ),
    ),
)
