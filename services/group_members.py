"""Who reads a topic's partitions, as Kafka describes a consumer group. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Source = tuple[str, int]
"""A topic and one of its partitions."""

NOBODY: Final = "nobody"
"""Stands for the owner of a partition that no member of the group has."""

_SETTLED: Final = frozenset({"Stable", "Empty", "Dead"})
"""States of a group in which its assignments are true; in the others it is being divided anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of a group, by the name that its client gave itself (`services.kafka.client_name`).

    `partitions` is None where the broker does not say what it was given (the embedded broker).
    """

    client_id: str
    host: str
    partitions: tuple[Source, ...] | None

    @property
    def name(self) -> str:
        return f"{self.client_id} at {self.host.removeprefix('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembers:
    """The owners of a group's partitions; not known while the group is being divided anew."""

    settled: bool
    owners: Mapping[Source, str]

    def owner(self, source: Source) -> str | None:
        """Return who reads a partition, `NOBODY` for none, None while that is not known."""
        return self.owners.get(source, NOBODY) if self.settled else None


def group_members(state: str, members: Iterable[Member]) -> GroupMembers:
    """Return a group's owners from its state, in Kafka's words, and its members."""
    told = list(members)
    return GroupMembers(
        settled=state in _SETTLED and all(member.partitions is not None for member in told),
        owners={source: member.name for member in told for source in member.partitions or ()},
    )
