"""What the doctor decides, from facts that are good and facts that are bad. Nothing is asked of anybody here."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.doctor import (
    address,
    clock,
    disk,
    environment,
    exchanges,
    folder,
    probe,
    service,
    template,
    walltime,
)
from director.doctor.commands import Answer, ask, missing
from director.doctor.findings import Check, Finding, State, Topic, side_by_side
from director.doctor.job import JobRequest
from director.doctor.versions import LAPTOP, WORKERS, compare
from tests.director.examining import by_state, failed
from tests.helpers import alive, wait_until

JOB = JobRequest("slurm", "", nodes=2, walltime_s=600)

# ---- findings


def test_what_is_not_well_must_say_what_to_do():
    topic = Topic("disk")
    for make in (topic.failed, topic.warning):
        with pytest.raises(ValueError, match="disk: space: a finding that is not well must say what to do"):
            make("space", "none", "")
    assert topic.ok("space", "much").hint == ""


def test_checks_are_made_at_once_and_told_in_their_order():
    both = threading.Barrier(2)

    def meet(name: str) -> list[Finding]:
        both.wait(10)
        return [Topic(name).ok("met", "yes")]

    found = side_by_side([Check("a", lambda: meet("a"), 10), Check("b", lambda: meet("b"), 10)])
    assert [(one.topic, one.state) for one in found] == [("a", State.OK), ("b", State.OK)]


def test_a_check_that_hangs_or_breaks_is_told_and_the_others_go_on():
    never = threading.Event()
    found = side_by_side(
        [
            Check("hangs", lambda: [Topic("hangs").ok("x", str(never.wait()))], 0.05),
            Check("breaks", lambda: [Topic("breaks").ok("x", str(1 / 0))], 5),
            Check("works", lambda: [Topic("works").ok("x", "y")], 5),
        ]
    )
    never.set()
    assert [one.state for one in found] == [State.FAILED, State.FAILED, State.OK]
    assert "no answer within 0.05 s" in found[0].found
    assert "ZeroDivisionError" in found[1].found


# ---- asking programs


def test_a_program_that_takes_too_long_is_killed_with_what_it_started(tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 100 & echo $! >{pids}; wait"
    began = time.monotonic()
    answer = ask(["sh", "-c", script], environment={"PATH": "/usr/bin:/bin"}, timeout_s=1.0)
    assert answer.code is None
    assert "did not answer within 1 s" in answer.err
    assert time.monotonic() - began < 30
    wait_until(lambda: not alive(int(pids.read_text())))


def test_a_program_is_looked_for_in_the_given_search_path(tmp_path):
    program = tmp_path / "sbatch"
    program.write_text("#!/bin/sh\ncat; echo told >&2; exit 3\n")
    program.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    answer = ask(["sbatch"], environment={"PATH": path}, timeout_s=10, script="words")
    assert (answer.code, answer.out, answer.told) == (3, "words", "told")
    assert missing(["sbatch", "scancel"], str(tmp_path)) == ["scancel"]
    assert missing(["sbatch"], "") == ["sbatch"]
    assert ask(["scancel-that-is-not"], environment={"PATH": path}, timeout_s=10).code == 127


# ---- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("01:30:00", 5400),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("1-00:00:01", 86401),
        ("UNLIMITED", None),
        ("infinite", None),
    ],
)
def test_durations_of_slurm_are_read(text, seconds):
    assert walltime.slurm_seconds(text) == seconds


@pytest.mark.parametrize("text", ["x", "1:2:3:4", "-1", "1-", "1-2:3:4:5", "01:30:00 ", "١"])
def test_what_is_no_duration_is_refused(text):
    for read in (walltime.slurm_seconds, walltime.pbs_seconds):
        if (read, text) != (walltime.pbs_seconds, "1:2:3:4"):
            with pytest.raises(ValueError, match="is not a duration"):
                read(text)


@given(st.integers(min_value=0, max_value=10**8))
def test_durations_survive_being_written_and_read(seconds):
    assert walltime.slurm_seconds(walltime.shown(seconds)) == seconds
    assert walltime.pbs_seconds(walltime.shown(seconds)) == seconds
    assert walltime.pbs_seconds(str(seconds)) == seconds


# ---- versions

HERE = {"python": "3.11.7", "md-director": "0.1.0", "dill": "0.3.9", "parsl": "2026.10.26", "pydantic": "2.14.3"}
HERE |= {"globus-compute-sdk": "4.19.0", "globus-compute-endpoint": "4.19.0", "academy-py": "1.0.0"}


def versions(rules, **changed: str | None) -> list[Finding]:
    there = {**HERE, **{name.replace("_", "-"): value for name, value in changed.items()}}
    given_there = {name: value for name, value in there.items() if value is not None}
    return compare(Topic("t"), HERE, given_there, rules, place="there", python="/e/bin/python")


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"python": "3.11.9"}, State.OK),
        ({"python": "3.12.7"}, State.FAILED),
        ({"python": "3.1.1"}, State.FAILED),
        ({"md_director": "0.1.9"}, State.OK),
        ({"md_director": "0.2.0"}, State.FAILED),
        ({"md_director": None}, State.FAILED),
        ({"dill": "0.4.0"}, State.FAILED),
        ({"parsl": "2026.10.27"}, State.FAILED),
        ({"globus_compute_endpoint": "4.19.1"}, State.FAILED),
        ({"globus_compute_sdk": None}, State.FAILED),
        ({"pydantic": "2.11.0"}, State.OK),
        ({"pydantic": "3.0"}, State.WARNING),
        ({"academy_py": "2.0.0"}, State.FAILED),
    ],
)
def test_versions_must_be_as_alike_as_their_package_needs(changed, state):
    name = next(iter(changed)).replace("_", "-")
    found = {one.check: one for one in versions(WORKERS, **changed)}
    if state is State.OK:
        assert set(found) == {"versions"}
        return
    assert found[name].state is state
    assert "3.11" in found[name].hint or f"'{name}=={HERE[name]}'" in found[name].hint


def test_a_laptop_needs_neither_parsl_nor_the_endpoint_of_the_workers():
    found = versions(LAPTOP, parsl="2025.1.1", globus_compute_endpoint="4.0.0")
    assert [one.state for one in found] == [State.OK]
    assert not failed(versions(LAPTOP, python="3.13.1", dill="0.4.0"))
    assert list(failed(versions(LAPTOP, md_director="0.2.0"))) == ["md-director"]


# ---- the environment of workers

SEEN = {
    "versions": {**HERE, "openmm": "8.6.1"},
    "executable": "/e/bin/python",
    "prefix": "/e",
    "endpoint_command": "/e/bin/globus-compute-endpoint",
    "broken": {},
    "tools": {"md": "", "mock_md": ""},
    "secrets": [],
    "run_root": None,
    "host": "login1",
    "now": 1_767_268_801.0,
}


def environment_of(said: str = "", wanted: str | None = "/e", **changed: object) -> list[Finding]:
    return environment.judge(environment.EnvironmentFacts(Answer(0, "", said), {**SEEN, **changed}, wanted, HERE))


def test_a_good_environment_is_all_well():
    assert {one.state for one in environment_of()} == {State.OK}
    assert {one.state for one in environment_of(wanted=None)} == {State.OK}


@pytest.mark.parametrize(
    ("changed", "check", "words"),
    [
        ({"prefix": "/other"}, "worker_init", "workers would run in /other, not in /e"),
        ({"endpoint_command": None}, "globus-compute-endpoint", "not in the workers' search path"),
        ({"endpoint_command": "/usr/bin/globus-compute-endpoint"}, "globus-compute-endpoint", "is not of /e"),
        ({"broken": {"director": "ImportError: x"}}, "md-director", "cannot be imported (director: ImportError: x)"),
        ({"broken": {"openmm": "OSError: libcuda"}}, "openmm", "cannot be imported (OSError: libcuda)"),
        ({"tools": {}}, "Tools", "no Tool is installed"),
        ({"tools": {"md": "", "mine": "KeyError: 1"}}, "Tools", "mine: KeyError: 1"),
        ({"secrets": ["GLOBUS_COMPUTE_CLIENT_SECRET"]}, "secrets", "workers see GLOBUS_COMPUTE_CLIENT_SECRET"),
    ],
)
def test_what_is_wrong_with_an_environment_is_named(changed, check, words):
    found = failed(environment_of(**changed))
    assert words in found[check].found
    assert set(found) == {check} or check == "worker_init"


def test_what_the_commands_of_the_template_complain_about_is_a_warning():
    found = by_state(environment_of("bash: module: command not found\n"), State.WARNING)
    assert "bash: module: command not found" in found["worker_init"].found
    assert not by_state(environment_of("Loading conda/2026-1\n"), State.WARNING)


def test_commands_that_lead_to_no_python_are_told():
    facts = environment.EnvironmentFacts(Answer(127, "", "there is no python\n"), None, "/e", HERE)
    (found,) = environment.judge(facts)
    assert found.state is State.FAILED
    assert "there is no python" in found.found


# ---- clocks

NOON = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC


@pytest.mark.parametrize(
    ("date", "age", "began", "took_s", "state"),
    [
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON, 0.2, State.OK),
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON + 59, 0.2, State.OK),
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON + 62, 0.2, State.WARNING),
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON - 62, 0.2, State.WARNING),
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON + 152, 0.2, State.FAILED),
        ("Thu, 01 Jan 2026 12:00:00 GMT", None, NOON - 600, 0.2, State.FAILED),
        ("Thu, 01 Jan 2026 12:00:00 GMT", "300", NOON + 300, 0.2, State.OK),
        ("Thu, 01 Jan 2026 12:00:00 GMT", "nonsense", NOON, 0.2, State.OK),
        (None, None, NOON, 0.2, State.UNCHECKED),
        ("yesterday", None, NOON, 0.2, State.UNCHECKED),
    ],
)
def test_clocks_may_differ_by_less_than_the_endpoint_bears(date, age, began, took_s, state):
    (found,) = clock.judge([clock.reading("it", date, age, began, began + took_s)])
    assert found.state is state


def test_without_a_web_server_no_clock_is_compared():
    (found,) = clock.judge([])
    assert found.state is State.UNCHECKED


@pytest.mark.parametrize(
    ("url", "elsewhere", "note", "error", "states"),
    [
        (None, False, "", "", {"reachable": State.OK}),
        (None, True, "", "", {"reachable": State.UNCHECKED}),
        ("http://127.0.0.1:1", False, "", "", {"reachable": State.OK}),
        ("http://127.0.0.1:1", True, "", "", {"address": State.FAILED, "reachable": State.OK}),
        ("https://x.org", True, "", "", {"reachable": State.OK}),
        ("https://x.org", True, "", "nobody listens", {"reachable": State.FAILED}),
        ("http://x.org", True, "not encrypted", "", {"secrecy": State.WARNING, "reachable": State.OK}),
        ("rediss://x.org", True, "one password for all", "", {"secrecy": State.OK, "reachable": State.OK}),
    ],
)
def test_an_exchange_must_be_there_and_reachable_by_directors(url, elsewhere, note, error, states):
    found = exchanges.judge(exchanges.ExchangeFacts(url, elsewhere, note, error))
    assert {one.check: one.state for one in found} == states


# ---- addresses


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (address.AddressFacts("10.0.0.1", elsewhere=True), State.OK),
        (address.AddressFacts("127.0.0.1"), State.OK),
        (address.AddressFacts("127.0.0.1", elsewhere=True), State.FAILED),
        (address.AddressFacts("localhost", elsewhere=True), State.FAILED),
        (address.AddressFacts("10.0.0.1", "Cannot assign requested address"), State.FAILED),
        (address.AddressFacts(None), State.FAILED),
    ],
)
def test_workers_must_find_the_way_back(facts, state):
    assert [one.state for one in address.judge(facts)] == [state]


def test_an_address_is_of_this_machine_or_not():
    assert address.gather("127.0.0.1", elsewhere=False).error == ""
    assert address.gather("192.0.2.1", elsewhere=False).error  # of a network for documentation


# ---- disks

MOUNTS = """21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:20 / /tmp rw shared:1 - tmpfs tmpfs rw
23 21 0:33 / /lus/a\\040b rw - lustre 10.0.0.1@o2ib:/fs rw
24 21 0:34 / /lus/a\\040b/scratch rw - nfs4 server:/scratch rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x", "ext4"),
        ("/tmp/x", "tmpfs"),
        ("/tmpx", "ext4"),
        ("/lus/a b/c", "lustre"),
        ("/lus/a b/scratch/c", "nfs4"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path, kind):
    assert disk.file_system(path, MOUNTS) == kind


