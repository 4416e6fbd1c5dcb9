"""Value types of the configuration: names for files, numbers as YAML writes them, lists without doubles."""

from collections.abc import Hashable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Item = TypeVar("Item", bound=Hashable)


class Section(BaseModel):
    """A section of the configuration: refuses keys that it does not know, and changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _number(value: Any) -> Any:
    # YAML 1.1 reads `1e-3` as text and `yes` as a truth value; pydantic would turn the latter into 1.
    if isinstance(value, bool):
        raise ValueError("must be a number, but is true or false")
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"must be a number, but is the text {value!r}") from None
    return value


def _text(value: Any) -> Any:
    # A class written as 5 without quotes is the class named "5".
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _draws(value: Any) -> Any:
    """Turn a number of draws into the draws themselves."""
    if isinstance(value, list | tuple):
        return value
    number = _number(value)
    if not isinstance(number, int | float) or number != int(number) or number < 1:
        raise ValueError(
            f"must be a number of draws (1 or more) or a list of draws, but is {value!r}"
        )
    return list(range(int(number)))


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    doubles = [value for index, value in enumerate(values) if value in values[:index]]
    if doubles:
        raise ValueError(f"{doubles[0]!r} is listed twice")
    return values


Distinct = AfterValidator(_distinct)
AsList = BeforeValidator(_list)
AsDraws = BeforeValidator(_draws)

Name = Annotated[str, BeforeValidator(_text), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
ClassName = Annotated[str, BeforeValidator(_text), Field(min_length=1)]

Float = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0)]
NonNegative = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Natural = Annotated[int, BeforeValidator(_number), Field(ge=0)]


def nothing_is_empty(value: Any) -> Any:
    """Take ``gradmix:`` with nothing behind it for ``gradmix: {}``."""
    return {} if value is None else value
