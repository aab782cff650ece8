"""Which compositions are chemically plausible, as SMACT sees it."""

from __future__ import annotations

from campaigns.crystals.extras import needed
from campaigns.crystals.formulas import reduced_formula


class SmactRules:
    """Charge neutrality and order of electronegativities (D. W. Davies et al., J. Open Source Softw. 2019, 4, 1361).

    Elements, and alloys of metals alone, pass. Verdicts on compositions are kept.

    Args:
        who: Component that needs it, for the error.

    Raises:
        MissingExtraError: If SMACT is not installed.
    """

    def __init__(self, who: str) -> None:
        self._valid = needed("smact.screening", "materials", who).smact_validity
        self._known: dict[str, bool] = {}

    def passes(self, formula: str) -> bool:
        """Whether the composition of a formula passes. Cells of one composition, such as CuO and Cu2O2, are alike."""
        name = reduced_formula(formula)
        if name not in self._known:
            self._known[name] = bool(self._valid(name))
        return self._known[name]
