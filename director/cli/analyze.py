"""``director analyze``: a language model proposes simulations, Directors run them, and a report quotes the Outcomes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shlex
import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.console import INTERRUPTED, OK, RUN_FAILED, SOME_NOT_OK, emit, endings, err_console
from director.cli.options import (
    AllocationOption,
    DirectorsOption,
    InstalledOption,
    LlmTimeoutOption,
    MaxOutputTokensOption,
    ModelOption,
    OpenRunOption,
    ReserveOption,
    SetOption,
    SharedNodesOption,
    SiteName,
    SiteOption,
    TemperatureOption,
    TemplateOption,
    WalltimeOption,
    WorkersOption,
    terms_of,
)
from director.cli.run import embedded, of_file
from director.cli.running import say
from director.cli.target import Attached, ExchangeOption, SecretOption, run_name
from director.door import Problem, Refused
from director.durations import seconds_of

if TYPE_CHECKING:
    from campaigns.llm import Key
    from director.analysis.running import Analysis
    from director.analysis.spec import AnalysisFolder, AnalysisSpec
    from director.analysis.state import AnalysisState


def analyze(
    structure: Annotated[Path | None, typer.Option(help="A protein or other molecule, as PDB or mmCIF.")] = None,
    question: Annotated[str | None, typer.Option(help="What you want to know. Default: how stable it is.")] = None,
    model: ModelOption = None,
    temperature: TemperatureOption = None,
    max_output_tokens: MaxOutputTokensOption = None,
    token_budget: Annotated[int | None, typer.Option(min=1, help="Most tokens, sent and received, in all.")] = None,
    llm_timeout: LlmTimeoutOption = "2m",
    llm_retries: Annotated[int, typer.Option(min=0, max=100, help="Further attempts where an endpoint fails.")] = 4,
    simulations: Annotated[int, typer.Option(min=1, max=100, help="Most simulations that the model may propose.")] = 2,
    corrections: Annotated[
        int, typer.Option(min=0, max=100, help="How often a proposal or a text may go back to the model.")
    ] = 3,
    max_ns: Annotated[float | None, typer.Option(help="Longest simulation that it may propose, in ns.")] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An input of md that it cannot choose: steps=5000. May be repeated."),
    ] = None,
    site: SiteOption = SiteName.LOCAL,
    run: OpenRunOption = None,
    directors: DirectorsOption = 1,
    nodes: SharedNodesOption = None,
    allocation: AllocationOption = "auto",
    workers_per_node: WorkersOption = None,
    walltime: WalltimeOption = None,
    reserve: ReserveOption = None,
    template: TemplateOption = "local",
    installed: InstalledOption = None,
    settings: SetOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder for the run. Default: runs/analysis-TIME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with the analysis in this folder; nothing is done twice.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON, at the end.")] = False,
) -> None:
    """Let a language model propose simulations of a structure, run them on Directors, and report on their Outcomes.

    A proposal that md does not take goes back to the model with the reason. In the report every number that the model
    writes must stand in the Outcomes that it cites. DIRECTOR_LLM_BASE_URL, DIRECTOR_LLM_MODEL and DIRECTOR_LLM_API_KEY
    say which model. Exit codes: 0 every Outcome is ok and reported on, 1 not so, 2 refused before anything started, 3
    the run failed, 130 interrupted.
    """
    folder = (resume or run_dir or Path("runs") / f"analysis-{datetime.now():%Y%m%d-%H%M%S}").resolve()
    again = shlex.join(["director", "analyze", "--resume", str(folder)])
    with endings(as_json, refused="refused; nothing was started", hint=f"To go on: {again}", interrupted=again):
        from director.analysis.running import Analysis
        from director.analysis.spec import AnalysisFolder

        place = AnalysisFolder(folder)
        asked = {
            "model": model,
            "temperature": temperature,
            "max_output_tokens": max_output_tokens,
            "token_budget": token_budget,
            "timeout_s": seconds_of(llm_timeout, "--llm-timeout"),
            "max_retries": llm_retries,
        }
        if resume is not None:
            if structure is not None or run_dir is not None or question is not None or model is not None or fix:
                message = "goes with no --structure, --question, --model, --fix or --run-dir"
                raise Refused([Problem("--resume", message, "Leave them out: the folder says what is asked")])
            spec = place.read()
            key = _access(spec.language.model_dump())[1]
        else:
            limits = {"max_simulations": simulations, "max_corrections": corrections, "max_amount": max_ns}
            spec, key = _new(place, structure, question, asked, limits, fix or [], run)
        times: dict[str, Any] = terms_of(allocation, walltime, reserve)
        sizes = {"directors": directors, "nodes": nodes, "workers_per_node": workers_per_node}
        remote = (template, installed or [], settings or [], exchange, exchange_secret)
        launch = _launch(folder, site, run or spec.run or None, times, sizes, remote)
        what = Analysis(place, spec, key, launch, say, _told, times["reserve_s"])
        code = _through(what, again, as_json)
    raise typer.Exit(code)  # outside, since it is a RuntimeError itself


def _new(
    place: AnalysisFolder,
    structure: Path | None,
    question: str | None,
    asked: dict[str, Any],
    limits: dict[str, Any],
    fix: list[str],
    run: str | None,
) -> tuple[AnalysisSpec, Key | None]:
    from pydantic import ValidationError

    from director.analysis.running import read_structure, tool_of
    from director.analysis.spec import DEFAULT_QUESTION, AnalysisSpec
    from director.door import problems_of

    if structure is None:
        raise Refused([Problem("--structure", "is not given", "Name a PDB or mmCIF file: --structure protein.pdb")])
    content, _ = read_structure(structure)
    language, key = _access({name: value for name, value in asked.items() if value is not None})
    own = hashlib.sha256(str(place.run).encode()).hexdigest()[:7]
    document = {
        "question": question or DEFAULT_QUESTION,
        "structure": structure.name,
        "fixed": dict(_fixed(text) for text in fix),
        "language": language,
        "run": "" if run is None else run_name(run),
        "prefix": "" if run is None else f"a{own}-",
        **limits,
    }
    try:
        spec = AnalysisSpec.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, AnalysisSpec)) from None
    tool_of(spec)
    place.create(spec, content)
    return spec, key


def _access(config: dict[str, Any]) -> tuple[Any, Key | None]:
    """The settings and the key of the model.

    Raises:
        Refused: If none is configured, or a setting is not acceptable.
    """
    from campaigns.llm import access_from

    try:
        access = access_from(os.environ)
        return access.settings(config), access.key
    except ValueError as error:
        what, _, hint = str(error).partition(". ")
        raise Refused([Problem("language model", what, hint or "See docs/how-to/language-models.md")]) from None


def _fixed(text: str) -> tuple[str, Any]:
    """An input that the model cannot choose: a JSON value, or else a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Refused([Problem("--fix", f"{text!r} is not NAME=VALUE", "Write steps=5000")])
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _launch(
    folder: Path,
    site: SiteName,
    run: str | None,
    times: dict[str, Any],
    sizes: dict[str, Any],
    remote: tuple[str, list[str], list[str], str | None, Path | None],
) -> Any:
    """What gives a Fleet when there is something to simulate; what it cannot be given is refused at once."""
    from director.campaigning.where import read_where
    from director.fleet import Fleet
    from director.runfolder import RunFolder

    where = read_where({name: value for name, value in sizes.items() if value is not None}, folder)

    def launch() -> Any:
        if run is not None:
            return Attached(run, remote[3], remote[4])
        if RunFolder(folder).record_file.is_file():
            return Fleet.resume(folder, **times, idle=True)
        given = {**times, **of_file(where)}
        if site is SiteName.EMBEDDED:
            given |= embedded(where, folder, *remote)
        return Fleet.launch(run_dir=folder, **given)

    return launch


