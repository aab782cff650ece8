"""What values of parameters can be: words, paths and names that mean nothing to a shell, to YAML or to a scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class SetBy(Enum):
    """Who may set a parameter. It stands in the metadata of the model's field; without it, whoever submits may."""

    INSTALLER = "installer"
    SUBMITTER = "submitter"


@dataclass(frozen=True)
class OneOf:
    """One of these words and no other: an enumeration that is made from a table of facts."""

    names: Sequence[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """What pydantic checks, and makes the JSON schema from."""
        return core_schema.literal_schema(list(self.names))


# Letters and digits, and - _ . in between. The templates check for the same once more; see `parts/base.yaml.j2`.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", max_length=64)]
AbsolutePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.@+-]+)+$", max_length=512)]
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9_.+-]+){0,4}$", max_length=128)]
InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$", max_length=15)]
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
Ipv4Address = Annotated[str, Field(pattern=rf"^({_BYTE}\.){{3}}{_BYTE}$", max_length=15)]
