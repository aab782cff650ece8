"""What the doctor decides from what PBS prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.doctor import pbs
from director.doctor.commands import Answer
from director.doctor.findings import Finding, State
from director.doctor.job import JobRequest
from tests.director.examining import QSTAT, by_state, failed


def pbs_job(queue: str | None, *, nodes: int = 1, walltime_s: int = 1800) -> JobRequest:
    return JobRequest("pbs", "", nodes, walltime_s, queue, "chem")


def pbs_findings(wanted: JobRequest, user: str = "ann") -> list[Finding]:
    return pbs.judge(wanted, pbs.PbsFacts((), user, Answer(0, QSTAT)))


@pytest.mark.parametrize(
    "wanted",
    [
        pbs_job("debug"),
        pbs_job("debug", nodes=2, walltime_s=3600),
        pbs_job("prod", nodes=10, walltime_s=7200),
        pbs_job("prod", nodes=99, walltime_s=6 * 3600),
        pbs_job("ours"),
        pbs_job("held"),
        pbs_job(None),
    ],
)
def test_a_job_that_pbs_takes_is_well_and_its_account_is_not_known(wanted):
    found = pbs_findings(wanted)
    assert not failed(found)
    assert "'chem'" in by_state(found, State.UNCHECKED)["account"].found


@pytest.mark.parametrize(
    ("wanted", "user", "check", "words", "hint"),
    [
        (pbs_job("nope"), "ann", "queue", "'nope' is not known to PBS", "prod, debug, ours, held"),
        (pbs_job("shut"), "ann", "queue", "shut takes no jobs now", "debug"),
        (pbs_job("small"), "ann", "queue", "only from a queue that hands them on", "Take prod"),
        (pbs_job("ours"), "eve", "queue", "ours takes no jobs of eve", "ask the facility"),
        (pbs_job("debug", nodes=3), "ann", "limits", "3 nodes, of which a job may have 2", "held"),
        (pbs_job("debug", walltime_s=7200), "ann", "limits", "02:00:00, where a job may take 01:00:00", "held"),
        (pbs_job("prod", nodes=4), "ann", "limits", "4 nodes, of which a job must have 10", "`nodes`"),
        (pbs_job("prod", nodes=100), "ann", "limits", "small: 100 nodes, of which a job may have 24", "`nodes`"),
        (pbs_job("prod", nodes=30, walltime_s=7 * 3600), "ann", "limits", "medium: 07:00:00", "`walltime_s`"),
    ],
)
def test_what_pbs_would_not_take_is_named_with_what_it_would(wanted, user, check, words, hint):
    found = failed(pbs_findings(wanted, user))
    assert words in found[check].found
    assert hint in found[check].hint
    assert set(found) == {check}


def test_a_queue_that_does_not_start_jobs_is_a_warning():
    assert "does not start them now" in by_state(pbs_findings(pbs_job("held")), State.WARNING)["queue"].found


def test_pbs_that_does_not_answer_or_is_not_there_is_told():
    silent = pbs.judge(pbs_job("debug"), pbs.PbsFacts(show=Answer(255, "", "pbs_iff: cannot connect to host\n")))
    assert "pbs_iff: cannot connect" in failed(silent)["queue"].found
    absent = pbs.judge(pbs_job("debug"), pbs.PbsFacts(missing=("qsub", "qstat", "qdel")))
    assert [one.state for one in absent] == [State.FAILED, State.UNCHECKED]
    strange = pbs.judge(pbs_job("debug"), pbs.PbsFacts(show=Answer(0, '{"Queue": {"debug": "?"}}')))
    assert "cannot be read" in by_state(strange, State.UNCHECKED)["queue"].found


@given(st.text() | st.sampled_from(['{"Queue": []}', "[]", '{"Queue": {"a": {"resources_max": 1}}}', "null"]))
def test_whatever_qstat_prints_is_judged(text):
    found = pbs.judge(pbs_job("debug"), pbs.PbsFacts(show=Answer(0, text)))
    assert {one.state for one in found} & {State.UNCHECKED, State.FAILED}
