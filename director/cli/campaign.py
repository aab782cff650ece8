"""``director campaign``: policies that choose what is simulated next."""

from __future__ import annotations

import asyncio
import enum
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from director.cli.console import INTERRUPTED, OK, SOME_NOT_OK, JsonOption, emit, endings, err_console
from director.cli.options import (
    AllocationOption,
    InstalledOption,
    Remote,
    ReserveOption,
    SetOption,
    TemplateOption,
    WalltimeOption,
    terms_of,
)
from director.cli.run import embedded, of_file
from director.cli.running import say
from director.cli.target import ExchangeOption, SecretOption, find_target

if TYPE_CHECKING:
    from campaigns.campaign_file import CampaignFile
    from campaigns.folder import CampaignFolder
    from campaigns.llm.access import LanguageAccess
    from director.batch import Batch
    from director.campaigning.running import CampaignEnd, Campaigning

app = typer.Typer(no_args_is_help=True, help="Let a policy choose what is simulated next.")


class CampaignSite(enum.StrEnum):
    """Where a campaign's simulations can be run."""

    LOCAL = "local"
    EMBEDDED = "embedded"
    PROCESSES = "processes"


FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A campaign's folder.")]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="RUN", help="Use the Directors of this run, which go on afterwards: a run folder, or a name."
    ),
]
SiteOption = Annotated[
    CampaignSite,
    typer.Option(
        help="Where simulations run: local, on Directors here; embedded, on Directors in an endpoint's engine started "
        "here; processes, in processes of this machine without Directors."
    ),
]
CampaignJson = Annotated[bool, typer.Option("--json", help="Print how each episode ended as JSON, at the end.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A campaign file in YAML.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OVERRIDES]...", help="As in Hydra: seed=3 policy/planner=diversity +run.nodes=2"),
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder for the campaign. Default: campaigns/NAME.")] = None,
    site: SiteOption = CampaignSite.LOCAL,
    run_: RunOption = None,
    allocation: AllocationOption = "auto",
    walltime: WalltimeOption = None,
    reserve: ReserveOption = None,
    template: TemplateOption = "local",
    installed: InstalledOption = None,
    settings: SetOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: CampaignJson = False,
) -> None:
    """Run a campaign: a policy chooses what is simulated next, until its goal or its budget is reached.

    Killed at any moment, it goes on with `director campaign resume DIR`, and nothing is evaluated twice. Exit codes: 0
    every episode and every Outcome is ok, 1 some are not or are missing, 2 refused before anything started, 3 the run
    failed, 130 interrupted.
    """
    folder = run_dir or Path("runs") / f"campaign-{file.stem}"
    with endings(as_json, refused="refused; nothing was started", hint=_hint(folder), interrupted=_hint(folder)):
        from campaigns.composing import read_campaign_file
        from campaigns.folder import CampaignFolder, Held
        from campaigns.runner import check_components, new_record
        from director.campaigning.where import read_where, refusing

        base = file.resolve().parent
        _importable(base)
        with refusing():
            campaign = read_campaign_file(file, overrides or [])
            where = read_where(campaign.run, base)
            place = CampaignFolder(folder.resolve())
            campaign = campaign.model_copy(update={"goal": check_components(campaign, _language(where), base)})
            with Held(place):
                place.create(new_record(campaign, str(file.resolve()), tuple(overrides or ())))
                place.keep_place(site.value, run_)
                asked = terms_of(allocation, walltime, reserve)
                remote: Remote = (template, installed or [], settings or [], exchange, exchange_secret)
                end = _run(campaign, place, where, site, run_, asked, remote)
        code = _tell(end, folder, as_json)
    raise typer.Exit(code)


