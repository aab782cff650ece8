"""What a production run left, and what of it stands in the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulations.md.analysis import Array
from simulations.md.averages import Averages
from simulations.md.conclusion import Conclusion
from simulations.md.output import Frame


@dataclass(frozen=True)
class Produced:
    """What a production run left.

    Attributes:
        averages: Statistics over the frames.
        last: Numbers of the last frame.
        positions: Coordinates of the last frame in nm.
        box: Box vectors of the last frame in nm, or None.
        seconds: Wall time of the run, in all attempts whose work is in it.
        conclusion: What its trajectory says as a whole.
        analyse_s: Wall time of finding that, in s.
    """

    averages: Averages
    last: Frame
    positions: Array
    box: Array | None
    seconds: float
    conclusion: Conclusion
    analyse_s: float

    def fields(self, dof: int, *, conserves_energy: bool) -> dict[str, Any]:
        """Fields of the result that come from the frames.

        Args:
            dof: Degrees of freedom.
            conserves_energy: Whether there is no thermostat.
        """
        fields = self.averages.fields(dof, conserves_energy=conserves_energy)
        missing = dict(self.conclusion.analysis.missing)
        if conserves_energy and fields["energy_drift"] is None:
            missing["energy_drift"] = "a line needs three frames: lower report_interval_steps"
        return fields | {
            "rmsd_nm": self.last.rmsd_nm,
            "radius_of_gyration_nm": self.last.radius_of_gyration_nm,
            "rmsf_nm": self.conclusion.rmsf_nm,
            "secondary_structure": self.conclusion.secondary_structure,
            "end_to_end_distance_nm": self.conclusion.end_to_end_distance_nm,
            "missing": missing,
            "n_frames": self.averages.count,
        }
