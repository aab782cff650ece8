"""The inputs of one stage before production: heating, or equilibration."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_RESTRAINT_KJ_MOL_NM2 = 1000.0

Restraint = Literal["none", "heavy", "backbone", "calpha"]


class Stage(BaseModel):
    """Steps that are taken before production. They leave no frames."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    kind: Literal["heat", "equilibrate"] = Field(
        description="heat: the thermostat goes from from_temperature_k to temperature_k, in up to 100 equal steps, at "
        "constant volume. equilibrate: it stays at temperature_k."
    )
    steps: int = Field(ge=1, le=10**12, description="Integration steps of the stage.")
    from_temperature_k: float | None = Field(
        default=None, ge=0, le=2000, description="Temperature at which heat begins, in K; heat needs it."
    )
    temperature_k: float | None = Field(
        default=None, gt=0, le=2000, description="Temperature in K; null means temperature_k of the request."
    )
    ensemble: Literal["NVT", "NPT"] = Field(
        default="NVT", description="NPT adds a Monte Carlo barostat at the request's pressure; only to equilibrate."
    )
    restraint: Restraint = Field(
        default="none", description="Atoms that are held near the start, as in the request's restraint."
    )
    restraint_kj_mol_nm2: float | None = Field(
        default=None,
        gt=0,
        le=1e7,
        description="Force constant k of the restraint's k/2 r², in kJ/mol/nm²; only with a restraint, where it is "
        f"{DEFAULT_RESTRAINT_KJ_MOL_NM2} if not given.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_restraint(cls, data: Any) -> Any:
        return with_restraint_default(data)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "heat":
            if self.from_temperature_k is None:
                raise ValueError("a stage of kind heat needs from_temperature_k")
            if self.ensemble == "NPT":
                raise ValueError("a stage of kind heat is NVT: let a stage of kind equilibrate with NPT follow")
        elif self.from_temperature_k is not None:
            raise ValueError("from_temperature_k has no meaning with kind equilibrate: leave it out or use heat")
        check_restraint(self.restraint, self.restraint_kj_mol_nm2)
        return self


def with_restraint_default(data: Any) -> Any:
    """Inputs with the force constant that a restraint has if none is given."""
    if isinstance(data, dict) and data.get("restraint", "none") != "none" and data.get("restraint_kj_mol_nm2") is None:
        return {**data, "restraint_kj_mol_nm2": DEFAULT_RESTRAINT_KJ_MOL_NM2}
    return data


def check_restraint(restraint: Restraint, kj_mol_nm2: float | None) -> None:
    """Refuses a force constant that holds nothing.

    Raises:
        ValueError: If there is one without a restraint.
    """
    if restraint == "none" and kj_mol_nm2 is not None:
        raise ValueError("restraint_kj_mol_nm2 has no meaning with restraint none: leave it out or set restraint")
