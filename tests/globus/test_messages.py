"""What goes wrong on the way to the Directors is said soon, in words that name the remedy, and nothing is left."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.globus.environments import environment_without
from tests.globus.product import Product
from tests.globus.stack import Stack
from tests.helpers import wait_until

STRANGER = "4b116d3c-1703-4f8f-9f6f-39921e5864df"
NOBODY = {"GLOBUS_COMPUTE_CLIENT_ID": "", "GLOBUS_COMPUTE_CLIENT_SECRET": ""}
SOON_S = 60.0


@pytest.fixture(scope="module")
def product(stack_local: Stack) -> Iterator[Product]:
    with Product(stack_local) as made:
        yield made


@pytest.fixture(scope="module")
def batch(product: Product) -> str:
    return product.batch("short", [{"tool": "mock_md", "inputs": {"duration_s": 0.1}, "repeat": 2}])


def refused(product: Product, batch: str, *options: str, endpoint: str | None = None, **more: Any) -> str:
    """Submits what cannot come to anything; returns what is said of it, which is never a traceback."""
    begin = time.monotonic()
    words = ["submit", batch, "--endpoint", endpoint or product.stack.endpoint_id, "--json", *options]
    done = product.director(*words, check=False, timeout_s=SOON_S, **more)
    print(f"{time.monotonic() - begin:.1f} s: {done.stderr}")  # noqa: T201  (shown by pytest -s)
    assert done.returncode in (2, 3), done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr, done.stderr
    assert "Task was destroyed" not in done.stderr, done.stderr
    said = json.loads(done.stderr.splitlines()[-1])
    if done.returncode == 2:
        return " ".join(f"{one['where']}: {one['message']} {one['hint']}" for one in said["refused"])
    return str(said["failed"]["message"])


def nothing_runs(product: Product) -> bool:
    return not [line for line in product.stack.facility_processes().values() if "director.process" in line]


@contextmanager
def template(stack: Stack, change: Callable[[str], str]) -> Iterator[None]:
    """An endpoint whose template was changed, as if it had been configured otherwise."""
    file = stack.endpoint_folder / "user_config_template.yaml.j2"
    kept = file.read_text()
    changed = change(kept)
    assert changed != kept
    stack.stop_endpoint()
    file.write_text(changed)
    stack.start_endpoint()
    try:
        yield
    finally:
        stack.stop_endpoint()
        file.write_text(kept)
        stack.start_endpoint()


def test_an_endpoint_that_nobody_knows(product: Product, batch: str) -> None:
    said = refused(product, batch, endpoint=STRANGER)
    assert "404 ENDPOINT_NOT_FOUND" in said
    assert "globus-compute-endpoint list" in said


def test_an_endpoint_that_is_offline_is_told_before_anything_is_submitted(product: Product, batch: str) -> None:
    product.stack.stop_endpoint()
    before = len(product.stack.events("submitted"))
    try:
        said = refused(product, batch)
    finally:
        product.stack.start_endpoint()
    assert "nothing was submitted: the endpoint is offline" in said
    assert "globus-compute-endpoint start" in said
    assert len(product.stack.events("submitted")) == before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("walltime_s=-5", "'walltime_s' was unexpected"),  # there is no scheduler
        ("colour=red", "'colour' was unexpected"),
        ("run_id=mine", "run_id is given by `director submit` itself"),
        ("nodes=3", "Write --nodes 3"),
    ],
)
def test_options_that_the_template_does_not_take(product: Product, batch: str, setting: str, words: str) -> None:
    said = refused(product, batch, "--set", setting)
    assert words in said
    assert len(said) < 400, "the schema came along"
    if "unexpected" in words:
        assert "director endpoint show NAME" in said


def test_an_exchange_where_nobody_listens(product: Product, batch: str) -> None:
    said = refused(product, batch, "--exchange", "http://127.0.0.1:8999")
    assert "nobody listens at http://127.0.0.1:8999" in said
    assert "director exchange" in said


def test_a_wrong_secret_of_the_exchange(product: Product, batch: str) -> None:
    wrong = product.folder / "wrong.secret"
    wrong.write_text("w" * 43 + "\n")
    wrong.chmod(0o600)
    shutil.chown(wrong, product.stack.laptop.uid)
    said = refused(product, batch, "--exchange-secret", str(wrong))
    assert "refused the token" in said
    assert "--exchange-secret FILE" in said


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        ("nobody", NOBODY, "nobody is logged in"),
        ("half", {"GLOBUS_COMPUTE_CLIENT_ID": ""}, "the login to Globus Compute is not complete"),
        ("stale", {"GLOBUS_COMPUTE_CLIENT_SECRET": "changed"}, "Globus Compute answers 401"),
    ],
)
def test_a_login_that_is_not_there_or_no_longer_good(
    product: Product, batch: str, name: str, environment: dict[str, str], words: str
) -> None:
    said = refused(product, batch, environment=environment, home=product.stack.home(name))
    assert words in said
    assert "globus-compute-endpoint login" in said


def test_a_service_that_does_not_answer(product: Product, batch: str) -> None:
    product.stack.service.stop()
    try:
        said = refused(product, batch)
    finally:
        product.stack.service.start()
    assert "Globus Compute" in said
    assert "HTTPS_PROXY" in said


def test_a_service_that_cannot_take_tasks(product: Product, batch: str) -> None:
    """It answers, and has lost its own broker. What it would take later is not run then."""
    product.stack.broker.stop()
    try:
        said = refused(product, batch)
    finally:
        product.stack.broker.start()
    assert "has not taken the tasks" in said
    product.stack.stop_endpoint()  # which may have given up the broker for some time
    product.stack.start_endpoint()


def test_a_run_folder_that_cannot_be_written(product: Product, batch: str) -> None:
    said = refused(product, batch, "--run-folder", "/proc/nowhere/run")
    assert "the run folder cannot be used" in said
    assert "run_root of the endpoint" in said
    wait_until(lambda: nothing_runs(product), 20, "the end of the other Director")


@pytest.mark.parametrize(
    ("found", "words"),
    [(None, "md-director is not installed"), ("0.0.1", f"md-director is {version('md-director')} here and 0.0.1")],
)
def test_md_director_is_missing_or_another_one_there(
    product: Product, batch: str, found: str | None, words: str
) -> None:
    other = environment_without("md-director", product.stack.folder / "tmp" / f"env-{found}", instead=found)
    with template(product.stack, lambda text: text.replace(sys.prefix, str(other))):
        said = refused(product, batch)
    assert words in said
    assert f"Install md-director=={version('md-director')} there" in said
    assert nothing_runs(product)


def test_what_json_prints_is_one_document_and_private_files_stay_private(product: Product, batch: str) -> None:
    done = product.director("submit", batch, "--endpoint", product.stack.endpoint_id, "--json")
    (line,) = done.stdout.splitlines()
    run = json.loads(line)
    assert set(run) == {"run_id", "endpoint_id", "run_folder", "host", "requests", "directors"}
    assert len(product.outcomes(run["run_id"])) == 2
    for folder in (product.folder / ".md-director", Path(run["run_folder"])):
        for path in (folder, *folder.rglob("*")):
            open_to_others = stat.S_IMODE(path.lstat().st_mode) & 0o077
            assert not open_to_others or path.is_symlink(), f"{path} {open_to_others:o}"
    product.director("close", run["run_id"])
    wait_until(lambda: nothing_runs(product), 60, "the Directors' end")
