"""What a case may end with, and the one rule for what a clear error is."""

import re
from collections.abc import Collection

CLEAR, SURVIVED = "clear error", "survived"
UNCLEAR, LOST, WRONG = "unclear error", "lost", "silently wrong"
GOOD, BAD = (CLEAR, SURVIVED), (UNCLEAR, LOST, WRONG)

MOST_LINES, MOST_CHARACTERS = 12, 3000
# What a library or Python says of its own inside.
INSIDE = re.compile(
    r"Traceback|\b(?:Key|Type|Attribute|Index|Assertion|Name|UnboundLocal|Recursion|ZeroDivision|Overflow|Validation)"
    r"Error\b|pydantic|Input should|type=\w+, input|Segmentation|core dumped|<class '|object at 0x"
)


class BadCaseError(Exception):
    """Ends a case that did not end well: one of BAD, and why."""

    def __init__(self, verdict: str, why: str) -> None:
        super().__init__(why)
        self.verdict = verdict


def clear(message: str, names: Collection[str]) -> str:
    """CLEAR, if this is a sentence or a few that name what is at fault.

    Args:
        message: what the user is shown.
        names: one of them must be in it: the file, key, row, stage or device at fault.

    Raises:
        BadCaseError: with what is wrong with the message.
    """
    shown = message[-1500:]
    if not message.strip():
        raise BadCaseError(UNCLEAR, "it failed without a word")
    if inside := INSIDE.search(message):
        raise BadCaseError(UNCLEAR, f"the message shows the inside ({inside[0]}): {shown}")
    if len(message) > MOST_CHARACTERS or message.strip().count("\n") >= MOST_LINES:
        raise BadCaseError(UNCLEAR, f"the message is long: {shown}")
    if not any(name in message for name in names):
        raise BadCaseError(UNCLEAR, f"the message names none of {sorted(names)[:5]}: {shown}")
    return CLEAR
