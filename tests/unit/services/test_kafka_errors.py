import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
)

from services.kafka import KafkaRefused, KafkaUnavailable, translated


@pytest.mark.parametrize("error", [KafkaTimeoutError, NotLeaderForPartitionError, RequestTimedOutError])
def test_what_ends_by_itself_is_unavailable(error: type[Exception]) -> None:
    with pytest.raises(KafkaUnavailable, match="asking"), translated("asking"):
        raise error


def test_what_does_not_is_refused() -> None:
    with pytest.raises(KafkaRefused, match="sending"), translated("sending"):
        raise MessageSizeTooLargeError
