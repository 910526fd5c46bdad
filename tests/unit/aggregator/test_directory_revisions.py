import json
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aggregator.directory import DirectoryFold
from aggregator.run import LoggedChange
from services.directory import Thing
from services.directory_check import read_directory_event
from services.directory_revision import decode_revision
from services.identifiers import Epoch, OrganizationId
from services.keyspace import BUCKETS, TREE, directory_key, epoch_prefix, revisions_key, tags
from tests.support.directory_written import LONG_AGO, directory_event

PREFIX = epoch_prefix(tags(1)[0], Epoch(1))

Hashes = dict[str, dict[str, bytes]]


@st.composite
def changes(draw: st.DrawFn) -> LoggedChange:
    """Return an event about one of some teams, groups and organizations, whose versions often clash."""
    thing = draw(st.sampled_from([Thing.TEAM, Thing.GROUP, Thing.ORGANIZATION]))
    organization = draw(st.sampled_from(["acme", "beta"]))
    subject = organization if thing is Thing.ORGANIZATION else str(draw(st.integers(0, 99)))
    data = draw(st.sampled_from([{}, {"name": "Name"}]))
    event = directory_event(thing, organization, subject, version=draw(st.integers(1, 3)), time=LONG_AGO, **data)
    change = read_directory_event(json.dumps(event).encode(), "refuse")
    return LoggedChange(change=change, source=("usage.directory", 0), offset=0, broker_ms=0, redelivered=False)


def applied(hashes: Hashes, fold: DirectoryFold) -> int:
    """Fold on what the hashes hold, write what that gives, and return how many changes changed something."""

    def answers() -> Iterator[bytes | None]:
        for key, *fields in fold.groups():
            for field in fields:
                yield hashes.get(str(key), {}).get(str(field))

    folded = fold.finish(answers())
    for key, *entries in folded.hashes:
        held = hashes.setdefault(str(key), {})
        for field, value in zip(entries[::2], entries[1::2], strict=True):
            held[str(field)] = value if isinstance(value, bytes) else value.encode()
    return int((~folded.copied).sum())


@given(st.lists(st.lists(changes(), max_size=20), max_size=5))
def test_a_revision_tells_how_often_a_unit_changed_what_it_holds_and_in_which_buckets(
    runs: Sequence[Sequence[LoggedChange]],
) -> None:
    hashes: Hashes = {}
    changed = sum(applied(hashes, DirectoryFold(run, PREFIX)) for run in runs)
    revisions = {unit: decode_revision(value) for unit, value in hashes.get(revisions_key(PREFIX), {}).items()}
    assert sum(revision.number for revision in revisions.values()) == changed
    for unit in (OrganizationId("acme"), OrganizationId("beta"), TREE):
        held = {bucket: hashes.get(directory_key(PREFIX, unit, bucket), {}) for bucket in range(BUCKETS)}
        revision = revisions.get(unit, decode_revision(None))
        assert revision.records == sum(map(len, held.values()))
        assert list(revision.held_buckets()) == [bucket for bucket, records in held.items() if records]


def test_a_long_record_weighs_as_many_ids_and_cells_in_a_script_call() -> None:
    def weight(**data: str) -> int:
        event = directory_event(Thing.ORGANIZATION, "acme", "acme", version=1, time=LONG_AGO, name="Acme", **data)
        change = read_directory_event(json.dumps(event).encode(), "refuse")
        logged = LoggedChange(change=change, source=("usage.directory", 0), offset=0, broker_ms=0, redelivered=False)
        return DirectoryFold([logged] * 3, PREFIX).items

    assert weight() == 3
    assert weight(publicKey="k" * 16_000) == 3 * 63
