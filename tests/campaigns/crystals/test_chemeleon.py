"""The generator on Chemeleon-DNG asks the library as the library wants to be asked, and says what is missing.

The library is a stand-in with the calls of chemeleon-dng 0.1.5, since the real one needs PyTorch and weights. Where the
real one is installed, an untrained network of it is sampled, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from campaigns.components import Plan
from campaigns.crystals import ChemeleonGenerator, CrystalEnvironment
from tests.campaigns.crystals.making import view

ENVIRONMENT = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=6)
SEEN = view(ENVIRONMENT)


class Library:
    """chemeleon_dng and torch, as far as they are used."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, task: str = "csp") -> None:
        self.task = task
        self.seed = 0
        self.loaded: list[tuple[str, str, bool]] = []
        self.batches: list[dict[str, Any]] = []
        self.weights: str | Exception = "ckpts/own.ckpt"
        self.flat = False
        module = types.SimpleNamespace(DiffusionModule=types.SimpleNamespace(load_from_checkpoint=self._load))
        torch = types.SimpleNamespace(
            cuda=types.SimpleNamespace(is_available=lambda: False),
            manual_seed=self._seed,
            random=types.SimpleNamespace(fork_rng=contextlib.nullcontext),
            serialization=types.SimpleNamespace(
                safe_globals=lambda names: contextlib.nullcontext(),
                get_unsafe_globals_in_checkpoint=lambda path: ["os.system"],
            ),
        )
        names = {
            "torch": torch,
            "chemeleon_dng": types.ModuleType("chemeleon_dng"),
            "chemeleon_dng.diffusion": types.ModuleType("chemeleon_dng.diffusion"),
            "chemeleon_dng.diffusion.diffusion_module": module,
            "chemeleon_dng.sample": types.SimpleNamespace(DEFAULT_MODEL_PATH={"csp": "ckpts/own.ckpt"}),
            "chemeleon_dng.download_util": types.SimpleNamespace(get_checkpoint_path=self._path),
            "chemeleon_dng.dataset": types.ModuleType("chemeleon_dng.dataset"),
            "chemeleon_dng.dataset.num_atom_distributions": types.SimpleNamespace(
                NUM_ATOM_DISTRIBUTIONS={"mp-20": {2: 0.5, 4: 0.5}}
            ),
        }
        for name, one in names.items():
            monkeypatch.setitem(sys.modules, name, one)

    def _seed(self, seed: int) -> None:
        self.seed = seed

    def _path(self, task: str, paths: dict[str, str]) -> str:
        print("Checkpoints not found. Downloading...")  # noqa: T201  (as the real one does)
        if isinstance(self.weights, Exception):
            raise self.weights
        return paths[task]

    def _load(self, path: str, map_location: str, weights_only: bool) -> Library:
        if "broken" in path:
            raise RuntimeError("no checkpoint\nand much more")
        self.loaded.append((path, map_location, weights_only))
        return self

    @property
    def model(self) -> Any:
        return types.SimpleNamespace(task=types.SimpleNamespace(name=self.task.upper()))

    def eval(self) -> None:
        pass

    def sample(self, task: str, num_atoms: list[int], atom_types: list[int] | None = None, verbose: bool = True):
        self.batches.append({"task": task, "num_atoms": num_atoms, "atom_types": atom_types})
        random = np.random.default_rng(self.seed)
        numbers = list(random.choice([29, 79, 13], sum(num_atoms))) if atom_types is None else list(atom_types)
        made = []
        for count in num_atoms:
            mine, numbers = numbers[:count], numbers[count:]
            cell = np.diag(np.full(3, 1e-3) if self.flat else random.uniform(3, 6, 3))
            made.append(ase.Atoms(numbers=mine, scaled_positions=random.random((count, 3)), cell=cell, pbc=True))
        return made


@pytest.fixture
def library(monkeypatch):
    return Library(monkeypatch)


def test_structures_are_predicted_for_the_planned_compositions_in_batches(library):
    generator = ChemeleonGenerator(batch_size=4, seed=1)
    assert library.loaded == []  # not before it is needed
    found = generator.generate(Plan(("AuCu3", "AuCu"), 3), SEEN)
    assert [one.formula for one in found] == ["AuCu3"] * 3 + ["AuCu"] * 3
    assert [batch["num_atoms"] for batch in library.batches] == [[4, 4, 4, 2], [2, 2]]
    assert library.batches[1]["atom_types"] == [79, 29, 79, 29]
    generator.generate(Plan(("AuCu",), 1), SEEN)
    assert library.loaded == [("ckpts/own.ckpt", "cpu", True)]  # once, and nothing in it is run


@pytest.mark.parametrize("distribution", ["mp-20", [2, 4]])
def test_without_compositions_only_those_of_the_space_are_taken(monkeypatch, tmp_path, distribution):
    library = Library(monkeypatch, task="dng")
    weights = tmp_path / "own.ckpt"
    weights.write_bytes(b"")
    generator = ChemeleonGenerator(
        task="dng", num_atom_distribution=distribution, seed=1, checkpoint=str(weights), batch_size=100
    )
    found = generator.generate(Plan((), 60), SEEN)
    (batch,) = library.batches
    assert batch["atom_types"] is None
    assert len(batch["num_atoms"]) == 60
    assert set(batch["num_atoms"]) == {2, 4}
    assert 0 < len(found) < 60
    assert {one.formula for one in found} <= set(ENVIRONMENT.compositions)


