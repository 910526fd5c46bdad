"""Keys of epochs that nobody needs are told from those that stay."""

from aggregator.sweeping import KeptEpochs
from services.identifiers import Epoch, PartitionId
from services.keyspace import epoch_prefix, shadow_key, state_key, tags

TAGS = tags(4)


def key_of(partition: int, epoch: int, name: str = "h:a/1") -> bytes:
    return f"{epoch_prefix(TAGS[partition], Epoch(epoch))}{name}".encode()


def test_what_belongs_to_no_epoch_that_stays_is_rubbish() -> None:
    kept = KeptEpochs(TAGS)
    kept.set(PartitionId(1), Epoch(1))
    kept.set(PartitionId(2), Epoch(3), Epoch(13))
    stays = [key_of(1, 1), key_of(1, 1, "i:{2}:e9:"), key_of(2, 3), key_of(2, 13), key_of(0, 8)]
    others = [state_key(TAGS[1]), shadow_key(TAGS[1]), "tm:{9}:e1:h:a/1", "tm:partitions", "tm:{1"]
    gone = [key_of(1, 13), key_of(1, 13, "d:a/1"), key_of(1, 2), key_of(2, 1)]
    assert kept.rubbish([*stays, *(name.encode() for name in others)]) == {}
    assert kept.rubbish([*stays, *gone]) == {
        (1, 13): [gone[0].decode(), gone[1].decode()],
        (1, 2): [gone[2].decode()],
        (2, 1): [gone[3].decode()],
    }
    kept.set(PartitionId(2), Epoch(13))
    assert kept.rubbish([key_of(2, 3)]) == {(2, 3): [key_of(2, 3).decode()]}
