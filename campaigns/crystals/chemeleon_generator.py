"""Crystals from Chemeleon-DNG, a diffusion model. The real library, or an error: nothing takes its place."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from campaigns.components import Plan
from campaigns.crystals.candidate import Crystal
from campaigns.crystals.environment import CrystalEnvironment, crystals_of
from campaigns.crystals.extras import needed
from campaigns.crystals.formulas import read_formula
from campaigns.environment import View

PACKAGE = "chemeleon_dng"
CHECKPOINTS = "https://figshare.com/articles/dataset/Chemeleon-dng/29196176"
MOST_LOST = 0.5
"""Share of samples that may be no crystals, flat cells say, before it is an error."""


class ChemeleonUnavailableError(ValueError):
    """Chemeleon's weights are not there. Its text says how to get them."""


class ChemeleonGenerator:
    """Samples crystals from Chemeleon-DNG (H. Park et al., Nat. Commun. 2025, doi 10.1038/s41467-025-59636-y).

    ``csp`` predicts structures for the compositions of a plan; ``dng`` generates crystals of any elements, and takes
    those of the environment's space only: this can be few. Structures are in space group P1. Extra ``chemeleon``.

    The library is imported, and the weights are loaded, by `setup`, which the first call does.

    Args:
        task: ``csp`` or ``dng``.
        batch_size: How many are sampled at the same time.
        device: ``cpu`` or ``cuda``.
        num_atom_distribution: Of dng: name of a distribution of atoms per cell that comes with the library, such as
            ``mp-20``, or a list of numbers of atoms, one for each sample.
        output_dir: A folder where samples are written as extended XYZ, too; None: they are not.
        checkpoint: Path of the weights; None: where the library keeps its own, ``ckpts/`` in the working folder. It
            downloads them from Figshare if they are not there.
        seed: Of all samples. On a GPU they may still differ in the last digits from run to run.

    Raises:
        ValueError: If a parameter is none.
    """

    def __init__(
        self,
        task: Literal["csp", "dng"] = "csp",
        batch_size: int = 32,
        device: Literal["cpu", "cuda"] = "cpu",
        num_atom_distribution: str | Sequence[int] = "mp-20",
        output_dir: str | None = None,
        checkpoint: str | None = None,
        seed: int | None = None,
    ) -> None:
        if task not in ("csp", "dng"):
            raise ValueError(f"task: {task!r} is neither csp nor dng")
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size} must be at least 1")
        if device not in ("cpu", "cuda"):
            raise ValueError(f"device: {device!r} is neither cpu nor cuda")
        if not isinstance(num_atom_distribution, str) and any(number < 1 for number in num_atom_distribution):
            raise ValueError(f"num_atom_distribution: {list(num_atom_distribution)}: each must be at least 1")
        self._task = task
        self._batch_size = batch_size
        self._device = device
        self._distribution = num_atom_distribution
        self._output = None if output_dir is None else Path(output_dir)
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._random = np.random.default_rng(seed)
        self._written = 0
        self._model: Any = None

    def setup(self) -> None:
        """Imports the library and loads the weights. It does nothing the second time.

        Raises:
            ValueError: If the library, the weights or the device are not there.
        """
        if self._model is not None:
            return
        who = type(self).__name__
        torch = needed("torch", "chemeleon", who)
        module = needed("chemeleon_dng.diffusion.diffusion_module", "chemeleon", who)
        if self._device == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"{who}: PyTorch finds no GPU: use device: cpu, or decide on a node that has one")
        path = self._weights()
        try:
            with contextlib.redirect_stdout(sys.stderr), torch.serialization.safe_globals(_classes(torch, path)):
                model = module.DiffusionModule.load_from_checkpoint(
                    str(path), map_location=self._device, weights_only=True
                )
        except Exception as error:  # noqa: BLE001, RUF100  (a file that is something else can fail in many ways)
            reason = str(error).partition("\n")[0]
            raise ChemeleonUnavailableError(
                f"{who}: {path} holds no weights that this chemeleon-dng can load ({type(error).__name__}: {reason}): "
                f"get them anew from {CHECKPOINTS}"
            ) from error
        has = str(model.model.task.name).lower()
        if has != self._task:
            raise ChemeleonUnavailableError(f"{who}: the weights in {path} are for task {has}, not {self._task}")
        model.eval()
        self._model = model

    def _weights(self) -> Path:
        who = type(self).__name__
        if self._checkpoint is not None:
            if not self._checkpoint.is_file():
                raise ChemeleonUnavailableError(
                    f"{who}: there is no file {self._checkpoint}: get the weights from {CHECKPOINTS}, and name the one "
                    f"for {self._task} as checkpoint"
                )
            return self._checkpoint
        sample = needed("chemeleon_dng.sample", "chemeleon", who)
        util = needed("chemeleon_dng.download_util", "chemeleon", who)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it tells what it does
                return Path(util.get_checkpoint_path(self._task, sample.DEFAULT_MODEL_PATH))
        except Exception as error:  # noqa: BLE001, RUF100  (a download can fail in many ways)
            raise ChemeleonUnavailableError(
                f"{who}: the weights are not in ckpts/ of the working folder, and could not be downloaded "
                f"({type(error).__name__}: {error}): get them from {CHECKPOINTS}, and name the file for {self._task} "
                "as checkpoint"
            ) from error

    def generate(self, plan: Plan, view: View[Crystal]) -> list[Crystal]:
        """See `campaigns.components.Generator`.

        Raises:
            ValueError: If it cannot be set up, csp is given no composition, or most samples are no crystals.
        """
        environment = crystals_of(view, type(self).__name__)
        wanted = self._sizes(plan)
        self.setup()
        samples: list[Any] = []
        for start in range(0, len(wanted), self._batch_size):
            samples += self._sample(wanted[start : start + self._batch_size])
        crystals = _crystals(samples)
        self._write(crystals)
        return [crystal for crystal in crystals if _in_space(crystal, environment)]

    def _sizes(self, plan: Plan) -> list[list[int]]:
        """For each sample the atomic numbers of its atoms; for dng only how many there are, as zeros."""
        if self._task == "csp":
            if not plan.regions:
                raise ValueError(f"{type(self).__name__}: task csp needs compositions, and the plan has none")
            return [_numbers(region) for region in plan.regions for _ in range(plan.num_candidates)]
        count = plan.num_candidates * max(1, len(plan.regions))
        if isinstance(self._distribution, str):
            table = needed("chemeleon_dng.dataset.num_atom_distributions", "chemeleon", type(self).__name__)
            known = table.NUM_ATOM_DISTRIBUTIONS
            if self._distribution not in known:
                raise ValueError(f"num_atom_distribution: {self._distribution!r} is none of {', '.join(known)}")
            sizes, shares = zip(*sorted(known[self._distribution].items()), strict=True)
            drawn = self._random.choice(sizes, p=np.array(shares) / sum(shares), size=count)
        else:
            drawn = np.resize(np.array(self._distribution), count)
        return [[0] * int(size) for size in drawn]

    def _sample(self, batch: Sequence[Sequence[int]]) -> list[Any]:
        torch = needed("torch", "chemeleon", type(self).__name__)
        number = int(self._random.integers(2**63))
        sizes = [len(one) for one in batch]
        atoms = {"atom_types": [number for one in batch for number in one]} if self._task == "csp" else {}
        with torch.random.fork_rng():  # others' random numbers stay as they are
            torch.manual_seed(number)
            return list(self._model.sample(task=self._task, num_atoms=sizes, verbose=False, **atoms))

    def _write(self, crystals: Sequence[Crystal]) -> None:
        if self._output is None:
            return
        self._output.mkdir(parents=True, exist_ok=True)
        for crystal in crystals:
            (self._output / f"sample-{self._written:06d}-{crystal.formula}.extxyz").write_text(crystal.to_extxyz())
            self._written += 1

    def get_state(self) -> dict[str, Any]:
        """Its random numbers, and how many samples it has written."""
        return {"random": dict(self._random.bit_generator.state), "written": self._written}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        self._random.bit_generator.state = dict(state["random"])
        self._written = int(state["written"])


def _classes(torch: Any, path: Path) -> list[Any]:
    """The library's own classes that its weights name. Anything else in the file is refused: pickles can run code."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    own = [name for name in names if name.startswith(f"{PACKAGE}.")]
    return [getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in own]


def _crystals(samples: Sequence[Any]) -> list[Crystal]:
    """Samples as crystals; those that are none are left out.

    Raises:
        ValueError: If that is more than `MOST_LOST` of them.
    """
    crystals, lost = [], ""
    for atoms in samples:
        try:
            crystals.append(Crystal.from_ase(atoms))
        except ValueError as error:
            lost = str(error)
    if len(crystals) < len(samples) * (1 - MOST_LOST):
        raise ValueError(
            f"ChemeleonGenerator: {len(samples) - len(crystals)} of {len(samples)} samples are none: {lost}"
        )
    return crystals


def _in_space(crystal: Crystal, environment: CrystalEnvironment) -> bool:
    try:
        environment.check_region(crystal.formula)
    except ValueError:
        return False
    return True


def _numbers(formula: str) -> list[int]:
    from ase.data import atomic_numbers

    counts = read_formula(formula)
    return [atomic_numbers[symbol] for symbol in sorted(counts) for _ in range(counts[symbol])]
