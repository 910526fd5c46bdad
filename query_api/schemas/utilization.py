"""The answer of the month-by-month call."""

from typing import Annotated

from pydantic import Field

from query_api.schemas.members import Answer, Count


class UtilizationMonth(Answer):
    """One calendar month in UTC."""

    year: Annotated[int, Field(ge=1970)]
    month: Annotated[int, Field(ge=0, le=11, description="0 is January and 11 December, unlike in startDate.")]
    registered: Annotated[Count, Field(description="Registered users at the end of the month; of this month, now.")]
    deactivated: Annotated[Count, Field(description="Deactivated users at that time.")]
    active: Annotated[Count, Field(description="Distinct users active in any product during the month.")]
    pending: Annotated[Count, Field(description="Invited users at that time.")]
