"""The directory events of a frame: one row each, beside the columns of the usage events (`services.frames`)."""

import msgspec

from services.directory import Thing
from services.directory_records import STATUS_CODES, STATUS_OF_CODE, DirectoryChange
from services.identifiers import OrganizationId


class DirectoryRow(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One accepted directory event (`services.directory_records.DirectoryChange`) with its coordinates.

    Attributes:
        source: place in the header's sources.
        status: its code.
    """

    source: int
    offset: int
    broker_ms: int
    thing: Thing
    organization: str
    subject: str
    version: int
    time_ms: int
    status: int
    record: bytes | None

    def change(self) -> DirectoryChange:
        return DirectoryChange(
            thing=self.thing,
            organization=OrganizationId(self.organization),
            subject=self.subject,
            version=self.version,
            time_ms=self.time_ms,
            status=STATUS_OF_CODE[self.status],
            record=self.record,
        )


def directory_row(change: DirectoryChange, *, source: int, offset: int, broker_ms: int) -> DirectoryRow:
    return DirectoryRow(
        source=source,
        offset=offset,
        broker_ms=broker_ms,
        thing=change.thing,
        organization=change.organization,
        subject=change.subject,
        version=change.version,
        time_ms=change.time_ms,
        status=STATUS_CODES[change.status],
        record=change.record,
    )
