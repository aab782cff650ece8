"""The types that inputs and values of a tool file can have, and the fields of pydantic models that they become."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic_core import SchemaError

MAX_NUMBERS = 10_000
_DESCRIPTION = "What it means."
_UNIT = 'Its unit, such as K or eV; "1" for a number without.'
_OPTIONAL = "Whether it may be left out."

Description = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\r\n]+$")]
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$")]


class Strict(BaseModel):
    """What all parts of a tool file have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Input(Strict):
    description: Description = Field(description=_DESCRIPTION)
    optional: bool = Field(default=False, description=_OPTIONAL)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.optional and getattr(self, "default", None) is not None:
            raise ValueError("optional and default exclude one another: leave one of them out")
        return self

    def field(self) -> tuple[Any, Any]:
        """Type and default of the field of a request model that it becomes."""
        default = getattr(self, "default", None)
        kind = self.annotation()
        if self.optional:
            return kind | None, Field(default=None, **self.about())
        return (kind, Field(**self.about())) if default is None else (kind, Field(default=default, **self.about()))

    def annotation(self) -> Any:
        """Its type, with bounds."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """What else its field is told."""
        return {"description": self.description}


class _Bounded(_Input):
    @model_validator(mode="after")
    def _in_order(self) -> Self:
        low, high, default = (getattr(self, name) for name in ("minimum", "maximum", "default"))
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimum {low} is above maximum {high}")
        if default is not None and ((low is not None and default < low) or (high is not None and default > high)):
            raise ValueError(f"default {default} is out of bounds")
        return self

    def annotation(self) -> Any:
        """See `_Input.annotation`."""
        kind = float if isinstance(self, NumberInput) else int
        return Annotated[kind, Field(ge=getattr(self, "minimum", None), le=getattr(self, "maximum", None))]

    def about(self) -> dict[str, Any]:
        """See `_Input.about`; with the unit."""
        return {"description": with_unit(self.description, getattr(self, "unit", None))}


class NumberInput(_Bounded):
    """A number."""

    type: Literal["number"]
    unit: Unit = Field(description=_UNIT)
    minimum: float | None = Field(default=None, description="Smallest value, in its unit.")
    maximum: float | None = Field(default=None, description="Largest value, in its unit.")
    default: float | None = Field(default=None, description="Value if it is not given, in its unit.")


class IntegerInput(_Bounded):
    """A whole number."""

    type: Literal["integer"]
    unit: Unit | None = Field(default=None, description="Its unit; none for what is counted.")
    minimum: int | None = Field(default=None, description="Smallest value, in its unit.")
    maximum: int | None = Field(default=None, description="Largest value, in its unit.")
    default: int | None = Field(default=None, description="Value if it is not given, in its unit.")


class BooleanInput(_Input):
    """True or false."""

    type: Literal["boolean"]
    default: bool | None = Field(default=None, description="Value if it is not given.")

    def annotation(self) -> Any:
        """See `_Input.annotation`."""
        return bool


class EnumInput(_Input):
    """One of some words."""

    type: Literal["enum"]
    values: list[Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]] = Field(
        min_length=1, max_length=1000, description="The words."
    )
    default: str | None = Field(default=None, description="Value if it is not given.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.default is not None and self.default not in self.values:
            raise ValueError(f"default {self.default!r} is none of its values")
        return self

    def annotation(self) -> Any:
        """See `_Input.annotation`."""
        return Literal[tuple(self.values)]


class StringInput(_Input):
    """Text that a pattern describes. It may not begin with '-', which a program could take for an option."""

    type: Literal["string"]
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        description="A regular expression that all of the text must match (without look-around and back references)."
    )
    max_length: int = Field(default=200, ge=1, le=4096, description="Most characters.")
    default: str | None = Field(default=None, description="Value if it is not given.")

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        try:
            # By itself too: what is wrong alone could become right between the brackets that are put around it.
            TypeAdapter(Annotated[str, Field(pattern=self.pattern)])
            checked = TypeAdapter(self.annotation())
        except SchemaError as error:
            raise ValueError(
                f"pattern is no regular expression that can be used: {str(error).splitlines()[-1].strip()}"
            ) from None
        if self.default is not None:
            try:
                checked.validate_python(self.default, strict=True)
            except ValueError:
                raise ValueError(f"default {self.default!r} does not match its own pattern and bounds") from None
        return self

    def annotation(self) -> Any:
        """See `_Input.annotation`."""
        return Annotated[
            str, Field(max_length=self.max_length, pattern=f"^(?:{self.pattern})$"), AfterValidator(an_argument)
        ]

    def about(self) -> dict[str, Any]:
        """See `_Input.about`; with what no text may be."""
        return {"description": f"{_sentence(self.description)} It may not begin with '-'."}


class FileInput(_Input):
    """A file of the user's. The program finds a copy of it in the folder that it runs in."""

    type: Literal["file"]
    suffixes: list[Annotated[str, StringConstraints(pattern=r"^\.[A-Za-z0-9]{1,12}$")]] = Field(
        default_factory=list, max_length=50, description="What its name may end in; empty: anything."
    )
    name: PlainName | None = Field(
        default=None, description="What the copy is called; the input's name with the file's suffix if not given."
    )

    def annotation(self) -> Any:
        """See `_Input.annotation`."""
        allowed = tuple(suffix.lower() for suffix in self.suffixes)

        def of_a_kind(path: str) -> str:
            if allowed and PurePosixPath(path).suffix.lower() not in allowed:
                raise ValueError(f"must be a file whose name ends in {' or '.join(allowed)}")
            return path

        return Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(of_a_kind)]

    def about(self) -> dict[str, Any]:
        """See `_Input.about`; with what marks a file for `simulations.tool.Tool.file_inputs`."""
        ends = f" A file that ends in {', '.join(self.suffixes)}." if self.suffixes else " A file."
        return {"description": _sentence(self.description) + ends, "json_schema_extra": {"x-file": []}}


