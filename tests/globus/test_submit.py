"""The way of a batch from a laptop through Globus Compute to the nodes, and of its Outcomes back."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import simulations
from tests.globus.product import Product, ledgered
from tests.globus.stack import Stack
from tests.helpers import wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "complete.py"


@pytest.fixture(scope="module")
def product(stack_local: Stack) -> Iterator[Product]:
    with Product(stack_local) as made:
        yield made


def md(count: int, steps: int = 200) -> dict[str, object]:
    return {"tool": "md", "inputs": {"structure": "alanine-dipeptide", "steps": steps}, "repeat": count}


def sleeps(count: int, duration_s: float) -> dict[str, object]:
    return {"tool": "mock_md", "inputs": {"duration_s": duration_s}, "repeat": count}


def test_a_batch_goes_to_two_directors_at_an_endpoint_and_its_outcomes_come_back(product: Product) -> None:
    run = product.submit(product.batch("first", [md(6)]))
    assert [item["partition"] for item in run["directors"]] == [["local-0"], ["local-1"]]
    found = product.outcomes(run["run_id"])
    assert len(found) == 6
    assert {outcome["status"] for outcome in found} == {"ok"}
    assert {outcome["director"] for outcome in found} == {0, 1}
    product.director("close", run["run_id"])


def test_a_users_own_structure_travels_there_and_artifacts_come_back(product: Product) -> None:
    shipped = Path(simulations.__file__).parent / "structures" / "alanine-dipeptide.pdb"
    (product.folder / "mine.pdb").write_bytes(shipped.read_bytes())
    (product.folder / "mine.pdb").chmod(0o644)
    requests = [{"tool": "md", "inputs": {"structure": "mine.pdb", "steps": 100}}]
    run = product.submit(product.batch("own", requests, directors=1, nodes=1))
    (outcome,) = product.outcomes(run["run_id"])
    assert outcome["status"] == "ok"
    fetched = product.director("fetch", run["run_id"], "--name", "final_structure", "--to", "fetched", "--json")
    (item,) = [json.loads(line) for line in fetched.stdout.splitlines()]
    there = Path(run["run_folder"]) / outcome["artifacts"]["final_structure"]
    assert (product.folder / item["path"]).read_bytes() == there.read_bytes()
    report = product.director("report", run["run_id"]).stdout.strip()
    assert outcome["id"][:8] in Path(report).read_text()
    product.director("close", run["run_id"])


def test_the_complete_example_is_the_same_at_an_endpoint_as_on_a_laptop(product: Product) -> None:
    where = ["--endpoint", product.stack.endpoint_id, "--exchange", product.url, "--exchange-secret"]
    done = product.stack.as_user(
        [sys.executable, str(EXAMPLE), *where, str(product.secret), "--steps", "200", "--run-dir", "complete"],
        home=product.folder,
        timeout_s=150,
    )
    assert "Director 1 owns local-2, local-3" in done.stdout
    assert "timestep_fs: input should be less than or equal to 5" in done.stdout
    assert (product.folder / "complete" / "report.html").is_file()
    assert (product.folder / "complete" / "fetched" / "final_structure.pdb").is_file()


def test_the_laptop_is_killed_after_submit_and_another_one_attaches(product: Product) -> None:
    batch = product.batch("killed", [sleeps(20, 0.3)])
    submitting = product.popen("submit", batch, "--endpoint", product.stack.endpoint_id)
    runs = product.folder / ".md-director" / "runs"
    before = set(runs.glob("*"))

    def sent() -> bool:
        new = [path for path in runs.iterdir() if path not in before and (path / "run.json").exists()]
        return bool(new) and bool(json.loads((new[0] / "run.json").read_text())["launchings"])

    wait_until(sent, 150, "the submission")
    submitting.kill()  # SIGKILL
    submitting.wait(10)
    (run_id,) = (path.name for path in set(runs.iterdir()) - before)

    other = product.stack.home("other")
    secret = other / "secret"
    secret.write_bytes(product.secret.read_bytes())
    secret.chmod(0o600)
    shutil.chown(secret, product.stack.laptop.uid)
    wait_until(
        lambda: product.director("status", run_id, home=other, check=False).returncode == 0, 150, "the Directors"
    )
    found = product.outcomes(run_id, home=other, environment={"DIRECTOR_EXCHANGE_SECRET_FILE": str(secret)})
    assert Counter(outcome["id"] for outcome in found).most_common(1)[0][1] == 1
    assert len(found) == 20
    product.director("close", run_id)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_user_endpoint_ends_in_the_middle_and_every_request_has_one_outcome(
    product: Product, how: signal.Signals
) -> None:
    run = product.submit(product.batch(f"uep-{how.name}", [sleeps(40, 0.5)]))
    name = run["run_id"]
    product.until(name, 3)
    product.stack.kill_user_endpoint(how)
    watched = product.director("watch", name, "--json", "--give-up-s", "1", check=False, timeout_s=60)
    if watched.returncode == 3:  # the Directors have gone with it
        assert "asking again" in watched.stderr, watched.stderr
        product.director("resume", name)
    found = product.outcomes(name)
    assert len({outcome["id"] for outcome in found}) == 40
    assert set(ledgered(run).values()) == {1}
    assert len(ledgered(run)) == 40
    product.director("close", name)