@pytest.mark.parametrize(
    ("facts", "states"),
    [
        (disk.DiskFacts(None), {"run_root": State.UNCHECKED}),
        (disk.DiskFacts("/r", "/r", None, 2**40, "lustre"), {"run_root": State.OK, "space": State.OK}),
        (
            disk.DiskFacts("/r", "/r", None, 2**40, "lustre", elsewhere=True),
            {"run_root": State.OK, "space": State.OK, "shared": State.UNCHECKED},
        ),
        (
            disk.DiskFacts("/r", "/", None, 2**20, "xfs", elsewhere=True),
            {"run_root": State.OK, "space": State.WARNING, "shared": State.WARNING},
        ),
        (
            disk.DiskFacts("/tmp/r", "/tmp", None, 2**40, "tmpfs", elsewhere=True),
            {"run_root": State.OK, "space": State.OK, "shared": State.FAILED},
        ),
        (disk.DiskFacts("/r", "/", "no", 2**40, "lustre", elsewhere=True), {"run_root": State.FAILED}),
    ],
)
def test_a_place_for_runs_is_writable_roomy_and_not_of_one_machine(facts, states):
    assert {one.check: one.state for one in disk.judge(facts)} == states


def test_a_disk_is_looked_at_and_nothing_is_left_there(tmp_path):
    there = disk.gather(str(tmp_path), elsewhere=False)
    assert (there.existing, there.error) == (str(tmp_path), None)
    below = disk.gather(str(tmp_path / "a" / "b"), elsewhere=False)
    assert (below.existing, below.error) == (str(tmp_path), None)
    assert below.free_bytes > 0
    file = tmp_path / "file"
    file.touch()
    assert disk.gather(str(file / "x"), elsewhere=False).error is not None
    assert list(tmp_path.iterdir()) == [file]


