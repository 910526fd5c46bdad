"""Corrected records for dead letters: lines of `dead-letters list --json` that a person has changed. Pure.

A line names its letter (`id`) and holds the record anew: `event`, the event as JSON, or `value`, the bytes as
`{"text": …}` or `{"base64": …}`; `key` and `headers` too where they are given. Every other member is passed over, so a
line of the list may be changed and handed back as it is. Whichever of `event` and `value` differs from the original is
what is meant.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from services.binary_mode import attribute_of, is_binary_mode
from services.dead_letter_content import (
    Headers,
    compact,
    event_text,
    identity,
    is_same_identity,
    is_same_json,
)
from services.dead_letter_fate import Judge, Outgoing, ReplayRules, Skipped, Why, refused, unsendable
from services.dead_letter_log import DeadLetter
from services.dead_letter_remedies import remedy
from services.dead_letters import HEADER_PREFIX
from services.replays import LetterId, ReplayNote, read_letter_id

ALLOW_NEW_IDENTITY: Final = "--allow-new-identity"


class Content(msgspec.Struct, frozen=True):
    """Bytes as a line of the list has them."""

    text: str | None = None
    base64: str | None = None

    def read(self) -> bytes | None:
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        return None if self.text is None else self.text.encode()


class Header(Content, frozen=True):
    name: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of the file; what is absent stays as the letter has it."""

    id: str
    event: msgspec.Raw = msgspec.Raw(b"null")
    value: Content | msgspec.UnsetType | None = msgspec.UNSET
    key: Content | msgspec.UnsetType | None = msgspec.UNSET
    headers: list[Header] | msgspec.UnsetType = msgspec.UNSET


_decoder: Final = msgspec.json.Decoder(Line)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """What is wrong in the file, and what to do; `field` None when no single one is at fault."""

    line: int
    field: str | None
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.field}: {self.remedy}" if self.field else f"line {self.line}: {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A correction as the file has it; None stands for what the line does not give.

    Attributes:
        event: compact JSON.
        gives_value, gives_key: whether the line has them; None is then no bytes at all.
    """

    line: int
    letter: LetterId
    event: bytes | None
    gives_value: bool
    value: bytes | None
    gives_key: bool
    key: bytes | None
    headers: Headers | None


def read_edits(lines: Iterable[bytes]) -> Iterator[Edit | BadLine]:
    """Yield what each line says, blank ones left out; a second line for a letter is a bad one."""
    seen: dict[LetterId, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        read = _read(number, line)
        if isinstance(read, Edit) and (first := seen.setdefault(read.letter, number)) != number:
            read = BadLine(line=number, field="id", remedy=f"line {first} corrects {read.letter} too; take one out")
        yield read


def _read(number: int, text: bytes) -> Edit | BadLine:
    try:
        line = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        remedy_ = f"give a line of `tidemark dead-letters list --json`, corrected: {error}"
        return BadLine(line=number, field=None, remedy=remedy_)
    if (letter := read_letter_id(line.id)) is None:
        return BadLine(line=number, field="id", remedy="give the letter's id, PARTITION:OFFSET, such as 0:17")
    try:
        return _edit(number, letter, line)
    except binascii.Error as error:
        return BadLine(line=number, field="base64", remedy=f"give base64: {error}")
    except ValueError as error:
        return BadLine(line=number, field="event", remedy=f"give an event that JSON and UTF-8 can hold: {error}")


def _edit(number: int, letter: LetterId, line: Line) -> Edit:
    event = bytes(line.event).strip()
    headers = None
    if not isinstance(line.headers, msgspec.UnsetType):
        own = [each for each in line.headers if not each.name.startswith(HEADER_PREFIX)]
        # A header without a value is one of Kafka's; the clients take it, and the types here do not know it.
        headers = [(each.name, cast("bytes", each.read())) for each in own]
    return Edit(
        line=number,
        letter=letter,
        event=None if event == b"null" else compact(event),
        gives_value=line.value is not msgspec.UNSET,
        value=line.value.read() if isinstance(line.value, Content) else None,
        gives_key=line.key is not msgspec.UNSET,
        key=line.key.read() if isinstance(line.key, Content) else None,
        headers=headers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRules:
    """What a correction may do; `new_identity`: make another event of one that had an identity."""

    replay: ReplayRules
    new_identity: bool = False


def correct(
    edit: Edit, letter: DeadLetter | None, note: ReplayNote | None, rules: EditRules, judge: Judge, now_ms: int
) -> Outgoing | Skipped | BadLine:
    """Return the corrected record to publish; that the letter was replayed before; or what is wrong with the line."""
    if letter is None:
        return BadLine(line=edit.line, field="id", remedy=f"there is no dead letter {edit.letter}; take the line out")
    if (skipped := unsendable(letter, note, rules.replay)) is not None:
        return skipped if skipped.why is Why.REPLAYED else _hopeless(edit, skipped)
    assert letter.origin is not None  # it can be sent
    content = _content(edit, letter)
    if isinstance(content, BadLine):
        return content
    value, headers = content
    if not rules.new_identity and (bad := _other_identity(edit, letter, value, headers)) is not None:
        return bad
    outgoing = Outgoing(
        letter=letter.id,
        descent=letter.descent,
        topic=letter.origin.topic,
        key=edit.key if edit.gives_key else letter.key,
        value=value,
        headers=headers,
    )
    again = refused(outgoing, rules.replay, judge, now_ms)
    return outgoing if again is None else _refused_line(edit, again)


def _content(edit: Edit, letter: DeadLetter) -> tuple[bytes | None, Headers] | BadLine:
    """Return the record that is meant: by `event`, by `value`, or where neither differs the original."""
    original = event_text(letter.value, letter.headers)
    headers = letter.headers if edit.headers is None else edit.headers
    is_event_new = edit.event is not None and (original is None or not is_same_json(edit.event, original))
    is_value_new = edit.gives_value and edit.value != letter.value
    if is_event_new and is_value_new:
        return BadLine(line=edit.line, field="event", remedy="value was changed too; take one of the two out")
    if is_event_new:
        # The event is whole, in structured form: attributes in headers would be a second one.
        return edit.event, _without_attributes(headers) if is_binary_mode(headers) else headers
    return edit.value if is_value_new else letter.value, headers


def _without_attributes(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if attribute_of(name) is None]


def _other_identity(edit: Edit, letter: DeadLetter, value: bytes | None, headers: Headers) -> BadLine | None:
    """Return that a line makes another event of one whose identity could be read."""
    corrected = identity(value, headers)
    for name, text in identity(letter.value, letter.headers).items():
        if not is_same_identity(name, text, corrected.get(name)):
            return BadLine(
                line=edit.line,
                field=name,
                remedy="it makes another event of this one, which would be counted beside the first if that ever came"
                f" right; put the original's back, or give {ALLOW_NEW_IDENTITY}",
            )
    return None


def _hopeless(edit: Edit, skipped: Skipped) -> BadLine:
    what = {
        Why.FRAME: "is a frame, not an event, and cannot be replayed; take the line out",
        Why.NO_ORIGIN: "comes from no topic of this deployment and cannot be replayed; take the line out",
    }
    return BadLine(line=edit.line, field="id", remedy=f"{skipped.letter} {what[skipped.why]}")


def _refused_line(edit: Edit, skipped: Skipped) -> BadLine:
    words = ((skipped.detail or "").rstrip("."), remedy(skipped.reason) or "")
    return BadLine(line=edit.line, field=skipped.field, remedy=". ".join(word for word in words if word))
