"""The complete example, as a user runs it on one machine."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from director.ledger import read_ledger
from director.runfolder import RunFolder
from tests.helpers import processes_naming, wait_until

EXAMPLE = Path("examples/complete.py").resolve()
STEPS = 200


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What the example printed, where it ran, and whether it asked any service of Globus."""
    folder = tmp_path_factory.mktemp("complete")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GLOBUS", "ACADEMY", "DIRECTOR")) and name.lower() not in ("http_proxy", "https_proxy")
    }
    # Whatever would ask Globus for a login, or anything else, comes here.
    with socket.create_server(("127.0.0.1", 0), backlog=10) as services:
        url = f"http://127.0.0.1:{services.getsockname()[1]}/"
        (folder / "home").mkdir()
        done = subprocess.run(
            [sys.executable, EXAMPLE, "--steps", str(STEPS), "--run-dir", "run"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=170,
            stdin=subprocess.DEVNULL,
            env={
                **kept,
                "HOME": str(folder / "home"),
                "GLOBUS_SDK_SERVICE_URL_AUTH": url,
                "GLOBUS_SDK_SERVICE_URL_COMPUTE": url,
                "https_proxy": url,
            },
        )
        services.setblocking(False)
        try:
            services.accept()[0].close()
            asked = True
        except BlockingIOError:
            asked = False
    assert done.returncode == 0, done.stdout + done.stderr
    return done, folder, asked


def test_it_runs_two_batches_on_two_directors_with_two_nodes_each(ran):
    done, folder, _ = ran
    assert re.search(r"Director 0 owns local-0, local-1\nDirector 1 owns local-2, local-3", done.stdout)
    ledgers = [RunFolder(folder / "run").ledger(index) for index in (0, 1)]
    outcomes = [json.loads(body) for ledger in ledgers for body in read_ledger(ledger).outcomes]
    assert [outcome["status"] for outcome in outcomes] == ["ok"] * 12
    assert {outcome["result"]["steps"] for outcome in outcomes} == {STEPS}
    assert {outcome["director"] for outcome in outcomes} == {0, 1}
    for outcome in outcomes:
        assert outcome["host"] in outcome["partition"]


def test_the_second_batch_goes_on_where_the_first_says(ran):
    done, folder, _ = ran
    ledgers = [RunFolder(folder / "run").ledger(index) for index in (0, 1)]
    outcomes = [json.loads(body) for ledger in ledgers for body in read_ledger(ledger).outcomes]
    first = [outcome for outcome in outcomes if outcome["inputs"]["seed"] in (1, 2)]
    more = [outcome for outcome in outcomes if outcome["inputs"]["seed"] not in (1, 2)]
    radii = {}
    for outcome in first:
        radii.setdefault(outcome["inputs"]["temperature_k"], []).append(outcome["result"]["radius_of_gyration_nm"])
    assert {kelvin: len(values) for kelvin, values in radii.items()} == {280: 2, 320: 2, 360: 2, 400: 2}
    best = max(radii, key=lambda kelvin: sum(radii[kelvin]))
    assert [outcome["inputs"]["temperature_k"] for outcome in more] == [best] * 4
    assert f"Four more at {best:g} K" in done.stdout


def test_the_bad_input_is_refused_in_words_and_never_run(ran):
    done, _, _ = ran
    refused = done.stdout.partition("\n2. ")[2].partition("\n3. ")[0]
    assert "timestep_fs" in refused
    assert "50" in refused
    assert "Traceback" not in done.stdout + done.stderr


def test_it_leaves_a_report_and_the_structure_that_it_fetched(ran):
    done, folder, _ = ran
    report = folder / "run" / "report.html"
    assert re.search(r"Open the report in a browser: \S*report\.html", done.stdout)
    page = report.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")
    assert page.count("ala10") >= 1
    lines = (folder / "run" / "fetched" / "final_structure.pdb").read_text().splitlines()
    assert len([line for line in lines if line.startswith(("ATOM", "HETATM"))]) == 112


def test_it_needs_no_login_and_asks_nobody(ran):
    _, folder, asked = ran
    assert not asked
    left = [path.name for path in (folder / "home").rglob("*") if path.is_file()]
    assert [name for name in left if "storage" in name or "token" in name] == []


def test_nothing_of_it_goes_on(ran):
    _, folder, _ = ran
    wait_until(lambda: processes_naming(str(folder)) == [], 20, "the end of all its processes")
