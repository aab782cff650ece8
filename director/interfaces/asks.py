"""What the actions of a run take, beside its Tools. Their JSON schemas are what agents are shown."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_ENTRIES = 1_000
MOST_REQUESTS = 10_000
MOST_IDS = 1_000
MOST_OUTCOMES = 200
MOST_WAIT_S = 300.0
MOST_TEXT_BYTES = 100_000


class _Ask(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SubmitEntry(_Ask):
    """One Request, or many that differ in a few inputs."""

    tool: str = Field(description="Name of the Tool.")
    inputs: dict[str, Any] = Field(default={}, description="Its inputs, as the Tool of that name takes them.")
    repeat: int = Field(default=1, ge=1, le=MOST_REQUESTS, description="Run it with so many seeds, counting up.")
    sweep: dict[str, list[Any]] = Field(
        default={},
        description="For each of these inputs the values that it takes in turn; all combinations are run.",
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="The higher one starts first.")
    timeout_s: float | None = Field(
        default=None, gt=0, le=31_536_000, description="Longest time that each may run, in s. Null: no limit."
    )
    reuse: bool = Field(default=True, description="Whether the Outcome of an equal Request may stand for it.")


class SubmitAsk(_Ask):
    """Requests that are handed over at once; what runs is not waited for."""

    requests: list[SubmitEntry] = Field(min_length=1, max_length=MOST_ENTRIES, description="What is to be run.")
    token: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="A word of your own that names this submission. The same Requests with the same word are "
        "run once, however often they are submitted.",
    )


class StatusAsk(_Ask):
    """Takes nothing."""


class OutcomesAsk(_Ask):
    """Which Outcomes, and how long to wait for them."""

    ids: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_OUTCOMES,
        description="Ids of Requests: waits until all of them have ended. Null: pages of all Outcomes of the run.",
    )
    after: str | None = Field(
        default=None,
        max_length=20_000,
        pattern=r"^\d+(\.\d+)*$",
        description="Without ids: the `next` of the page before. Null: from the first Outcome on.",
    )
    limit: int = Field(default=50, ge=1, le=MOST_OUTCOMES, description="How many Outcomes at most.")
    wait_s: float = Field(
        default=0.0,
        ge=0,
        le=MOST_WAIT_S,
        description="How long to wait, in s: for all of the ids, or for the first new Outcome. Many clients give up on "
        "a call after 60 s.",
    )
    full: bool = Field(default=False, description="With all provenance: history, hosts, versions, times.")


class CancelAsk(_Ask):
    """Which Requests are cancelled."""

    ids: list[str] = Field(min_length=1, max_length=MOST_IDS, description="Ids of the Requests.")


class DrainAsk(_Ask):
    """Takes nothing."""


class ReadArtifactAsk(_Ask):
    """Which file, and which part of it."""

    path: str = Field(
        min_length=1, max_length=4096, description="As an Outcome's `artifacts` name it, relative to the run folder."
    )
    offset: int = Field(default=0, ge=0, le=2**40, description="Of a text: where to begin, in bytes.")
    limit_bytes: int = Field(
        default=20_000, ge=100, le=MOST_TEXT_BYTES, description="Of a text: how many bytes at most."
    )


class ReportAsk(_Ask):
    """Which plot."""

    kind: Literal["run", "energies", "trace"] = Field(
        description="run: Outcomes over time, by status. energies: one number of each Outcome, side by side. trace: "
        "energy and temperature over time of one simulation that left a state_table."
    )
    ids: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_OUTCOMES,
        description="Of which Requests. Null: of all that have ended, at most the latest 200. trace takes one id.",
    )
    quantity: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$",
        description="Of energies: which number of the result, such as energy_ev or potential_energy_kj_mol.mean. "
        "Null: the energy that most of them have.",
    )


class NameAsk(_Ask):
    """Which molecule."""

    name: str = Field(min_length=1, max_length=200, description="Its English name, such as benzene or caffeine.")


class StructureAsk(_Ask):
    """Which molecule, and which of its conformers."""

    smiles: str = Field(min_length=1, max_length=500, pattern=r"^[!-~]+$", description="SMILES, without spaces.")
    seed: int = Field(default=1, ge=1, le=2**31 - 1, description="Of the embedding: another one, another conformer.")
