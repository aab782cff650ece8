"""A word on timesteps that are longer than is usual for the fastest motion that is left."""

from __future__ import annotations

from simulations.md.models import MdRequest

HEAVY_HYDROGEN_DA = 3.0


def usual_timestep_fs(constraints: str, hydrogen_mass_da: float | None) -> float:
    """The longest timestep in fs that is usual.

    Bonds to hydrogen vibrate with a period of some 10 fs, which allows 1 fs; where they are of fixed length, 2 fs; and
    4 fs if hydrogens also weigh some 3 Da (Hopkins, Le Grand, Walker, Roitberg, JCTC 11 (2015) 1864).
    """
    if constraints == "none":
        return 1.0
    return 4.0 if hydrogen_mass_da is not None and hydrogen_mass_da >= HEAVY_HYDROGEN_DA else 2.0


def timestep_advice(request: MdRequest) -> str | None:
    """What to say of a request's timestep; None if it is usual."""
    usual = usual_timestep_fs(request.constraints, request.hydrogen_mass_da)
    if request.timestep_fs <= usual:
        return None
    mass = "" if request.hydrogen_mass_da is None else f" and hydrogen_mass_da {request.hydrogen_mass_da:g}"
    return (
        f"timestep_fs {request.timestep_fs:g} is longer than {usual:g}, which is usual with constraints "
        f"{request.constraints}{mass}: energies and temperature may be wrong where it does not blow up"
    )
