"""Which OpenMM platform a simulation runs on, and how it is set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import openmm as mm

from simulations.cache import BuildCache
from simulations.errors import ToolError

GPU_PLATFORMS = ("CUDA", "HIP", "OpenCL")


@dataclass(frozen=True)
class PlatformChoice:
    """A platform on which a context can be created.

    Attributes:
        name: OpenMM's name of it.
        properties: What its contexts are created with.
    """

    name: str
    properties: dict[str, str] = field(default_factory=dict)

    def context(self, system: Any, integrator: Any) -> Any:
        """Creates a context.

        Raises:
            openmm.OpenMMException: If it cannot be created.
        """
        platform = mm.Platform.getPlatformByName(self.name)
        # OpenMM's signature takes no None, and an empty dictionary is not the same as no argument on every platform.
        return mm.Context(system, integrator, platform, *([self.properties] if self.properties else []))


def choose_platform(name: str, threads: int, cache: BuildCache, accelerator: str | None = None) -> PlatformChoice:
    """Finds the platform that was asked for; of ``auto``, the fastest that works.

    A GPU platform may be installed where there is no GPU, so a context of one particle is created to know. A worker
    that owns an accelerator is there to use it: then ``auto`` takes no platform that runs on the processor's cores.

    Args:
        name: OpenMM's name, or ``auto``.
        threads: Threads of the CPU platform.
        cache: Remembers what worked, so that a worker tries once.
        accelerator: Name of the accelerator that the worker owns, or None.

    Raises:
        ToolError: ``PlatformUnavailable``.
    """
    available = available_platforms()
    if name != "auto" and name not in available:
        raise _unavailable(name, available, "it is not installed", accelerator)
    candidates = available if name == "auto" else [name]
    if name == "auto" and accelerator is not None:
        candidates = [candidate for candidate in available if candidate in GPU_PLATFORMS]
    return cache.get(
        f"md/platform/{name}/{threads}/{accelerator}",
        lambda: _first_that_works(name, candidates, available, threads, accelerator),
        lambda _: 0,
    )


def available_platforms() -> list[str]:
    """Names of the platforms that are installed, the fastest first."""
    platforms = [mm.Platform.getPlatform(i) for i in range(mm.Platform.getNumPlatforms())]
    return [platform.getName() for platform in sorted(platforms, key=lambda platform: -platform.getSpeed())]


def platform_properties(name: str, threads: int) -> dict[str, str]:
    """Settings of a platform: threads of the worker on CPU, mixed precision on GPUs.

    Which GPU it is stays with the environment's visible devices, which the worker owns.
    """
    if name == "CPU":
        return {"Threads": str(threads)}
    return {"Precision": "mixed"} if name in GPU_PLATFORMS else {}


def _first_that_works(
    name: str, candidates: list[str], available: list[str], threads: int, accelerator: str | None
) -> PlatformChoice:
    failures = []
    for candidate in candidates:
        choice = PlatformChoice(candidate, platform_properties(candidate, threads))
        system = mm.System()
        system.addParticle(1.0)
        try:
            choice.context(system, mm.VerletIntegrator(0.001))
        except mm.OpenMMException as error:
            failures.append(f"{candidate}: {error}")
        else:
            return choice
    raise _unavailable(name, available, "; ".join(failures) or "no GPU platform is installed", accelerator)


def _unavailable(name: str, available: list[str], reason: str, accelerator: str | None) -> ToolError:
    listed = f"installed here: {', '.join(available)}"
    if name == "auto" and accelerator is not None:
        return ToolError(
            f"the worker owns accelerator {accelerator}, and no GPU platform works there: {reason}",
            hint=f"{listed}; install OpenMM's platform for this GPU (pip install 'openmm[cuda12]'), check its driver, "
            "or ask for platform CPU",
            kind="PlatformUnavailable",
        )
    return ToolError(
        f"platform {name} cannot be used on this worker: {reason}",
        hint=f"{listed}; choose one of them or auto, or check GPU and driver",
        kind="PlatformUnavailable",
    )