Input = Annotated[
    NumberInput | IntegerInput | BooleanInput | EnumInput | StringInput | FileInput, Field(discriminator="type")
]


class Value(Strict):
    """A value that is taken from a program's JSON output into the result."""

    type: Literal["number", "integer", "boolean", "string", "numbers"] = Field(
        description="number, integer, boolean, string, or numbers: a list of numbers."
    )
    unit: Unit | None = Field(default=None, description=_UNIT)
    description: Description = Field(description=_DESCRIPTION)
    optional: bool = Field(default=False, description="Whether it may be null or missing.")
    at: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=20, description="Where it stands, key by key; its own name if not given."
    )

    @model_validator(mode="after")
    def _has_a_unit(self) -> Self:
        if self.type in ("number", "numbers") and self.unit is None:
            raise ValueError('a number needs its unit: unit: eV, or unit: "1" for one without')
        return self

    def field(self) -> tuple[Any, Any]:
        """Type and default of the field of a result model that it becomes."""
        kinds: dict[str, Any] = {"number": float, "integer": int, "boolean": bool, "string": str}
        kinds["numbers"] = Annotated[list[float], Field(max_length=MAX_NUMBERS)]
        kind = kinds[self.type]
        about = with_unit(self.description, self.unit)
        return (
            (kind | None, Field(default=None, description=about)) if self.optional else (kind, Field(description=about))
        )


def an_argument(value: str) -> str:
    """Text that may become an argument.

    Raises:
        ValueError: If a program could take it for an option, or no argument can hold it.
    """
    if value.startswith("-"):
        raise ValueError("may not begin with '-', which a program could take for an option")
    if "\0" in value:
        raise ValueError("may not hold the character NUL, which no argument can")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not text that can be written in UTF-8") from None
    return value


def with_unit(description: str, unit: str | None) -> str:
    """A description that says the unit."""
    if unit is None:
        return description
    return f"{_sentence(description)} {'Without unit' if unit == '1' else f'In {unit}'}."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
