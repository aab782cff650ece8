"""A grid of settings of the Tool ``md``, and what is looked for in its result."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from campaigns.dynamics.candidate import Settings, Value, settings_of
from campaigns.environment import Objective, Observation
from campaigns.errors import Fault, NotAcceptable, refuse
from simulations.disk import replace_file
from simulations.md import MdRequest
from simulations.md.molecule_inputs import SHIPPED
from simulations.records import Outcome, Request, Status

TOOL = "md"
MOST_SETTINGS = 10_000

Observable = Literal[
    "end_to_end_distance_nm",
    "radius_of_gyration_over_frames_nm",
    "rmsd_over_frames_nm",
    "potential_energy_kj_mol",
    "temperature_k",
]
OBSERVABLES: tuple[Observable, ...] = (
    "end_to_end_distance_nm",
    "radius_of_gyration_over_frames_nm",
    "rmsd_over_frames_nm",
    "potential_energy_kj_mol",
    "temperature_k",
)
"""Fields of the result of ``md`` that have a mean and a standard deviation over the frames."""

Statistic = Literal["variance", "std", "mean"]


class DynamicsEnvironment:
    """Each combination of some inputs of ``md``, scored by a quantity of its frames.

    The variance is the square of the population standard deviation over the frames of the simulation.

    Args:
        grid: Values of each input that is varied, such as ``temperature_k: [280.0, 300.0]``.
        inputs: All other inputs, the same for all.
        observable: Field of the result.
        statistic: ``variance``, ``std`` or ``mean`` of it over the frames.
        objective: ``highest`` or ``lowest``.
        success_at: It is a success if that is at least this much (``highest``), or at most (``lowest``), in the unit of
            the observable, squared for a variance; None: there are no successes, only a best.
        folder: Where a relative path of a structure starts; None: the campaign file's folder.

    Raises:
        NotAcceptable: If an argument is none of those, or ``md`` refuses one of the combinations: each is told.
    """

    def __init__(
        self,
        grid: Mapping[str, Sequence[Value]],
        inputs: Mapping[str, Any],
        observable: Observable = "end_to_end_distance_nm",
        statistic: Statistic = "variance",
        objective: Literal["highest", "lowest"] = "highest",
        success_at: float | None = None,
        folder: str | None = None,
    ) -> None:
        for name, value, allowed in (
            ("observable", observable, OBSERVABLES),
            ("statistic", statistic, ("variance", "std", "mean")),
            ("objective", objective, ("highest", "lowest")),
        ):
            if value not in allowed:
                raise refuse(name, f"is {value!r}", f"One of: {', '.join(allowed)}")
        self._inputs = dict(inputs)
        self._structure = self._own_structure(Path(folder or "."))
        self.grid = {name: tuple(values) for name, values in grid.items()}
        self.candidates = self._combinations()
        self._observable, self._statistic = observable, statistic
        self._objective = Objective(objective == "lowest", success_at)
        self._unit = _unit(observable, statistic)
        self.goal = f"{objective} {statistic} of {observable} in {self._unit}, of {len(self.candidates)} settings of md"

    def _own_structure(self, folder: Path) -> Path | None:
        """The user's file; None if there is none."""
        given = self._inputs.get("structure")
        if given is None or given in SHIPPED:
            return None
        path = (folder / str(given)).resolve()
        if not path.is_file():
            raise refuse("inputs.structure", f"there is no file {given!r}", f"A path, or one of: {', '.join(SHIPPED)}")
        return path

    def _combinations(self) -> tuple[Settings, ...]:
        if not self.grid:
            raise refuse("grid", "varies nothing", "Give one input or more, each with its values")
        faults = []
        for name, values in self.grid.items():
            if name in self._inputs:
                faults.append(Fault(f"grid.{name}", "is in inputs too", "Leave it out of one of them"))
            if not values or len(set(values)) < len(values):
                faults.append(Fault(f"grid.{name}", f"has the values {list(values)}", "Give one or more, each once"))
        count = math.prod(len(values) for values in self.grid.values())
        if count > MOST_SETTINGS:
            faults.append(Fault("grid", f"has {count:,} combinations", f"At most {MOST_SETTINGS:,} can be listed"))
        if faults:
            raise NotAcceptable(faults)
        found = tuple(
            settings_of(dict(zip(self.grid, values, strict=True))) for values in itertools.product(*self.grid.values())
        )
        refused = [fault for settings in found for fault in self._check(settings)]
        if refused:
            raise NotAcceptable(refused[:20])
        return found

    def _check(self, settings: Settings) -> list[Fault]:
        try:
            MdRequest(**{**self._inputs, **settings.inputs})
        except ValidationError as error:
            said = ", ".join(f"{name}: {value}" for name, value in settings.values)
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "inputs"
            return [
                Fault(f"grid ({said})", f"md refuses {place}: {first['msg']}", f"See its inputs: director tools {TOOL}")
            ]
        return []

    def request(self, candidate: Settings, name: str, folder: Path) -> Request:
        """The Request of a combination. A structure of the user's is copied into the folder."""
        inputs = {**self._inputs, **candidate.inputs}
        if self._structure is not None:
            content = self._structure.read_bytes()
            copy = f"{hashlib.sha256(content).hexdigest()[:16]}{self._structure.suffix.lower()}"
            if not (folder / copy).exists():
                replace_file(folder / copy, [content], folder / f".{copy}.{name}.partial")
            inputs["structure"] = copy
        return Request(id=name, tool=TOOL, inputs=inputs)

    def observe(self, candidate: Settings, outcome: Outcome) -> Observation[Settings]:
        """The statistic as a score. One that the result does not have is told in ``details``, and there is no score."""
        found = (outcome.result or {}).get(self._observable) if outcome.status is Status.OK else None
        details: dict[str, Any] = {}
        score = None
        if found is not None:
            amount = _amount(found, self._statistic)
            details = {f"{self._statistic}_{self._unit}": amount, "mean": found["mean"], "std": found["std"]}
            details |= {"n_frames": (outcome.result or {})["n_frames"], "n_effective": found["n_effective"]}
            score = self._objective.score(amount)
        elif outcome.status is Status.OK:
            missing = (outcome.result or {}).get("missing", {})
            details = {"no_score": missing.get(self._observable, f"the result has no {self._observable}")}
        return Observation.of(candidate, outcome, score, success=self._objective.met(score), details=details)

    def to_json(self, candidate: Settings) -> dict[str, Any]:
        """Its values by name."""
        return dict(candidate.inputs)

    def from_json(self, document: Mapping[str, Any]) -> Settings:
        """The settings of a document."""
        return settings_of(document)

    def get_state(self) -> dict[str, Any]:
        """Which structure it is, if that is the user's."""
        return {"structure_sha256": self._digest()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Checks that the structure is the same one.

        Raises:
            NotAcceptable: If it is not.
        """
        if state["structure_sha256"] != self._digest():
            hint = "Put the file back as it was, or begin another campaign"
            raise refuse("environment.inputs.structure", "is another file than when the campaign began", hint)

    def _digest(self) -> str | None:
        return None if self._structure is None else hashlib.sha256(self._structure.read_bytes()).hexdigest()


def _unit(observable: Observable, statistic: Statistic) -> str:
    unit = next(unit for unit in ("kj_mol", "nm", "k") if observable.endswith(f"_{unit}"))
    return f"{unit}2" if statistic == "variance" else unit


def _amount(found: Mapping[str, Any], statistic: Statistic) -> float:
    if statistic == "mean":
        return float(found["mean"])
    std = float(found["std"])
    return std * std if statistic == "variance" else std
