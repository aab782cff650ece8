"""``director reason``: language models that propose molecules, and Directors that simulate them."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.console import INTERRUPTED, OK, RUN_FAILED, SOME_NOT_OK, emit, endings, err_console
from director.cli.options import (
    AllocationOption,
    DirectorsOption,
    LlmTimeoutOption,
    MaxOutputTokensOption,
    ModelOption,
    OpenRunOption,
    SharedNodesOption,
    TemperatureOption,
    WalltimeOption,
    WorkersOption,
)
from director.cli.running import say
from director.cli.target import Attached, ExchangeOption, SecretOption, run_name
from director.door import Problem, Refused
from director.durations import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from campaigns.llm import Key
    from campaigns.reasoner.state import ReasonerState
    from director.fleet import Fleet
    from director.reasoning.running import Reasoned
    from director.reasoning.spec import ReasoningSpec

    Launch = Callable[[], AbstractAsyncContextManager[Fleet]]


def reason(
    seed_molecule: Annotated[
        list[str] | None, typer.Option(metavar="SMILES", help="A molecule that a reasoner begins with. Once for each.")
    ] = None,
    reasoners: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many reasoners. Default: one for each seed molecule.")
    ] = None,
    molecules: Annotated[
        int | None, typer.Option(min=1, help="Most molecules that all reasoners together have simulated. Default: 20.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Most rounds of each reasoner.")] = 5,
    calls: Annotated[int, typer.Option(min=1, max=1000, help="Most molecules of one reasoner in one round.")] = 4,
    questions: Annotated[
        int, typer.Option(min=1, max=100, help="How often a model is asked for molecules in one round.")
    ] = 3,
    tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens, sent and received, of all reasoners.")] = None,
    tokens_each: Annotated[int | None, typer.Option(min=1, help="Most tokens of each reasoner.")] = None,
    node_hours: Annotated[float | None, typer.Option(help="Most node-hours of all simulations.")] = None,
    better: Annotated[str, typer.Option(help="more or less: which ionization energies are looked for.")] = "more",
    model: ModelOption = None,
    temperature: TemperatureOption = None,
    max_output_tokens: MaxOutputTokensOption = None,
    llm_timeout: LlmTimeoutOption = "2m",
    agents: Annotated[
        str,
        typer.Option(
            help="here: all reasoners in this process; client or directors: each an Academy agent in a process of its "
            "own, launched by this command or by the Directors."
        ),
    ] = "here",
    directors: DirectorsOption = 1,
    nodes: SharedNodesOption = None,
    allocation: AllocationOption = "auto",
    workers_per_node: WorkersOption = None,
    walltime: WalltimeOption = None,
    run: OpenRunOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder for the run. Default: runs/reason-TIME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with the reasoners of this run folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Have language models search for molecules of high ionization energy, with simulations on Directors.

    Each reasoner plans, calls the Tool ionization_energy (GFN2-xTB), concludes, criticises its conclusion and plans
    anew. All share what was found. DIRECTOR_LLM_BASE_URL, DIRECTOR_LLM_MODEL and DIRECTOR_LLM_API_KEY say which model.
    Exit codes: 0 all reasoners ended and every Outcome is ok, 1 not so, 2 refused before anything started, 3 the run
    failed, 130 interrupted.
    """
    folder = (resume or run_dir or Path("runs") / f"reason-{datetime.now():%Y%m%d-%H%M%S}").resolve()
    hint = f"To go on: director reason --resume {folder}"
    with endings(as_json, refused="refused; nothing was started", hint=hint):
        from director.reasoning.spec import read_spec, write_spec

        terms = {"walltime_s": seconds_of(walltime, "--walltime") if walltime else None}
        if resume is not None:
            if seed_molecule or run_dir is not None or run or reasoners or molecules or model:
                message = "goes with no --run-dir, --run, --seed-molecule, --reasoners, --molecules or --model"
                raise Refused([Problem("--resume", message, "Leave them out: the run says what its reasoners do")])
            spec = read_spec(folder)
            spec, key = _again(spec)
        else:
            limits = {
                "rounds": rounds,
                "calls_per_round": calls,
                "questions_per_round": questions,
                "requests": molecules or 20,
                "tokens": tokens,
                "tokens_each": tokens_each,
                "node_hours": node_hours,
            }
            asked = {
                "model": model,
                "temperature": temperature,
                "max_output_tokens": max_output_tokens,
                "timeout_s": seconds_of(llm_timeout, "--llm-timeout"),
            }
            words = {"better": better, "agents": agents, "run": "" if run is None else run_name(run)}
            spec, key = _new(seed_molecule or [], reasoners, limits, words, asked)
            _check(folder, spec)
            write_spec(folder, spec)
        sizes = {"nodes": nodes, "allocation": allocation}
        launch = _launch(folder, spec, terms, directors, workers_per_node, sizes, (exchange, exchange_secret))
        done = asyncio.run(_run(folder, spec, key, launch))
        _show(done, as_json)
    raise typer.Exit(_code(done))


