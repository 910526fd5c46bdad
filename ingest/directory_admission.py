"""Is a record a directory event of the contract? They are few: every one is read slowly and strictly. Pure."""

from collections.abc import Sequence
from typing import Final

from ingest.binary_mode import is_binary_mode, structured_form
from ingest.diagnosis import FIELD_CHARACTERS_MAX, object_fault
from ingest.verdicts import AdmissionRules, Rejected
from services.dead_letters import MEANINGS, Reason
from services.directory_check import DirectoryFault, read_directory_event
from services.directory_records import DirectoryChange
from services.events import UnknownFields

_UNKNOWN: Final[dict[bool, UnknownFields]] = {True: "ignore", False: "refuse"}


class DirectoryAdmission:
    """Judges the records of the directory topic.

    An event may be as late as it likes, for it changes the months' ends that it names; it may not lie ahead.
    """

    def __init__(self, rules: AdmissionRules) -> None:
        self._rules = rules
        self._unknown = _UNKNOWN[rules.ignore_unknown]

    def admit(
        self, value: bytes | None, broker_ms: int, headers: Sequence[tuple[str, bytes]] = ()
    ) -> DirectoryChange | Rejected:
        """Return what the event changes, or why the record is none; arguments as `ingest.admission.Admission.admit`."""
        if headers and is_binary_mode(headers):
            form = structured_form(value, headers, self._rules)
            return form if isinstance(form, Rejected) else self.admit(form, broker_ms)
        if (fault := object_fault(value, self._rules)) is not None:
            return fault
        assert value is not None  # a null record is a fault
        try:
            change = read_directory_event(value, self._unknown)
        except DirectoryFault as error:
            field = None if error.field is None else error.field[:FIELD_CHARACTERS_MAX]
            return Rejected(reason=error.reason, field=field, detail=error.detail)
        if change.time_ms > broker_ms + self._rules.max_ahead_ms:
            return Rejected(reason=Reason.IN_THE_FUTURE, field="time", detail=MEANINGS[Reason.IN_THE_FUTURE])
        return change
