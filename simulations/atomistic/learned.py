"""CHGNet and MACE. Their networks are loaded once for each worker; loading takes longer than most evaluations."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import chemical_symbols

from simulations.atomistic.inputs import AtomisticInputs
from simulations.errors import ToolError
from simulations.extras import need
from simulations.workspace import Workspace

BYTES_PER_ATOM = 2000
"""What an atom of a built system takes in the worker's cache, about: there, sizes are counted in atoms."""

CHGNET_HEAVIEST = 94
"""Plutonium: CHGNet's table of elements ends there."""


def chgnet_calculator(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> tuple[Any, set[str]]:
    """A CHGNet calculator (Nat. Mach. Intell. 2023, 5, 1031), and the elements that it knows.

    Raises:
        ToolError: ``MissingExtra``, ``DeviceUnavailable``, or ``BadStructure`` for what is no crystal.
    """
    torch = need("torch", "chgnet")
    dynamics = need("chgnet.model.dynamics", "chgnet")
    models = need("chgnet.model.model", "chgnet")
    device = _device(torch, request, workspace)
    if not atoms.pbc.all():
        raise ToolError(
            "calculator chgnet is made for crystals; this structure is not periodic in all directions",
            hint="choose gfn2 or mace for molecules; or give a file with a cell, with vacuum where it should have some",
            kind="BadStructure",
        )
    torch.set_default_dtype(torch.float32)  # MACE leaves its own behind in this process
    network = workspace.cache.get(
        f"atomistic/chgnet/{request.model}/{device}",
        lambda: _load_chgnet(models, str(request.model), device),
        _size,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints where it runs
        calculator = dynamics.CHGNetCalculator(model=network, use_device=device, on_isolated_atoms="error")
    return calculator, set(chemical_symbols[1 : CHGNET_HEAVIEST + 1])


def mace_calculator(request: AtomisticInputs, workspace: Workspace) -> tuple[Any, set[str]]:
    """A MACE calculator (NeurIPS 2022, arXiv:2206.07697) with a network from the account's folder, and its elements.

    A MACE model file is Python code: whoever loads one runs it. So a request cannot bring one. It names a file in the
    folder where mace-torch keeps those that it has downloaded, and says its checksum.

    Raises:
        ToolError: ``MissingExtra``, ``DeviceUnavailable`` or ``BadModel``.
    """
    torch = need("torch", "mace")
    calculators = need("mace.calculators", "mace")
    device = _device(torch, request, workspace)
    folder = Path(need("mace.tools.utils", "mace").get_cache_dir())
    network = workspace.cache.get(
        f"atomistic/mace/{request.model}/{request.model_sha256}/{device}/{request.precision}",
        lambda: _load_mace(torch, folder / str(request.model), request, device),
        _size,
    )
    calculator = calculators.MACECalculator(models=[network], device=device, default_dtype=request.precision)
    return calculator, {chemical_symbols[int(number)] for number in network.atomic_numbers}


def _load_chgnet(models: Any, name: str, device: str) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how many parameters it has
        return models.CHGNet.load(model_name=name, use_device=device, verbose=False)


def _load_mace(torch: Any, path: Path, request: AtomisticInputs, device: str) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ToolError(
            f"model {request.model}: {path} cannot be read ({error.strerror})",
            hint='put it there; mace-torch does for its own: python -c "from mace.calculators import mace_mp; '
            "mace_mp(model='small')\"",
            kind="BadModel",
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != request.model_sha256:
        raise ToolError(
            f"model {request.model}: the SHA-256 of {path} is {found}, not model_sha256",
            hint="give the checksum of the model that is meant",
            kind="BadModel",
        )
    try:
        network = torch.load(io.BytesIO(content), map_location=device, weights_only=False)
        network.atomic_numbers, network.r_max  # noqa: B018
    except Exception as error:  # noqa: BLE001, RUF100  (what it runs may raise anything)
        raise ToolError(
            f"model {request.model} is no MACE model that this mace-torch can load: {type(error).__name__}: {error}",
            hint="use the version of mace-torch that it was made for",
            kind="BadModel",
        ) from error
    return network.double() if request.precision == "float64" else network.float()


def _device(torch: Any, request: AtomisticInputs, workspace: Workspace) -> str:
    if request.device == "cuda" and not torch.cuda.is_available():
        raise ToolError(
            "device cuda cannot be used on this worker: PyTorch finds no GPU",
            hint="use device cpu, or nodes with GPUs and a PyTorch that is built for them",
            kind="DeviceUnavailable",
        )
    torch.set_num_threads(workspace.resources.threads)
    return str(request.device)


def _size(network: Any) -> float:
    total = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return float(total) / BYTES_PER_ATOM
