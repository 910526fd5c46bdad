"""From a block's cells to a block of the answer: sums, distinct users and factors (contract notes section 2). Pure."""

from functools import reduce
from operator import or_

from query_api.cells import BlockCells
from query_api.ranges import PlannedBlock
from query_api.schemas.usage import AgentUsage, ChatUsage, CodeCompletions, InstructUsage, UsageBlock
from services.metrics_contract import AGENT, CHAT, CODE_COMPLETIONS, INSTRUCT, Product
from services.windows import rfc3339


def ratio(part: int, whole: int) -> float | None:
    """Return part / whole rounded half-up to 3 decimals, exactly; None when `whole` is 0. Neither is negative."""
    if whole == 0:
        return None
    return ((2_000 * part + whole) // (2 * whole)) / 1000


def usage_block(planned: PlannedBlock, cells: BlockCells) -> UsageBlock:
    """Return one block; every product is there, zeros too."""
    completions = _code_completions(cells)
    chat = _chat(cells)
    produced = completions.chars_completed + chat.chars_completed
    return UsageBlock(
        from_=rfc3339(planned.start_ms),
        to=rfc3339(planned.end_ms),
        active_users=reduce(or_, cells.active).bit_count(),
        productivity_factor=ratio(produced, produced + completions.keystrokes),
        code_completions=completions,
        chat=chat,
        agent=_agent(cells),
        instruct=InstructUsage(accepted_count=_sums(cells, INSTRUCT)["acceptedCount"]),
    )


def _sums(cells: BlockCells, product: Product) -> dict[str, int]:
    return dict(zip(product.counters, cells.sums[product.code].tolist(), strict=False))


def _active_users(cells: BlockCells, product: Product) -> int:
    return cells.active[product.code].bit_count()


def _code_completions(cells: BlockCells) -> CodeCompletions:
    sums = _sums(cells, CODE_COMPLETIONS)
    return CodeCompletions(
        active_users=_active_users(cells, CODE_COMPLETIONS),
        completions=sums["completions"],
        chars_completed=sums["charsCompleted"],
        keystrokes=sums["keystrokes"],
        lines=sums["lines"],
        automation_factor=ratio(sums["charsCompleted"], sums["charsCompleted"] + sums["keystrokes"]),
    )


def _chat(cells: BlockCells) -> ChatUsage:
    sums = _sums(cells, CHAT)
    return ChatUsage(
        active_users=_active_users(cells, CHAT),
        interactions=sums["interactions"],
        useful_chat_interactions=sums["usefulChatInteractions"],
        lines=sums["lines"],
        chars_completed=sums["charsCompleted"],
        chat_consumption_rate=ratio(sums["usefulChatInteractions"], sums["interactions"]),
    )


def _agent(cells: BlockCells) -> AgentUsage:
    sums = _sums(cells, AGENT)
    return AgentUsage(
        active_users=_active_users(cells, AGENT),
        interactions=sums["interactions"],
        lines_added=sums["linesAdded"],
        lines_added_accepted=sums["linesAddedAccepted"],
        lines_removed=sums["linesRemoved"],
        lines_removed_accepted=sums["linesRemovedAccepted"],
    )
