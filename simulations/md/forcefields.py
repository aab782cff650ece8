"""Which force field goes with which solvent, and the settings each set was made for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForceFieldSet:
    """Files that come with OpenMM, and the treatment of nonbonded forces that belongs to them.

    Attributes:
        solute: Protein, nucleic acids, lipids.
        water: Water and ions of the explicit solvent.
        water_template: Pre-equilibrated water that `Modeller.addSolvent` copies; it has the same number of
            sites as ``water``, and minimisation removes what differs.
        implicit: Generalized Born model, or None if there is none for this set.
        cutoff_nm: Cutoff of Lennard-Jones and of PME's direct space, explicit solvent only.
        switch_nm: Where Lennard-Jones begins to be switched off, or None for a plain cutoff with the
            long-range correction.
    """

    solute: str
    water: str
    water_template: str
    implicit: str | None
    cutoff_nm: float
    switch_nm: float | None = None

    def files(self, solvent: str) -> tuple[str, ...]:
        """The XML files for ``vacuum``, ``implicit`` or ``explicit``."""
        extra = {"vacuum": None, "implicit": self.implicit, "explicit": self.water}[solvent]
        return (self.solute, extra) if extra else (self.solute,)


# The water of each set is the one it was validated with: TIP3P for ff14SB (Maier 2015), ff99SB-ILDN
# (Lindorff-Larsen 2010) and, in CHARMM's own variant, CHARMM36; OPC for ff19SB (Tian 2020).
# OBC2 is model II of Onufriev, Bashford, Case (2004), with OpenMM's standard radii and ACE surface term.
FORCE_FIELDS = {
    "amber14": ForceFieldSet("amber14-all.xml", "amber14/tip3p.xml", "tip3p", "implicit/obc2.xml", 1.0),
    "amber19": ForceFieldSet("amber19-all.xml", "amber19/opc.xml", "tip4pew", "implicit/obc2.xml", 1.0),
    "amber99sbildn": ForceFieldSet("amber99sbildn.xml", "tip3p.xml", "tip3p", "implicit/obc2.xml", 1.0),
    "charmm36": ForceFieldSet("charmm36.xml", "charmm36/water.xml", "tip3p", "implicit/obc2.xml", 1.2, 1.0),
}