def _through(what: Analysis, again: str, as_json: bool) -> int:
    """Runs it, and shows what came of it; returns the exit code."""
    from director.analysis.running import Interrupted, analyse

    try:
        state = asyncio.run(analyse(what))
    except Interrupted as end:
        said = {"ended": {"reason": str(end), "next": again}}
        typer.echo(json.dumps(said) if as_json else f"{end}\n  → {again}", err=True)
        return INTERRUPTED if end.number is signal.SIGINT else SOME_NOT_OK
    _show(what.folder, what.spec, state, as_json)
    return _code(state)


def _told(state: AnalysisState) -> None:
    """Says what the last step came to."""
    if state["next"] == "simulation":
        for one in state["accepted"]:
            chosen = {name: value for name, value in one["inputs"].items() if name != "structure"}
            say(f"{one['id']} accepted: {json.dumps(chosen)}")
    elif state["next"] == "analysis" and state["refused"]:
        say(f"refused: {'; '.join(state['refused'][-1]['problems'])}")
    elif state["next"] == "report" and state["text_refused"]:
        say(f"text refused: {state['text_refused'][-1]}")
    elif state["next"] == "report":
        for name, outcome in state["outcomes"].items():
            error = outcome["error"]
            say(f"{name}: {outcome['status']}{'' if error is None else ': ' + error['message']}")


def _show(place: AnalysisFolder, spec: AnalysisSpec, state: AnalysisState, as_json: bool) -> None:
    from director.analysis.writing import document_of

    if as_json:
        document = document_of(spec, state)
        outcomes = list(state["outcomes"].values())
        emit({**document, "outcomes": outcomes, "markdown": str(place.markdown), "html": str(place.page)})
        return
    if state["ended"] == "no_proposal":
        say("nothing was run: no proposal was acceptable")
    if state["ended"] == "no_text":
        say("the report has no text: none that the model wrote was acceptable")
    err_console().print(f"report: {place.markdown}, {place.page}", soft_wrap=True)


def _code(state: AnalysisState) -> int:
    if state["ended"] == "no_proposal":
        return RUN_FAILED
    ok = all(outcome["status"] == "ok" for outcome in state["outcomes"].values())
    return OK if ok and state["ended"] == "done" else SOME_NOT_OK
