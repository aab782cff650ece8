"""Which force field goes with which solvent, and the settings each set was made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class WaterModel:
    """A model of water, with the ions that were fitted to it.

    Attributes:
        file: XML file that comes with OpenMM.
        template: Pre-equilibrated water that `Modeller.addSolvent` copies; it has the same number of
            sites, and minimisation removes what differs.
    """

    file: str
    template: str

    @property
    def has_virtual_site(self) -> bool:
        """Whether a molecule has a charge that sits on no atom."""
        return self.template == "tip4pew"


@dataclass(frozen=True)
class ForceFieldSet:
    """Files that come with OpenMM, and the treatment of nonbonded forces that belongs to them.

    Attributes:
        solute: Protein, and mostly nucleic acids and lipids.
        waters: The models of water that it goes with, by name.
        own_water: Name of the one that it was validated with.
        cutoff_nm: Cutoff of Lennard-Jones and of PME's direct space, explicit solvent only.
        switch_nm: Where Lennard-Jones begins to be switched off, or None for a plain cutoff with the
            long-range correction.
        ions_with_water: Whether the files of its waters have the ions, so that water without a solute needs no other.
        caps: Whether it has the residues ACE and NME.
        implicit: Generalized Born models that it goes with, each with its file.
    """

    solute: str
    waters: Mapping[str, WaterModel]
    own_water: str
    cutoff_nm: float = 1.0
    switch_nm: float | None = None
    ions_with_water: bool = False
    caps: bool = True
    implicit: Mapping[str, str] = field(
        default_factory=lambda: {"obc2": "implicit/obc2.xml", "gbn2": "implicit/gbn2.xml"}
    )

    def water(self, name: str | None) -> WaterModel:
        """The model of that name; its own without one."""
        return self.waters[name or self.own_water]

    def files(self, solvent: str, implicit_model: str, water_model: str | None, *, solute: bool) -> tuple[str, ...]:
        """The XML files for ``vacuum``, ``implicit`` or ``explicit``, with a solute or for water and ions alone."""
        if solvent == "vacuum":
            return (self.solute,)
        if solvent == "implicit":
            return (self.solute, self.implicit[implicit_model])
        water = self.water(water_model).file
        # OpenMM 8.6 cannot apply ff19SB, with its correction maps, to a system that has no protein.
        return (water,) if self.ions_with_water and not solute else (self.solute, water)


def _waters(folder: str, four_sites: tuple[str, ...], three_sites: tuple[str, ...]) -> dict[str, WaterModel]:
    three = {name: WaterModel(f"{folder}{name}.xml", "tip3p") for name in three_sites}
    four = {name: WaterModel(f"{folder}{name}.xml", "tip4pew") for name in four_sites}
    return three | four


_AMBER_THREE, _AMBER_FOUR = ("tip3p", "tip3pfb", "spce", "opc3"), ("tip4pew", "tip4pfb", "opc")
_AMBER99 = _waters("", _AMBER_FOUR, _AMBER_THREE)
_AMBER14 = _waters("amber14/", _AMBER_FOUR, _AMBER_THREE)
_AMBER19 = _waters("amber19/", _AMBER_FOUR, _AMBER_THREE)


def _charmm(name: str) -> ForceFieldSet:
    # CHARMM's TIP3P has Lennard-Jones on its hydrogens; OpenMM calls its file "water".
    own = {"tip3p": WaterModel(f"{name}/water.xml", "tip3p")}
    waters = own | _waters(f"{name}/", ("tip4pew", "tip4p2005"), ("tip3p-pme-b", "tip3p-pme-f", "spce"))
    return ForceFieldSet(f"{name}.xml", waters, "tip3p", cutoff_nm=1.2, switch_nm=1.0, caps=False)


# The water of each set is the one it was validated with: TIP3P for ff14SB (Maier 2015), ff99SB (Hornak 2006), ff03
# (Duan 2003), ff99SB-ILDN (Lindorff-Larsen 2010) and, in CHARMM's own variant, CHARMM36 (Best 2012, Huang 2017); OPC
# for ff19SB (Tian 2020); TIP3P-FB for FB15 (Wang 2017).
# OBC2 is model II of Onufriev, Bashford, Case (2004), GBn2 that of Nguyen, Roe, Simmerling (2013), both with OpenMM's
# standard radii and ACE surface term.
FORCE_FIELDS = {
    "amber14": ForceFieldSet("amber14-all.xml", _AMBER14, "tip3p", ions_with_water=True),
    "amber19": ForceFieldSet("amber19-all.xml", _AMBER19, "opc", ions_with_water=True),
    "amber99sbildn": ForceFieldSet("amber99sbildn.xml", _AMBER99, "tip3p"),
    "amber99sb": ForceFieldSet("amber99sb.xml", _AMBER99, "tip3p"),
    "amber03": ForceFieldSet("amber03.xml", _AMBER99, "tip3p"),
    "amberfb15": ForceFieldSet("amberfb15.xml", _AMBER99, "tip3pfb"),
    "charmm36": _charmm("charmm36"),
    "charmm36_2024": _charmm("charmm36_2024"),
}
