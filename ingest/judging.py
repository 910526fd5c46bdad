"""What ingest would say of a record if it came now, for whoever publishes records again: its own judges. Pure."""

from collections.abc import Sequence

from ingest.admission import Admission
from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules, Rejected
from services.settings import Settings


class Judge:
    """Judges records of the topics of events and of the directory by the settings in force here."""

    def __init__(self, settings: Settings) -> None:
        rules = AdmissionRules.of(settings.events)
        self._directory_topic = settings.topics.directory
        self._usage = Admission(rules)
        self._directory = DirectoryAdmission(rules)

    def fault(
        self, topic: str, value: bytes | None, headers: Sequence[tuple[str, bytes]], now_ms: int
    ) -> Rejected | None:
        """Return why ingest would refuse the record, None when it would take it.

        Args:
            now_ms: stands for the record's broker time.
        """
        admit = self._directory.admit if topic == self._directory_topic else self._usage.admit
        outcome = admit(value, now_ms, headers)
        return outcome if isinstance(outcome, Rejected) else None