@app.command()
def resume(
    folder: FolderArgument,
    site: Annotated[
        CampaignSite | None, typer.Option(help="Where simulations run. Default: where they ran before.")
    ] = None,
    run_: RunOption = None,
    allocation: AllocationOption = "auto",
    walltime: WalltimeOption = None,
    reserve: ReserveOption = None,
    exchange: ExchangeOption = None,
    exchange_secret: SecretOption = None,
    as_json: CampaignJson = False,
) -> None:
    """Go on with a campaign that was interrupted, to the same trajectory. What was evaluated is not evaluated again.

    The campaign file must be as it was, but for its `run` section: that says where it goes on.
    """
    with endings(as_json, refused="refused; nothing was started", hint=_hint(folder), interrupted=_hint(folder)):
        from campaigns.folder import CampaignFolder, Held
        from campaigns.runner import check_components
        from director.campaigning.running import base_of
        from director.campaigning.where import read_where, refusing

        place = CampaignFolder(folder.resolve())
        with refusing():
            record = place.read()
            base = base_of(record.source, place.path)
            _importable(base)
            campaign = _again(place)
            where = read_where(campaign.run, base)
            check_components(campaign, _language(where), base)
            with Held(place):
                before = place.read_place()
                chosen = site or CampaignSite(before.get("site") or CampaignSite.LOCAL)
                run_ = run_ or (before.get("run") if site is None else None)
                place.keep_place(chosen.value, run_)
                asked = terms_of(allocation, walltime, reserve)
                remote: Remote = ("local", [], [], exchange, exchange_secret)
                end = _run(campaign, place, where, chosen, run_, asked, remote)
        code = _tell(end, folder, as_json)
    raise typer.Exit(code)


