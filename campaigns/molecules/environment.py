"""The ionization energies of a list of molecules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from campaigns.environment import Objective, Observation
from campaigns.errors import refuse
from campaigns.molecules.candidate import Molecule, molecule_of
from campaigns.molecules.smiles_list import Duplicates, read_list
from simulations.ionization.models import IonizationRequest
from simulations.records import Outcome, Request, Status

TOOL = "ionization_energy"
RESULT = "ionization_energy_ev"


class MoleculeEnvironment:
    """Molecules of a list, each evaluated by the Tool ``ionization_energy``.

    The score is the vertical GFN2-xTB ionization energy in eV (raw: about 5 eV above what is measured), or less that if
    the lowest is looked for. A molecule whose evaluation failed has no score.

    Args:
        smiles: The list: name of a shipped one (``small-organics``), path of a file with one SMILES a line, or SMILES.
        objective: ``highest`` or ``lowest``.
        success_ev: A molecule is a success if its ionization energy in eV is at least this much (``highest``), or at
            most (``lowest``); None: there are no successes, only a best.
        inputs: Further inputs of the Tool, such as ``conformers``.
        duplicates: What becomes of a molecule that is in the list twice: ``refuse`` or ``merge``.
        folder: Where a relative path of the list starts; None: the campaign file's folder.

    Raises:
        NotAcceptable: If the list or an argument is not what it should be; lists are told with line numbers.
        ToolError: ``MissingExtra``, if RDKit is not installed.
    """

    def __init__(
        self,
        smiles: str | Sequence[str],
        objective: Literal["highest", "lowest"] = "highest",
        success_ev: float | None = None,
        inputs: Mapping[str, Any] | None = None,
        duplicates: Duplicates = "refuse",
        folder: str | None = None,
    ) -> None:
        if objective not in ("highest", "lowest"):
            raise refuse("objective", f"is {objective!r}", "highest or lowest")
        self._inputs = dict(inputs or {})
        self._check_inputs()
        self.candidates = read_list(smiles, duplicates, None if folder is None else Path(folder))
        self._objective = Objective(objective == "lowest", success_ev)
        self.goal = f"{objective} vertical ionization energy in eV (raw GFN2-xTB) of {len(self.candidates)} molecules"

    def _check_inputs(self) -> None:
        if "smiles" in self._inputs:
            raise refuse("inputs.smiles", "is what the campaign chooses", "Leave it out")
        try:
            IonizationRequest(smiles="C", **self._inputs)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(["inputs", *map(str, first["loc"])])
            raise refuse(place, first["msg"], f"See the inputs of the Tool {TOOL}: director tools {TOOL}") from None

    def request(self, candidate: Molecule, name: str, folder: Path) -> Request:
        """The Request of a molecule; it needs no files."""
        return Request(id=name, tool=TOOL, inputs={**self._inputs, "smiles": candidate.smiles})

    def observe(self, candidate: Molecule, outcome: Outcome) -> Observation[Molecule]:
        """The ionization energy as a score."""
        energy_ev = outcome.result.get(RESULT) if outcome.status is Status.OK and outcome.result else None
        if energy_ev is None:
            return Observation.of(candidate, outcome, None)
        score = self._objective.score(float(energy_ev))
        details = {RESULT: float(energy_ev)}
        return Observation.of(candidate, outcome, score, success=self._objective.met(score), details=details)

    def to_json(self, candidate: Molecule) -> dict[str, Any]:
        """Its SMILES."""
        return {"smiles": candidate.smiles}

    def from_json(self, document: Mapping[str, Any]) -> Molecule:
        """The molecule of a document.

        Raises:
            ToolError: If the Tool would refuse it.
        """
        return molecule_of(str(document["smiles"]))

    def get_state(self) -> dict[str, Any]:
        """Which list it is."""
        return {"list_sha256": self._digest()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Checks that the list is the same one.

        Raises:
            NotAcceptable: If it is not.
        """
        if state["list_sha256"] != self._digest():
            hint = "Put the list back as it was, or begin another campaign"
            raise refuse("environment.smiles", "is another list than when the campaign began", hint)

    def _digest(self) -> str:
        return hashlib.sha256("\n".join(molecule.smiles for molecule in self.candidates).encode()).hexdigest()
