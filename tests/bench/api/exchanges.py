"""Each operation's requests, and what the API answered when they were asked for the first time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.clock import now_ms
from services.identifiers import OrganizationId, UserId
from services.settings import Settings
from services.tokens import Claims, Role, issue_token, token_key
from tests.bench.api.bare import Recorded
from tests.bench.api.load import Answer, Connections, Exchange, WrongAnswer, request_bytes
from tests.bench.api.measuring import Side
from tests.bench.api.operations import Operation, Request
from tests.bench.api.population import organizations
from tests.bench.api.servers_asked import Server

_TOKEN_SECONDS: Final = 7_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """An operation with the answers of the API. The bare route gives the first of them, at a path of its own.

    Attributes:
        headers: of each request.
    """

    operation: Operation
    path: str
    headers: Sequence[Mapping[str, str]]
    answers: Sequence[Answer]

    @property
    def recorded(self) -> Recorded:
        return Recorded(self.path, self.answers[0].headers, self.answers[0].body)

    def of_api(self, api: Server) -> Side:
        requests = zip(self.operation.requests, self.headers, self.answers, strict=True)
        return Side(
            address=api.address,
            pids=api.pids,
            exchanges=[
                Exchange(request_bytes(api.address, request.target_at(request.path), headers), answer.body)
                for request, headers, answer in requests
            ],
        )

    def of_bare(self, bare: Server) -> Side:
        target = self.operation.requests[0].target_at(self.path)
        exchange = Exchange(request_bytes(bare.address, target, self.headers[0]), self.answers[0].body)
        return Side(address=bare.address, pids=bare.pids, exchanges=[exchange])


async def ask_all(operations: Sequence[Operation], api: Server, settings: Settings) -> list[Asking]:
    """Ask each request of each operation once.

    Raises:
        WrongAnswer: an answer is not 200.
    """
    tokens = {organization: _token(settings, organization) for organization in organizations()}
    askings = []
    async with Connections(api.address, 1) as opened:
        for number, operation in enumerate(operations):
            requests = operation.requests
            headers = [{"Authorization": tokens[each.organization], **each.headers} for each in requests]
            answers = [await _ask(opened, api, *each) for each in zip(requests, headers, strict=True)]
            askings.append(Asking(operation=operation, path=f"/bare/{number}", headers=headers, answers=answers))
    return askings


async def _ask(opened: Connections, api: Server, request: Request, headers: Mapping[str, str]) -> Answer:
    answer = await opened.ask(request_bytes(api.address, request.target_at(request.path), headers))
    if answer.status != 200:
        raise WrongAnswer(f"{request.path}: {answer.head.decode()} {answer.body.decode()}")
    return answer


def _token(settings: Settings, organization: str) -> str:
    claims = Claims(subject=UserId("bench"), organization=OrganizationId(organization), role=Role.ADMIN)
    key = token_key(settings.api)
    return f"Bearer {issue_token(claims, key, issued_s=now_ms() // 1000, lifetime_s=_TOKEN_SECONDS)}"