@app.command()
def show(
    folder: FolderArgument,
    decisions: Annotated[bool, typer.Option(help="With --json: each decision too, with what it was based on.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a campaign has found so far. With --json, `evaluations` are the same for equal campaigns."""
    with endings(as_json):
        from campaigns.reading import read_campaign
        from director.campaigning.showing import campaign_document
        from director.campaigning.where import refusing

        with refusing():
            campaign = read_campaign(folder)
        document = campaign_document(campaign, decisions=decisions)
        if as_json:
            emit(document)
        else:
            from director.campaigning.table import episode_table

            out = err_console().__class__(highlight=False)
            out.print(f"{campaign.name}: {campaign.goal}", markup=False)
            out.print(episode_table(document["episodes"]))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A campaign file in YAML.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[OVERRIDES]...", help="As in Hydra.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compose a campaign file, make its components, and print what it comes to. Nothing is started."""
    with endings(as_json, refused="refused"):
        import yaml

        from campaigns.composing import read_campaign_file
        from campaigns.runner import check_components
        from director.campaigning.where import read_where, refusing

        _importable(file.resolve().parent)
        with refusing():
            campaign = read_campaign_file(file, overrides or [])
            where = read_where(campaign.run, file.resolve().parent)
            goal = check_components(campaign, _language(where), file.resolve().parent)
        document = {**campaign.model_dump(mode="json", exclude_none=True), "goal": goal}
        emit(document) if as_json else typer.echo(yaml.safe_dump(document, sort_keys=False), nl=False)


@app.command()
def components(
    module: Annotated[list[str] | None, typer.Option(help="A module of yours too. May be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what `_target_` may name, with its parameters."""
    with endings(as_json):
        from campaigns.building import catalogue
        from director.campaigning.where import refusing

        _importable(Path.cwd())
        with refusing():
            found = catalogue(module or [])
        if as_json:
            emit(found)
        else:
            for one in found:
                typer.echo(f"{one['target']}({', '.join(one['parameters'])})\n    {one['summary']}")


@app.command()
def report(
    folder: FolderArgument,
    baseline: Annotated[
        str | None, typer.Option(help="The policy that others are compared with. Default: random, or else the first.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(help="A JSON file with what is known to be there, for recall and precision.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a campaign's metrics, plots and report: summary.json, episodes.csv and report.html in its folder."""
    with endings(as_json):
        from director.campaigning.where import refusing
        from director.report.campaign import report_campaign

        with refusing():
            page = report_campaign(folder, baseline, known)
        emit({"report": str(page)}) if as_json else say(f"report: {page}")


def _importable(folder: Path) -> None:
    """Lets modules beside the campaign file be imported; those that are installed come first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _language(where: Batch) -> LanguageAccess:
    """Where language models are, by the environment or the run's own service; components that ask none do not look."""
    from campaigns.llm.access import access_from
    from director.door import Problem, Refused
    from director.service_partition.agents import to_be_served

    try:
        return access_from(to_be_served(where.services, os.environ))
    except ValueError as error:
        raise Refused([Problem("language model", str(error), "See docs/how-to/language-models.md")]) from None


def _hint(folder: Path) -> str:
    return f"to go on: {shlex.join(['director', 'campaign', 'resume', str(folder)])}"


def _again(place: CampaignFolder) -> CampaignFile:
    """The campaign of a folder, as its file says now; as it was, if the file is gone.

    Raises:
        NotAcceptable: If the file says otherwise than before.
    """
    from campaigns.composing import read_campaign_file
    from campaigns.folder import check_same

    record = place.read()
    source = Path(record.source)
    if not record.source or not source.is_file():
        return record.campaign
    now = read_campaign_file(source, record.overrides)
    if not now.goal:
        now = now.model_copy(update={"goal": record.campaign.goal})
    check_same(record.campaign, now, record.source)
    return now


def _run(
    campaign: CampaignFile,
    place: CampaignFolder,
    where: Any,
    site: CampaignSite,
    run_: str | None,
    asked: dict[str, Any],
    remote: Remote,
) -> CampaignEnd:
    from director.campaigning.progress import ProgressView
    from director.campaigning.running import Campaigning

    episodes = campaign.episodes * len(campaign.names) * len(campaign.system_names)
    with ProgressView(err_console(), campaign.budget.evaluations, episodes) as view:
        what = Campaigning(campaign, place, view.tell, say, asked["reserve_s"], _language(where), where.base)
        return asyncio.run(_through(what, where, site, run_, asked, remote))


async def _through(
    what: Campaigning,
    where: Any,
    site: CampaignSite,
    run_: str | None,
    asked: dict[str, Any],
    remote: Remote,
) -> CampaignEnd:
    from director.fleet import Fleet
    from director.runfolder import RunFolder

    if run_ is not None:
        return await what.attached(find_target(run_, remote[3], remote[4]).fleet)
    if site is CampaignSite.PROCESSES:
        return await what.local(where.file.workers_per_node)
    stores = {"reuse": where.file.reuse, "reuse_from": where.stores}
    folder = what.place.run
    if RunFolder(folder).record_file.is_file():
        pool = {**where.file.pool}
        return await what.owning(Fleet.resume(folder, **asked, **stores, pool=pool, idle=True))
    given = {**asked, **of_file(where), **stores}
    if site is CampaignSite.EMBEDDED:
        given |= embedded(where, folder, *remote)
    return await what.owning(Fleet.launch(run_dir=folder, **given))


def _tell(end: CampaignEnd, folder: Path, as_json: bool) -> int:
    """Says what came of it; returns the exit code."""
    from campaigns.reading import read_campaign
    from director.campaigning.showing import campaign_document
    from director.campaigning.table import episode_table

    campaign = read_campaign(folder)
    document = campaign_document(campaign)
    if as_json:
        said = {name: document[name] for name in ("name", "goal", "seed", "ended", "episodes")}
        emit({**said, "folder": str(folder), "reason": end.reason})
    else:
        err_console().print(episode_table(document["episodes"]))
    if end.result is None:
        text = f"ended before its end: {end.reason}"
        typer.echo(json.dumps({"ended": {"reason": end.reason, "next": _hint(folder)}}), err=True) if as_json else say(
            f"{text}\n  → {_hint(folder)}"
        )
        return INTERRUPTED if end.signal is signal.SIGINT else SOME_NOT_OK
    all_ok = all(one.status == "ok" for episode in campaign.episodes for one in episode.evaluations)
    return OK if end.result.ok and all_ok else SOME_NOT_OK
