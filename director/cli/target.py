"""Which run a user means: a run folder on this machine's file systems, or the name of one that was submitted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from director.door import Problem, Refused
from director.runfolder import RunFolder
from director.runs import KnownExchange, RunStore, SubmittedRun, home

if TYPE_CHECKING:
    from director.exchange import ExchangeChoice
    from director.fleet import Fleet
    from director.spec import ExchangeSpec

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or the name of a run that was submitted.")
]
ExchangeOption = Annotated[
    str | None,
    typer.Option(
        envvar="DIRECTOR_EXCHANGE",
        help="Where the run's Directors answer: http(s)://HOST:PORT, redis://HOST:PORT or hosted.",
    ),
]
SecretOption = Annotated[
    Path | None,
    typer.Option(envvar="DIRECTOR_EXCHANGE_SECRET_FILE", help="File with the exchange's secret (mode 0600)."),
]


@dataclass(frozen=True)
class Target:
    """A run.

    Attributes:
        run_id: Its name; empty for a run folder, which knows it.
        folder: Its folder, if this machine sees it.
        run: What is remembered of it here.
        exchange: Where its Directors answer, if it was submitted.
        store: Where runs are remembered.
    """

    run_id: str
    store: RunStore
    folder: RunFolder | None = None
    run: SubmittedRun | None = None
    exchange: ExchangeChoice | None = None

    @property
    def spec(self) -> ExchangeSpec:
        """What clients of a run that was submitted are told of its exchange.

        Raises:
            ExchangeError: If that takes a login, and there is none.
            Refused: If the run is a folder.
        """
        from director.exchange import settle

        if self.exchange is None:
            raise Refused([Problem("RUN", f"{self.run_id} was not submitted", "Name a run that was")])
        return settle(self.exchange, self.run_id)

    async def fleet(self) -> Fleet:
        """Connects to its Directors.

        Raises:
            DirectorLost: If they do not answer.
            ExchangeError: If the exchange does not.
            Refused: If the run is not open.
        """
        from director.fleet import Fleet
        from director.remote import reach

        if self.folder is not None:
            return await Fleet.attach(self.folder.path)
        directors = self.run.plan.directors if self.run else None
        staging = self.store.folder(self.run_id) if self.run else None
        return await reach(self.run_id, self.spec, directors=directors, staging=staging)

    def remembered(self) -> SubmittedRun:
        """What is remembered of it.

        Raises:
            Refused: If it was not submitted from here.
        """
        if self.run is None:
            message = f"{self.run_id or self.folder} was not submitted from here ({self.store.path} has no such run)"
            raise Refused([Problem("RUN", message, "Do this where it was submitted, or set DIRECTOR_HOME")])
        return self.run


def find_target(word: str, exchange: str | None, secret_file: Path | None) -> Target:
    """Finds the run that a user means.

    Args:
        word: A run folder, or a run's name, or how it begins.
        exchange: Where its Directors answer, if the user says so.
        secret_file: File with the exchange's secret.

    Raises:
        Refused: If there is no such run.
    """
    store = RunStore(home(os.environ))
    path = Path(word)
    if (path / "run.json").is_file() or "/" in word:
        return Target("", store, folder=RunFolder(path.resolve()))
    run = store.find(word)
    if run is not None:
        return Target(run.run_id, store, run=run, exchange=_chosen(run.exchange, exchange, secret_file, os.environ))
    if exchange is None:
        hint = "Give a run folder, or the run's name with --exchange and --exchange-secret"
        raise Refused([Problem("RUN", f"there is no run folder {word}, and no run of this name is known here", hint)])
    from director.exchange.tokens import RUN_ID

    if not RUN_ID.fullmatch(word):
        hint = "Give the name that `director submit` printed"
        raise Refused([Problem("RUN", f"{word!r} cannot be the name of a run", hint)])
    return Target(word, store, exchange=choose_remote(exchange, secret_file, os.environ))


def choose_remote(url: str | None, secret_file: Path | None, environment: Mapping[str, str]) -> ExchangeChoice:
    """The exchange of a run that is elsewhere; the hosted one, if the user does not say.

    Raises:
        Refused: If it is not acceptable.
    """
    from director.exchange import choose

    return choose(url or "hosted", secret_file, environment)


def known(choice: ExchangeChoice, secret_file: Path | None) -> KnownExchange:
    """What is remembered of an exchange."""
    assert choice.kind != "loopback"  # noqa: S101  (`choose_remote` gives none)
    kept = str(secret_file.absolute()) if secret_file else None
    return KnownExchange(kind=choice.kind, url=choice.url or "", secret_file=kept)


def _chosen(
    remembered: KnownExchange, url: str | None, secret_file: Path | None, environment: Mapping[str, str]
) -> ExchangeChoice:
    """What the user says now comes before what is remembered."""
    address = url or ("hosted" if remembered.kind == "hosted" else remembered.url)
    kept = Path(remembered.secret_file) if remembered.secret_file else None
    choice = choose_remote(address, secret_file or (kept if url is None else None), environment)
    return replace(choice, url=choice.url if url else remembered.url)


def run_name(run: str) -> str:
    """A run as it can be named from anywhere: a folder by its whole path."""
    return str(Path(run).resolve()) if Path(run).is_dir() else run


class Attached:
    """Directors that others have launched. They go on when this is left."""

    def __init__(self, run: str, exchange: str | None, secret: Path | None) -> None:
        self._where = (run, exchange, secret)
        self._fleet: Fleet | None = None

    async def __aenter__(self) -> Fleet:
        self._fleet = await find_target(*self._where).fleet()
        return self._fleet

    async def __aexit__(self, *_: object) -> None:
        if self._fleet is not None:
            await self._fleet.close()