def _new(
    seeds: list[str], reasoners: int | None, limits: dict[str, Any], words: dict[str, str], asked: dict[str, Any]
) -> tuple[ReasoningSpec, Key | None]:
    from pydantic import ValidationError

    from campaigns.language import NotConfigured
    from campaigns.llm import access_from
    from director.door import problems_of
    from director.reasoning.spec import ReasoningSpec

    if not seeds:
        raise Refused([Problem("--seed-molecule", "is not given", "Give a SMILES: --seed-molecule 'CNC(N)=O'")])
    try:
        access = access_from(os.environ)
        language = access.settings({name: value for name, value in asked.items() if value is not None})
    except NotConfigured as error:
        raise Refused([Problem("model", str(error).partition(". ")[0], str(error).partition(". ")[2])]) from None
    except ValueError as error:
        raise Refused([Problem("model", str(error), "See `director reason --help`")]) from None
    extreme = "least" if words["better"] == "less" else "greatest"
    document = {
        "seeds": seeds,
        "reasoners": reasoners or len(seeds),
        **words,
        "limits": limits,
        "language": language,
        "goal": f"the molecule with the {extreme} vertical ionization energy in eV",
    }
    try:
        return ReasoningSpec.model_validate(document), access.key
    except ValidationError as error:
        raise Refused(problems_of(error, ReasoningSpec)) from None


def _again(spec: ReasoningSpec) -> tuple[ReasoningSpec, Key | None]:
    """A run that goes on: with the same model, at the endpoint that the environment names now, if it names one."""
    from campaigns.language import NotConfigured
    from campaigns.llm import access_from

    try:
        access = access_from(os.environ)
        before = spec.language.model_dump(exclude={"base_url"} if access.base_url else None)
        language = access.settings(before)
    except (NotConfigured, ValueError) as error:
        raise Refused([Problem("model", str(error), "Set DIRECTOR_LLM_BASE_URL and the key as before")]) from None
    return spec.model_copy(update={"language": language}), access.key


def _check(folder: Path, spec: ReasoningSpec) -> None:
    """Refuses what cannot be, before anything is written."""
    from director.reasoning.running import prepared

    prepared(folder, spec)


def _launch(
    folder: Path,
    spec: ReasoningSpec,
    terms: dict[str, Any],
    directors: int,
    per: int | None,
    sizes: dict[str, Any],
    exchange: tuple[str | None, Path | None],
) -> Launch:
    """What gives the Directors: those of another run, of this one as it goes on, or new ones."""
    from director.fleet import Fleet

    if spec.run:
        return lambda: Attached(spec.run, *exchange)
    if (folder / "run.json").exists():
        return lambda: Fleet.resume(folder, idle=True, **sizes, **terms)
    return lambda: Fleet.launch(directors, run_dir=folder, workers_per_node=per, **sizes, **terms)


async def _run(folder: Path, spec: ReasoningSpec, key: Key | None, launch: Launch) -> Reasoned:
    from director.reasoning.running import reason as reason_through

    return await reason_through(folder, spec, key, launch, say=say, told=_told)


def _told(state: ReasonerState) -> None:
    done, count = state["next"], len(state["entries"])
    what = f"ended: {state['ended']}" if done == "end" else f"→ {done.replace('_', ' ')}"
    waits = f", {len(state['pending'])} asked for" if state["pending"] else ""
    say(f"{state['reasoner']} round {state['round']} {what} ({count} simulated{waits})")


def _show(done: Reasoned, as_json: bool) -> None:
    from director.reasoning.report import REPORTS

    command = f"director reason --resume {done.folder}"
    if as_json:
        emit(done.summary)
        if done.stopped:
            typer.echo(json.dumps({"ended": {"reason": done.stopped, "next": command}}), err=True)
        return
    _table(done)
    for one in done.ended:
        if one.failure:
            say(f"{one.state['reasoner']}: {one.failure}")
    say(f"report: {', '.join(str(done.folder / name) for name in REPORTS[1:])}")
    if not all(one.state["next"] == "end" for one in done.ended):
        say(f"to go on: {command}")


def _table(done: Reasoned) -> None:
    from rich.table import Table

    objective = done.summary["objective"]
    table = Table(title="The best", title_justify="left")
    for name, justify in (("rank", "right"), ("molecule", "left"), (objective, "right"), ("Outcome", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("reasoner")
    for row in done.summary["best"]:
        table.add_row(str(row["rank"]), row["smiles"], f"{row[objective]:.4f}", row["id"], row["reasoner"])
    err_console().print(table)


def _code(done: Reasoned) -> int:
    import signal

    if done.signal is signal.SIGINT:
        return INTERRUPTED
    if done.complete:
        return OK
    return RUN_FAILED if done.ended and all(one.failure for one in done.ended) else SOME_NOT_OK
