"""Failures of md that are none of the user's structure: each is an error of a kind, with what to do about it."""

import os
import subprocess
import sys

import openmm as mm
import pytest

from simulations.cache import BuildCache
from simulations.errors import ToolError
from simulations.md import TOOL, MdRequest, platforms
from simulations.md.divergence import start_error, step_error
from simulations.md.memory import out_of_memory
from simulations.md.platforms import PlatformChoice, choose_platform
from simulations.md.structure import STRUCTURES
from simulations.workspace import Resources, Workspace


def run(tmp_path, text=None, accelerator=None, **inputs):
    files = {}
    if text is not None:
        (tmp_path / "mine.pdb").write_text(text)
        files["structure"] = tmp_path / "mine.pdb"
    resources = Resources("host", "host/0", accelerator=accelerator)
    workspace = Workspace(tmp_path / "work", tmp_path, resources, files)
    request = {"structure": "mine.pdb" if files else "alanine-dipeptide", "steps": 20, "platform": "Reference"}
    return TOOL.run(MdRequest(**{**request, **inputs}), workspace)


def failure(tmp_path, *arguments, **inputs):
    with pytest.raises(ToolError) as caught:
        run(tmp_path, *arguments, **inputs)
    assert caught.value.hint
    return caught.value


def with_two_atoms_in_one_place(first, second):
    lines = (STRUCTURES / "alanine-dipeptide.pdb").read_text().splitlines(keepends=True)
    atoms = [index for index, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
    here, there = lines[atoms[first]], lines[atoms[second]]
    lines[atoms[second]] = there[:30] + here[30:54] + there[54:]
    return "".join(lines)


# Coordinates that are no numbers


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_a_minimisation_that_ends_in_no_numbers_is_a_divergence_before_the_first_step(tmp_path, platform):
    # Bonded atoms in one place: the bond has no direction, and forces along it are 0/0.
    error = failure(tmp_path, with_two_atoms_in_one_place(4, 5), platform=platform, solvent="vacuum")
    assert error.kind == "SimulationDiverged"
    assert (error.details["step"], error.details["last_good_step"]) == (0, -1)
    assert "clashing atoms" in error.hint


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_no_numbers_in_production_name_the_step_and_the_last_good_one(tmp_path, platform):
    error = failure(
        tmp_path, steps=3000, timestep_fs=5.0, temperature_k=2000.0, constraints="none", platform=platform, seed=3
    )
    assert error.kind == "SimulationDiverged"
    assert 0 <= error.details["last_good_step"] < error.details["step"] <= 3000
    assert f"step {error.details['step']}" in error.message


@pytest.mark.parametrize(
    ("text", "diverged"),
    [
        ("Particle coordinate is NaN.  For more information, see https://github.com/openmm/openmm/wiki", True),
        ("Energy or force at minimization starting point is infinite or NaN.", True),
        ("Error compiling kernel /scratch/nanotubes/k.cu", False),
        ("The NVIDIA driver on node banana-3 is too old", False),
    ],
)
def test_only_words_tell_a_divergence(text, diverged):
    for error in (
        start_error(mm.OpenMMException(text), "CUDA", 5),
        step_error(mm.OpenMMException(text), 4, 2, "CUDA", 5),
    ):
        assert (error.kind == "SimulationDiverged") == diverged
        assert text in error.message


# Memory

GPU_TEXTS = [
    ("CUDA", "Error creating array posq: CUDA_ERROR_OUT_OF_MEMORY (2)"),
    ("CUDA", "Error initializing context: CUDA_ERROR_OUT_OF_MEMORY (2) at /src/CudaContext.cpp:96"),
    ("CUDA", "Error initializing FFT: CUFFT_ALLOC_FAILED"),
    ("HIP", "Error creating array pmeGrid1: hipErrorOutOfMemory (2)"),
    ("OpenCL", "Error creating array interactingAtoms: clCreateBuffer (-61)"),
    ("OpenCL", "Error uploading array posq: clEnqueueWriteBuffer (-4)"),
]


@pytest.mark.parametrize(("platform", "text"), GPU_TEXTS)
def test_a_full_gpu_is_said_with_the_size_of_the_system(platform, text):
    for error in (
        start_error(mm.OpenMMException(text), platform, 123_456),
        step_error(mm.OpenMMException(text), 40, 20, platform, 123_456),
    ):
        assert (error.kind, error.details["n_atoms"], error.transient) == ("OutOfMemory", 123_456, False)
        assert "the GPU" in error.message
        assert "123456 particles" in error.message
        assert text in error.message
        assert "workers_per_accelerator" in error.hint


@pytest.mark.parametrize(
    "text", ["Error creating array posq: CUDA_ERROR_ILLEGAL_ADDRESS (700)", "clFinish (-5)", "(-4)"]
)
def test_other_errors_of_a_gpu_are_no_lack_of_memory(text):
    assert out_of_memory(mm.OpenMMException(text), "CUDA", 5) is None
    assert start_error(mm.OpenMMException(text), "CUDA", 5).kind == "ContextFailed"
    assert step_error(mm.OpenMMException(text), 4, 2, "CUDA", 5).kind == "IntegrationFailed"


def test_a_full_gpu_ends_a_run_with_that_reason(tmp_path, monkeypatch):
    """As far as it can be shown without one: the platform answers as CUDA does."""

    def full(*arguments):
        raise mm.OpenMMException(GPU_TEXTS[0][1])

    choose_platform("Reference", 1, BuildCache())
    monkeypatch.setattr(platforms, "_first_that_works", lambda *arguments: PlatformChoice("Reference"))
    monkeypatch.setattr(PlatformChoice, "context", full)
    error = failure(tmp_path)
    assert (error.kind, error.details["n_atoms"]) == ("OutOfMemory", 22)


def test_a_full_node_ends_a_run_with_that_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("simulations.md.production.DcdWriter.write", lambda *arguments: [0] * (1 << 60))
    error = failure(tmp_path)
    assert (error.kind, error.details["n_atoms"]) == ("OutOfMemory", 22)
    assert "the node" in error.message
    assert "workers_per_node" in error.hint


STARVED = """
import resource, sys
from pathlib import Path
import openmm
import simulations.md.run
from simulations.errors import ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.platforms import PlatformChoice
from simulations.workspace import Resources, Workspace

context = PlatformChoice.context
def grown(choice, system, integrator):
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setPMEParameters(3.0, 46_000, 46_000, 1)  # a grid of 34 GB
    return context(choice, system, integrator)
PlatformChoice.context = grown
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
folder = Path(sys.argv[1])
workspace = Workspace(folder / "work", folder, Resources("host", "host/0"))
inputs = {"structure": "alanine-dipeptide", "solvent": "explicit", "padding_nm": 0.65, "platform": "Reference"}
try:
    TOOL.run(MdRequest(**inputs, steps=1), workspace)
except ToolError as error:
    print(error.kind, error.details["n_atoms"] > 500, error.message)
"""


def test_memory_that_runs_out_in_openmm_itself_is_that_too(tmp_path):
    command = [sys.executable, "-c", STARVED, str(tmp_path)]
    # A thread takes address space too, and a large node has many.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OPENMM_CPU_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **threads})
    assert ended.stdout.startswith("OutOfMemory True the node has too little memory"), ended.stderr[-2000:]


# Platforms


def without_gpus(monkeypatch):
    """What is installed here, but for GPU platforms."""
    installed = [name for name in platforms.available_platforms() if name not in platforms.GPU_PLATFORMS]
    monkeypatch.setattr(platforms, "available_platforms", lambda: installed)


def test_auto_on_a_worker_with_an_accelerator_never_takes_the_processor(tmp_path, monkeypatch):
    without_gpus(monkeypatch)
    error = failure(tmp_path, platform="auto", accelerator="3")
    assert error.kind == "PlatformUnavailable"
    assert "accelerator 3" in error.message
    assert "CPU" in error.hint
    assert "Reference" in error.hint


def test_auto_on_a_worker_with_an_accelerator_that_does_not_work_says_what_openmm_said(monkeypatch):
    def broken(choice, system, integrator):
        if choice.name in platforms.GPU_PLATFORMS:
            raise mm.OpenMMException(f"no {choice.name} device")
        return

    monkeypatch.setattr(platforms, "available_platforms", lambda: ["CUDA", "OpenCL", "CPU", "Reference"])
    monkeypatch.setattr(PlatformChoice, "context", broken)
    with pytest.raises(ToolError, match="CUDA: no CUDA device; OpenCL: no OpenCL device") as caught:
        choose_platform("auto", 1, BuildCache(), accelerator="0")
    assert caught.value.kind == "PlatformUnavailable"
    assert choose_platform("auto", 1, BuildCache()).name == "CPU"


def test_a_worker_with_an_accelerator_uses_it(monkeypatch):
    monkeypatch.setattr(platforms, "available_platforms", lambda: ["CUDA", "CPU", "Reference"])
    monkeypatch.setattr(PlatformChoice, "context", lambda *arguments: None)
    choice = choose_platform("auto", 1, BuildCache(), accelerator="0")
    assert (choice.name, choice.properties) == ("CUDA", {"Precision": "mixed"})


def test_a_named_processor_platform_is_taken_whatever_the_worker_owns(tmp_path):
    assert run(tmp_path, platform="Reference", accelerator="0", steps=1).platform == "Reference"


def test_the_choice_is_made_once_and_not_for_another_accelerator(monkeypatch):
    cache, tried = BuildCache(), []
    monkeypatch.setattr(platforms, "available_platforms", lambda: ["CUDA", "CPU"])
    monkeypatch.setattr(PlatformChoice, "context", lambda choice, *arguments: tried.append(choice.name))
    for accelerator in ("0", "0", None, None, "1"):
        choose_platform("auto", 1, cache, accelerator)
    assert tried == ["CUDA", "CUDA", "CUDA"]
