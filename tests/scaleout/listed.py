"""What deploy/docs/security.md lists: the users of Redis and of Kafka, and what each may do."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from services.settings import Settings
from tests.support.kafka_acls import Allowed
from tests.support.pipeline import ROOT
from tests.support.secured_redis import hashed

PAGE: Final = ROOT / "deploy" / "docs" / "security.md"
_ROW: Final = re.compile(
    r"^\| (?P<user>[a-z-]+) \| (?P<kind>topic|group) (?P<name>\S+) \| (?P<operations>[A-Za-z, ]+) \|$"
)


def redis_users(passwords: Mapping[str, str]) -> list[str]:
    """Return the lines of the page's users who have a password."""
    [block] = re.findall(r"^```acl\n(.+?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if line.startswith("user ")]
    return [
        line.replace(">PASSWORD", hashed(passwords[user])) for line in lines if (user := line.split()[1]) in passwords
    ]


def redis_commands(user: str) -> set[str]:
    """Return the commands that a user may run, as `INFO commandstats` calls them."""
    [line] = redis_users({user: ""})
    return set(re.findall(r"\+([a-z|]+)", line))


def kafka_lists(settings: Settings) -> Iterator[Allowed]:
    """Yield the page's rows, with the topics as the settings call them."""
    topics = settings.topics
    named = {
        "usage.events": topics.events,
        "usage.directory": topics.directory,
        "usage.frames": topics.frames,
        "usage.dead-letters": topics.dead_letters,
    }
    for row in filter(None, map(_ROW.match, PAGE.read_text().splitlines())):
        operations = frozenset(row["operations"].split(", "))
        name = named.get(row["name"], row["name"])
        yield Allowed(user=row["user"], kind=row["kind"], name=name, operations=operations)
