"""Value types of the configuration: names for files, numbers as YAML writes them, lists without doubles."""

import os
import re
from collections.abc import Hashable
from datetime import date
from reprlib import Repr
from typing import Annotated, Any, TypeVar
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Item = TypeVar("Item", bound=Hashable)
MOST_DRAWS = 1000
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 80, 80
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")


class Section(BaseModel):
    """A section of the configuration: refuses keys that it does not know, and changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def shown(value: Any) -> str:
    """Write a value for a message, as YAML would: short, and without characters that do not print."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value) if isinstance(value, date) else _SHORT.repr(value)


def _number(value: Any) -> Any:
    # YAML 1.1 reads `1e-3` as text and `yes` as a truth value; pydantic would turn the latter into 1.
    if isinstance(value, bool):
        raise ValueError("must be a number, but is true or false")
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"must be a number, but is the text {shown(value)}") from None
    if not isinstance(value, int | float):
        raise ValueError(f"must be a number, but is {shown(value)}")
    return value


def _text(value: Any) -> Any:
    # A class written as 5 without quotes is the class named "5".
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        raise ValueError(
            "must be text, but YAML reads yes, no, on, off, true and false without quotes as true or false; "
            'put it in quotes, such as "yes"'
        )
    for kind, word in ((float, "number"), (date, "date")):
        if isinstance(value, kind):
            raise ValueError(f"must be text, but is the {word} {shown(value)}; put it in quotes")
    if not isinstance(value, str):
        raise ValueError(f"must be text, but is {shown(value)}")
    return value


def _printable(value: str) -> str:
    value = value.rstrip("\n")  # of YAML's blocks, such as `title: >`
    if not value.strip():
        raise ValueError("must not be empty")
    if any(category(character) in _UNPRINTABLE for character in value):
        raise ValueError(f"holds a character that cannot be printed: {shown(value)}")
    return value


def _no_loop(value: str) -> str:
    # Snakemake takes a wildcard that ends so for an endless recursion.
    if re.search(r"(.+?)\1{19}", value):
        raise ValueError(f"repeats itself too often: {shown(value)}")
    return value


def _own_home(value: str) -> str:
    return os.path.expanduser(value)


def _list(value: Any) -> Any:
    return value if value is None or isinstance(value, list | tuple) else [value]


def _draws(value: Any) -> Any:
    """Turn a number of draws into the draws themselves."""
    if isinstance(value, list | tuple):
        return value
    number = _number(value)
    if not 1 <= number <= MOST_DRAWS or number != int(number):
        raise ValueError(
            f"must be a number of draws (1 to {MOST_DRAWS}) or a list of draws, but is {shown(value)}"
        )
    return list(range(int(number)))


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    doubles = [value for index, value in enumerate(values) if value in values[:index]]
    if doubles:
        raise ValueError(f"{shown(doubles[0])} is listed twice")
    return values


Distinct = AfterValidator(_distinct)
AsList = BeforeValidator(_list)
AsDraws = BeforeValidator(_draws)

Text = Annotated[str, BeforeValidator(_text), Field(max_length=500), AfterValidator(_printable)]
# A file name holds up to four names, and has at most 255 characters.
Name = Annotated[
    str,
    BeforeValidator(_text),
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=50),
    AfterValidator(_no_loop),
]
ClassName = Text
PathText = Annotated[Text, AfterValidator(_own_home)]

Float = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
NonNegative = Annotated[float, BeforeValidator(_number), Field(ge=0)]
BelowOne = Annotated[NonNegative, Field(lt=1)]
Share = Annotated[NonNegative, Field(le=1)]
# Larger whole numbers are slips.
Count = Annotated[int, BeforeValidator(_number), Field(ge=1, le=10**9)]
Natural = Annotated[int, BeforeValidator(_number), Field(ge=0, le=10**9)]
Pixels = Annotated[int, BeforeValidator(_number), Field(ge=1, le=10_000)]
Seed = Annotated[int, BeforeValidator(_number), Field(ge=0, lt=2**63)]


def nothing_is_empty(value: Any) -> Any:
    """Take ``gradmix:`` with nothing behind it for ``gradmix: {}``."""
    return {} if value is None else value