def test_samples_are_written_if_a_folder_is_named(library, tmp_path):
    generator = ChemeleonGenerator(output_dir=str(tmp_path / "samples"), seed=1)
    first = generator.generate(Plan(("AuCu",), 2), SEEN)
    generator.generate(Plan(("AuCu3",), 1), SEEN)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["sample-000000-AuCu.extxyz", "sample-000001-AuCu.extxyz", "sample-000002-AuCu3.extxyz"]
    assert (tmp_path / "samples" / names[0]).read_text() == first[0].to_extxyz()


def test_interrupted_it_goes_on_as_if_it_had_not_been(library):
    plans = [Plan(("AuCu",), 2), Plan(("AuCu3", "AuCu"), 2), Plan(("Au3Cu",), 1)]

    def made(interrupted_at):
        generator, found = ChemeleonGenerator(batch_size=2, seed=5), []
        for step, plan in enumerate(plans):
            if step == interrupted_at:
                state = json.loads(json.dumps(generator.get_state()))
                generator = ChemeleonGenerator(batch_size=2, seed=6)
                generator.load_state(state)
            found.append(generator.generate(plan, SEEN))
        return found

    whole = made(None)
    assert all(made(step) == whole for step in range(3))


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r'pip install "md-director\[chemeleon\]"'):
        ChemeleonGenerator().generate(Plan(("AuCu",), 1), SEEN)


def test_without_weights_it_says_where_they_are_and_what_it_prints_is_no_output(library, capsys):
    library.weights = OSError("no network")
    with pytest.raises(ValueError, match=r"could not be downloaded \(OSError: no network\): get them from https://fig"):
        ChemeleonGenerator().setup()
    out, err = capsys.readouterr()
    assert out == ""
    assert "Downloading" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"checkpoint": "nowhere.ckpt"}, "there is no file nowhere.ckpt: get the weights from"),
        ({"device": "cuda"}, "PyTorch finds no GPU"),
        ({"checkpoint": "broken.ckpt"}, r"can load \(RuntimeError: no checkpoint\)"),
    ],
)
def test_what_cannot_be_set_up_is_an_error_and_nothing_takes_its_place(library, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    Path("broken.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=said):
        ChemeleonGenerator(**arguments).generate(Plan(("AuCu",), 1), SEEN)


def test_weights_for_another_task_are_refused(monkeypatch):
    Library(monkeypatch, task="dng")
    with pytest.raises(ValueError, match="are for task dng, not csp"):
        ChemeleonGenerator().setup()


def test_prediction_needs_compositions_and_samples_must_be_crystals(library):
    with pytest.raises(ValueError, match="csp needs compositions"):
        ChemeleonGenerator().generate(Plan((), 1), SEEN)
    library.flat = True
    with pytest.raises(ValueError, match="2 of 2 samples are none"):
        ChemeleonGenerator().generate(Plan(("AuCu",), 2), SEEN)


@pytest.mark.parametrize(
    "arguments",
    [{"task": "guide"}, {"batch_size": 0}, {"device": "tpu"}, {"num_atom_distribution": [0, 2]}],
)
def test_wrong_parameters_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ChemeleonGenerator(**arguments)


def test_a_distribution_that_is_none_is_refused(monkeypatch):
    Library(monkeypatch, task="dng")
    with pytest.raises(ValueError, match="'mp-21' is none of mp-20"):
        ChemeleonGenerator(task="dng", num_atom_distribution="mp-21").generate(Plan((), 1), SEEN)


def test_an_untrained_network_of_the_real_library_is_sampled(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra chemeleon is not installed")
    pytest.importorskip("chemeleon_dng", reason="the extra chemeleon is not installed")
    import pytorch_lightning
    from chemeleon_dng.script_util import create_diffusion_module

    torch.manual_seed(1)
    network = create_diffusion_module(
        task="csp",
        model_configs={
            "hidden_dim": 32, "time_dim": 16, "num_layers": 2, "max_atoms": 100, "act_fn": "silu", "dis_emb": "sin",
            "num_freqs": 8, "ln": True, "ip": True, "smooth": False, "cond_dim": 0,
        },
        optimizer_configs={
            "optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0, "scheduler": "constant", "patience": 1,
            "early_stopping": 1,
        },
        num_timesteps=20, beta_schedule_ddpm="cosine", beta_schedule_d3pm="cosine", max_atoms=103,
        d3pm_hybrid_coeff=0.01, sigma_begin=0.005, sigma_end=0.5,
    )  # fmt: skip
    trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(network)
    trainer.save_checkpoint(tmp_path / "csp.ckpt")
    generator = ChemeleonGenerator(checkpoint=str(tmp_path / "csp.ckpt"), batch_size=3, seed=1)
    plan = Plan(("AuCu3", "AuCu"), 2)
    found = generator.generate(plan, SEEN)
    assert [one.formula for one in found] == ["AuCu3"] * 2 + ["AuCu"] * 2
    again = ChemeleonGenerator(checkpoint=str(tmp_path / "csp.ckpt"), batch_size=3, seed=1)
    assert again.generate(plan, SEEN) == found
    assert again.generate(plan, SEEN) != found
