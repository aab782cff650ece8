"""What is known to be there, from a user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from campaigns.errors import refuse


class KnownSystem(BaseModel):
    """What is known of one system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: list[dict[str, Any]] = Field(
        description="Candidates as the record has them: crystals in their final geometry, molecules, settings."
    )
    formulas: list[str] = Field(default_factory=list, description="Reduced formulas; those of crystals are added.")
    source: str = Field(default="given", description="Where this is from, for the reader.")


class KnownFile(BaseModel):
    """A JSON file with what is known, by system; a campaign without systems has one named ``default``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    systems: dict[str, KnownSystem] = Field(description="By the name of the system.")


def read_known(path: Path) -> KnownFile:
    """Reads such a file.

    Raises:
        NotAcceptable: If it cannot be read, or is no such file.
    """
    try:
        return KnownFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise refuse(str(path), f"cannot be read ({error})", "Correct the path") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        hint = 'Write {"systems": {"default": {"candidates": [{"smiles": "CO"}]}}}'
        raise refuse(f"{path}: {place}", first["msg"], hint) from None
