"""The campaign file, composed: what is looked for, by which policies, within which budget, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Names a folder, so it holds no separator and does not begin with a dot."""

Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]

DEFAULT_SYSTEM = "default"
DEFAULT_POLICY = "policy"

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Budget(BaseModel):
    """What each episode may use. At least one of these."""

    model_config = _STRICT

    evaluations: int | None = Field(default=None, ge=1, le=1_000_000, description="Evaluations, failed ones included.")
    node_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours of whole nodes; what is running when they are used up goes on to its end.",
    )
    wall_time_s: float | None = Field(
        default=None, gt=0, description="Time that the episode has been worked at, over all its resumptions, in s."
    )

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if self.evaluations is None and self.node_hours is None and self.wall_time_s is None:
            raise ValueError("says nothing: give evaluations, node_hours or wall_time_s")
        return self


class Stop(BaseModel):
    """When an episode ends before its budget is used up."""

    model_config = _STRICT

    successes: int | None = Field(default=None, ge=1, description="As many evaluations were what is looked for.")
    score_at_least: float | None = Field(default=None, description="One evaluation had this score or a better one.")
    no_improvement_for: int | None = Field(
        default=None, ge=1, description="As many evaluations in a row brought no better score than was known."
    )
    failures_in_a_row: int | None = Field(
        default=10, ge=1, description="As many evaluations in a row have failed; null: never for this reason."
    )


class System(BaseModel):
    """One system of several: what it has otherwise than the campaign file says."""

    model_config = _STRICT

    name: Name = Field(description="Its name; it names a folder and is part of every seed.")
    environment: dict[str, Any] = Field(default_factory=dict, description="Merged into `environment`.")
    policy: dict[str, Any] = Field(default_factory=dict, description="Merged into `policy`.")
    policies: dict[Name, dict[str, Any]] = Field(default_factory=dict, description="Merged into `policies`.")


class CampaignFile(BaseModel):
    """A campaign, as its file says with all that it is composed of."""

    model_config = _STRICT

    name: Name = Field(description="Its name.")
    goal: str = Field(default="", description="What is looked for, for people; empty: what the environment says.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="All random numbers of all components come from it.")
    modules: list[Module] = Field(
        default_factory=list, description="Importable modules whose classes `_target_` may name, beside those shipped."
    )
    systems: list[System] = Field(default_factory=list, description="Several systems; none: the one of `environment`.")
    episodes: int = Field(default=1, ge=1, le=10_000, description="How often each policy is run on each system.")
    at_once: int = Field(default=1, ge=1, le=1024, description="How many episodes are run at the same time.")
    parallel: int = Field(default=1, ge=1, le=100_000, description="How many candidates of an episode are in flight.")
    prefetch: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="How many more are chosen ahead in `asynchronous` mode, so that no worker waits for a decision.",
    )
    mode: Literal["batch", "asynchronous"] = Field(
        default="batch",
        description="batch: the next are chosen when all of the last have been observed, so the trajectory is always "
        "the same; asynchronous: the next leaves when an Outcome arrives.",
    )
    attempts: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="How often a policy is asked that has nothing, while nothing is pending.",
    )
    budget: Budget = Field(description="What each episode may use.")
    stop: Stop = Field(default=Stop(), description="When an episode ends before that.")
    environment: dict[str, Any] = Field(description="Component: what is evaluated, how, and what counts as a success.")
    policy: dict[str, Any] | None = Field(default=None, description="Component: who chooses; one policy.")
    policies: dict[Name, dict[str, Any]] | None = Field(
        default=None, description="Components by name: several policies that are compared."
    )
    run: dict[str, Any] = Field(
        default_factory=dict, description="Where it runs, in the words of batch files: directors, nodes, pool …"
    )

    @model_validator(mode="after")
    def _consistent(self) -> CampaignFile:
        if (self.policy is None) == (not self.policies):
            raise ValueError("give either policy or policies")
        names = [system.name for system in self.systems]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"systems: {twice[0]!r} is given twice")
        if self.prefetch and self.mode == "batch":
            raise ValueError("prefetch goes with mode: asynchronous; a batch is chosen when the last one was observed")
        for system in self.systems:
            unknown = sorted(set(system.policies) - set(self.policies or {}))
            if unknown or (system.policy and self.policy is None):
                raise ValueError(f"systems: {system.name!r} changes a policy that is not in policies: {unknown}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the policies, in the order of the file."""
        return tuple(self.policies) if self.policies else (DEFAULT_POLICY,)

    @property
    def system_names(self) -> tuple[str, ...]:
        """Names of the systems, in the order of the file."""
        return tuple(system.name for system in self.systems) or (DEFAULT_SYSTEM,)

    @property
    def identity(self) -> dict[str, Any]:
        """All that the trajectory depends on, as JSON: everything but where it runs."""
        return self.model_dump(mode="json", exclude={"run", "at_once"})

    def tree(self, system: str, policy: str) -> dict[str, Any]:
        """The configuration of ``environment`` and ``policy`` in one system. Pure."""
        change = next((one for one in self.systems if one.name == system), None)
        chosen = self.policies[policy] if self.policies else self.policy or {}
        if change is None:
            return {"environment": self.environment, "policy": chosen}
        mine = change.policies.get(policy, {}) if self.policies else change.policy
        return {"environment": merged(self.environment, change.environment), "policy": merged(chosen, mine)}

    def place(self, policy: str) -> str:
        """Where a policy stands in the file."""
        return f"policies.{policy}" if self.policies else "policy"


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with changes; mappings are merged, all else is replaced. Pure."""
    out = dict(base)
    for name, value in change.items():
        before = out.get(name)
        out[name] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return out


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """What is otherwise in a tree, one line for each leaf. Pure."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for name in dict.fromkeys([*before, *now]):
            where = f"{place}.{name}" if place else str(name)
            if name not in now:
                found.append(f"{where}: {before[name]!r} → (not given)")
            elif name not in before:
                found.append(f"{where}: (not given) → {now[name]!r}")
            else:
                found += differences(before[name], now[name], where)
        return found
    return [] if before == now else [f"{place}: {before!r} → {now!r}"]
