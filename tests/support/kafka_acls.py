"""Lists of what Kafka's users may do, given to a cluster: the rows of deploy/docs/security.md, nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from tests.support.kafka_cluster import KafkaCluster

# Numbers of the protocol (KIP-140).
_RESOURCES: Final = {"topic": 2, "group": 3, "cluster": 4}
_OPERATIONS: Final = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "ClusterAction": 9,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
    "IdempotentWrite": 12,
}
_LITERAL: Final = 3
_ALLOW: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What one user may do to one resource. `kind` is `topic`, `group` or `cluster`."""

    user: str
    kind: str
    name: str
    operations: frozenset[str]


def give(cluster: KafkaCluster, lists: Iterable[Allowed]) -> None:
    """Let users do what the lists say."""
    requests = [
        CreateAclsRequest(
            _RESOURCES[each.kind], each.name, _LITERAL, f"User:{each.user}", "*", _OPERATIONS[operation], _ALLOW
        )
        for each in lists
        for operation in sorted(each.operations)
    ]

    async def ask(admin: AIOKafkaAdminClient) -> None:
        for request in requests:
            [(code, text)] = (await admin._send_request(request)).creation_responses
            assert code == 0, f"{for_code(code).__name__}: {text}"

    cluster.ask(ask)
