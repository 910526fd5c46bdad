"""Paths that are words against paths that take ids (contract notes A15)."""

import re

import pytest

from services.directory_check import DirectoryFault
from services.events import RESERVED_IDS
from tests.support.api_in_process import Api, bearer, shared_app
from tests.support.directory_written import DirectoryWritten
from tests.unit.query_api.conftest import MakeApi

PATHS = list(shared_app()[2].openapi()["paths"])
LITERAL = [path for path in PATHS if "{" not in path]
TEMPLATES = [path for path in PATHS if "{" in path]


def alike(path: str) -> list[str]:
    """Return the paths with an id that could be a path without one."""
    return [each for each in TEMPLATES if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]


async def test_every_path_without_an_id_answers_itself(make_api: MakeApi) -> None:
    api = make_api()
    for path in LITERAL:
        assert (await api.get(path, headers={})).status_code == 401
    page = api.telemetry.exposition()[1].decode()
    answered = re.findall(r'tidemark_api_requests_total\{route="([^"]+)",status="401"\} 1\.0', page)
    assert sorted(answered) == sorted(LITERAL)


def test_every_word_that_stands_where_an_id_can_is_reserved() -> None:
    alikes = sorted(path for path in LITERAL if alike(path))
    assert alikes == ["/api/v1/team/account-utilizations", "/api/v1/team/usage", "/api/v1/user/usage"]
    assert {path.rpartition("/")[2] for path in alikes} <= RESERVED_IDS


@pytest.mark.parametrize("word", sorted(RESERVED_IDS))
def test_a_reserved_word_cannot_become_an_id(written: DirectoryWritten, word: str) -> None:
    for write in (written.team, written.user):
        with pytest.raises(DirectoryFault, match="An id is usage"):
            write("acme", word)


@pytest.mark.parametrize("word", sorted(RESERVED_IDS))
@pytest.mark.parametrize("path", TEMPLATES)
async def test_a_reserved_word_in_the_place_of_an_id_finds_nothing(
    api: Api, written: DirectoryWritten, path: str, word: str
) -> None:
    written.organization("acme")
    written.team("acme", "core")
    written.user("acme", "ada", teamId="core")
    await written.write(api.store)
    for name, expected in (("core" if "team" in path else "ada", {200}), (word, {400, 404})):
        asked = re.sub(r"\{\w+\}", name, path)
        assert (await api.get(asked, {"offset": "0", "limit": "0"}, bearer())).status_code in expected
