"""Why an aggregator cannot go on. Each ends the process with its sentence; none is retried in place."""

from services.identifiers import Epoch, FrameOffset, PartitionId
from services.lifecycle import Refused


class LostWrites(Refused):
    """Redis holds less than it acknowledged: an older file was restored, or a failover lost writes.

    Nothing is lost: the next assignment begins at what Redis holds, and the frames bring it forward again.
    """


class LogDiverged(Refused):
    """The log of frames is not the one that the counters were made from."""


class GapInLog(Refused):
    """No frame stands where the next one must be, though later ones do: reading again would not bring it."""


class FrameHeld(Refused):
    """Workers ended by the same bug on one frame, again and again: no worker goes on before the frame is passed.

    Attributes:
        epoch, partition, offset: where the frame stands.
    """

    def __init__(self, epoch: Epoch, partition: PartitionId, offset: FrameOffset, *, crashes: int, cause: str) -> None:
        super().__init__(
            f"frame_held: the frame at offset {offset} of partition {partition} ended {crashes} workers with {cause}:"
            " install a version that can fold it, or give it up with"
            f" `tidemark frames skip --partition {partition} --offset {offset}`"
        )
        self.epoch, self.partition, self.offset = epoch, partition, offset
