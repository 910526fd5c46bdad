"""Why an aggregator cannot go on. Each ends the process with its sentence; none is retried in place."""

from services.lifecycle import Refused


class LostWrites(Refused):
    """Redis holds less than it acknowledged: an older file was restored, or a failover lost writes.

    Nothing is lost: the next assignment begins at what Redis holds, and the frames bring it forward again.
    """


class LogDiverged(Refused):
    """The log of frames is not the one that the counters were made from."""


class GapInLog(Refused):
    """No frame stands where the next one must be, though later ones do: reading again would not bring it."""