# ---- folders

FINE = folder.FolderFacts("/e", 0o700, True, dict.fromkeys(folder.FILES, 0o600))


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (FINE, State.OK, "nobody else's business"),
        (folder.FolderFacts("/e", 0o700, True, dict.fromkeys(folder.FILES, 0o644)), State.OK, "nobody"),
        (folder.FolderFacts("/e", 0o755, True, dict.fromkeys(folder.FILES, 0o600)), State.WARNING, "/e (0755)"),
        (folder.FolderFacts("/e", 0o770, True, FINE.files), State.FAILED, "others may write to /e (0770)"),
        (folder.FolderFacts("/e", 0o700, False, FINE.files), State.FAILED, "belongs to another user"),
        (
            folder.FolderFacts("/e", 0o700, True, {**FINE.files, "config.yaml": 0o660}),
            State.FAILED,
            "/e/config.yaml (0660)",
        ),
    ],
)
def test_permissions_of_a_folder(facts, state, words):
    found = {one.check: one for one in folder.judge(facts)}
    assert found["present"].state is State.OK
    assert found["permissions"].state is state
    assert words in found["permissions"].found


def test_a_folder_that_is_not_there_or_not_whole_says_how_to_make_it(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").touch()
    (gone,) = folder.judge(folder.gather(tmp_path / "mine"))
    assert gone.state is State.FAILED
    assert gone.hint.endswith("Those beside it: other")
    found = failed(folder.judge(folder.gather(tmp_path / "other")))
    assert "has no user_config_template.yaml.j2" in found["present"].found


# ---- templates


def test_the_names_that_a_template_reads_are_known():
    text = "a: {{ nodes }}\nb: {{ account | default('x') | shell_escape }}\n{% set c = 1 %}{{ c }}{{ _GC.env.HOME }}"
    assert template.names_read(text) == {"nodes", "account", "_GC"}
    with pytest.raises(ValueError, match="cannot be read"):
        template.names_read("{{ nodes ")


def test_a_schema_is_checked_by_its_own_rules():
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    assert template.schema_error(schema) == ""
    assert "type" in template.schema_error({**schema, "type": "thing"})


@pytest.mark.parametrize(
    ("default", "words"), [(3, ""), (9, "its default of nodes: 9 is greater than the maximum of 4"), ("x", "integer")]
)
def test_a_schema_must_accept_its_own_defaults_and_may_require_others(default, words):
    nodes = {"type": "integer", "maximum": 4, "default": default}
    schema = {"properties": {"nodes": nodes, "account": {"type": "string"}}, "required": ["account"]}
    found = template.refused_default(schema)
    assert words in found
    assert bool(found) is bool(words)


@pytest.mark.parametrize(
    ("changed", "check", "state", "words"),
    [
        ({}, "engine", State.OK, "a job of 2 nodes"),
        ({"changed": ("x.j2",)}, "configured", State.WARNING, "x.j2 not as `configure` would write it now"),
        ({"configured_with": {"parsl": "1"}, "here": {"parsl": "2"}}, "configured", State.WARNING, "parsl 1, now 2"),
        ({"undeclared": ("a",)}, "agreement", State.WARNING, "the template reads a, which the schema"),
        ({"unread": ("b",)}, "agreement", State.WARNING, "lets b be given"),
        ({"schema_error": "type: no"}, "schema", State.FAILED, "does not hold: type: no"),
        ({"missing": ("account",), "job": None}, "options", State.FAILED, "account: required"),
        ({"error": "no such engine", "job": None}, "engine", State.FAILED, "no such engine"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(changed, check, state, words):
    facts = template.TemplateFacts(**{"name": "slurm", "scheduler": "slurm", "job": JOB, **changed})
    found = [one for one in template.judge(facts) if one.check == check]
    assert [one.state for one in found] == [state]
    assert words in found[0].found


def test_a_folder_that_configure_did_not_write_is_told():
    (found,) = template.judge(template.TemplateFacts(error="md-director.json is missing", hint=""))
    assert (found.state, found.check) == (State.FAILED, "configured")


# ---- the service and the probe

URL = "https://compute.example.org"
ID = "4b116d3c-1703-4f8f-9f6f-39921e5864df"


def service_facts(**changed: object) -> service.ServiceFacts:
    import uuid

    told = {"min_sdk_version": "1.0.0", "min_ep_version": "1.0.0"}
    about = {"name": "aurora", "metadata": {"endpoint_version": "4.19.0"}}
    known = {"endpoint": uuid.UUID(ID), "versions": told, "logged_in": True, "known": True, "status": "online"}
    return service.ServiceFacts(URL, **{**known, "metadata": about, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "failing", "hint"),
    [
        ({}, None, ""),
        ({"endpoint": None, "logged_in": None, "known": None}, None, ""),
        ({"versions": None, "error": "refused"}, "reachable", "--site embedded"),
        ({"logged_in": False, "error": "nobody is logged in here"}, "login", "globus-compute-endpoint login"),
        ({"known": False, "error": "404"}, "endpoint", "globus-compute-endpoint list"),
        ({"known": None, "metadata": None, "error": "500"}, "endpoint", "Try again later"),
        ({"status": "offline"}, "online", "globus-compute-endpoint start aurora"),
        ({"versions": {"min_sdk_version": "99.0.0", "min_ep_version": "1"}}, "release", "globus-compute-sdk>=99.0.0"),
    ],
)
def test_how_far_one_gets_with_the_service(changed, failing, hint):
    found = failed(service.judge(service_facts(**changed)))
    assert list(found) == ([failing] if failing else [])
    if failing:
        assert hint in found[failing].hint


def test_the_version_of_the_endpoint_is_told_if_the_service_knows_it():
    found = by_state(service.judge(service_facts()), State.OK)
    assert found["endpoint"].found == "aurora, version 4.19.0"
    silent = by_state(service.judge(service_facts(metadata={"uuid": ID})), State.OK)
    assert "version is not told" in silent["endpoint"].found


@pytest.mark.parametrize(
    ("facts", "states"),
    [
        (probe.ProbeFacts(60, 3.0, {**SEEN, "host": "nid001"}, HERE, NOON), {State.OK}),
        (probe.ProbeFacts(60, 3.0, SEEN, HERE, NOON - 100), {State.OK, State.WARNING}),
        (probe.ProbeFacts(60, 3.0, SEEN, HERE, NOON + 200), {State.OK, State.FAILED}),
        (probe.ProbeFacts(60, 3.0, {**SEEN, "broken": {"openmm": "x"}}, HERE, NOON), {State.OK, State.FAILED}),
        (probe.ProbeFacts(60, here=HERE, task="t"), {State.FAILED}),
        (probe.ProbeFacts(60, here=HERE, error="Schema validation error"), {State.FAILED}),
    ],
)
def test_what_came_of_the_probe(facts, states):
    assert {one.state for one in probe.judge(facts)} == states


def test_a_probe_without_an_answer_says_what_became_of_it():
    (waiting,) = probe.judge(probe.ProbeFacts(60, here=HERE, task="t1"))
    assert "no answer within 60 s; the function was sent as task t1" in waiting.found
    (refused,) = probe.judge(probe.ProbeFacts(60, here=HERE, error="400: user options failed schema validation"))
    assert "--set name=value" in refused.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n------\nTraceback\n  File x\n  File y\nValueError: boom\n------\n", "ValueError: boom"),
        (
            "\n Unable to start user endpoint process for ann [exit code: 73; (ValidationError) Additional properties "
            "are not allowed ('colour' was unexpected)\n\n Failed validating in schema:\n  {'type': 'object'}\n",
            "the endpoint refused to start it: Additional properties are not allowed ('colour' was unexpected) "
            "(ValidationError)",
        ),
        ("('POST', 'https://x', 404, 'NOT_FOUND')", "('POST', 'https://x', 404, 'NOT_FOUND')"),
        ("", "RuntimeError"),
    ],
)
def test_of_an_error_that_comes_from_elsewhere_what_was_wrong_is_told(text, words):
    assert probe.told(RuntimeError(text)) == words
