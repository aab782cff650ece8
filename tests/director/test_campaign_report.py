"""The report of a campaign: its page, and the files beside it."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from campaigns.errors import NotAcceptable
from campaigns.folder import CampaignFolder
from campaigns.reading import read_campaign
from campaigns.runner import new_record, run_campaign
from director.cli.app import app
from director.report.campaign import report_campaign
from tests.campaigns.files import TOYS, campaign, workflow
from tests.campaigns.toys import Bench


class Page(HTMLParser):
    """What a reader sees of a page, and what a browser would fetch for it."""

    def __init__(self, text):
        super().__init__()
        self.text, self.fetched, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "img", "link", "iframe"):
            self.fetched.append(tag)
        self.open.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


POLICIES = {"random": workflow(), "near": workflow(scorer={"_target_": f"{TOYS}.Near"})}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A campaign whose goal is what somebody might write to break a page."""
    place = tmp_path_factory.mktemp("reported") / "campaign"
    given = campaign(episodes=2, policies=POLICIES, goal="<script>alert(1)</script> 7", seed=4)
    run_campaign(given, place, Bench(fails=[3]))
    report_campaign(place)
    return place


def test_the_page_needs_nothing_else_and_says_what_was_found(folder):
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.fetched == []
    assert "<script" not in text
    assert "<script>alert(1)</script> 7" in page.words
    for word in ("random", "near", "Best candidates", "EF", "AUDC", "Rohr"):
        assert word in page.words
    assert text.count("<svg ") == len(list((folder / "plots").glob("*.png"))) >= 3


def test_the_files_say_the_same_as_the_record(folder):
    read = read_campaign(folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["baseline"] == "random"
    rows = list(csv.DictReader((folder / "episodes.csv").open()))
    assert [(row["policy"], int(row["episode"])) for row in rows] == [
        (episode.policy, episode.number) for episode in read.episodes
    ]
    for row, episode in zip(rows, read.episodes, strict=True):
        scores = [one.score for one in episode.evaluations if one.score is not None]
        assert float(row["best_score"]) == max(scores)
        assert int(row["discoveries"]) == len({one.candidate["number"] for one in episode.evaluations if one.success})
        assert int(row["failed"]) == sum(one.score is None for one in episode.evaluations)


def test_another_baseline_and_what_is_known_can_be_given(folder, tmp_path):
    known = tmp_path / "known.json"
    known.write_text(json.dumps({"systems": {"default": {"candidates": [{"number": 7}, {"number": 8}]}}}))
    report_campaign(folder, baseline="near", known=known)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["baseline"] == "near"
    assert summary["known"]["default"]["structures"] == 2
    found = summary["systems"]["default"]["near"]["over_episodes"]["recall_structure"]
    assert found["mean"] in (0.0, 0.25, 0.5)
    with pytest.raises(NotAcceptable, match=r"Policies: near, random"):
        report_campaign(folder, baseline="greedy")
    known.write_text('{"systems": {"default": {"molecules": []}}}')
    with pytest.raises(NotAcceptable, match="candidates"):
        report_campaign(folder, known=known)


def test_before_the_first_outcome_there_is_nothing_to_report(tmp_path):
    place = CampaignFolder(tmp_path / "campaign")
    place.create(new_record(campaign()))
    with pytest.raises(NotAcceptable, match="nothing was evaluated yet"):
        report_campaign(place.path)


def test_the_command_writes_the_page_and_refuses_a_folder_without_a_campaign(folder, tmp_path):
    done = CliRunner().invoke(app, ["campaign", "report", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert Path(json.loads(done.stdout)["report"]).is_file()
    assert CliRunner().invoke(app, ["campaign", "report", str(tmp_path)]).exit_code == 2
