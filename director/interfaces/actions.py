"""All that an agent can call of a run: its Tools, and what goes with them. Nothing here asks whether it may.

A call is made in two steps, so that a guard can stand between them: it is prepared, which says what it would hand over
and does nothing, and it is made.
"""

from __future__ import annotations

import asyncio
import difflib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from director.batch import BatchEntry, BatchFile, expand
from director.door import Problem, Refused, problems_of
from director.fleet import Fleet
from director.interfaces import asks
from director.interfaces.artifacts import MOST_PICTURE_BYTES, read_artifact
from director.interfaces.book import OutcomeBook, fitting, shown
from director.interfaces.calling import WAIT_S, ToolCaller, call_id, check_token, home
from director.interfaces.molecules import smiles_of, structure_of
from director.staging import Ready
from simulations.records import Outcome

TRACE_BYTES = 50_000_000
STATUS_FIELDS = (
    "director", "state", "workers", "workers_up", "queued", "running", "finished", "ns_per_day", "eta_s", "paused",
    "failure", "waiting",
)  # fmt: skip

Answer = dict[str, Any]


@dataclass
class Prepared:
    """A call that has passed the door.

    Attributes:
        run: Makes it.
        ids: The Requests that it hands over.
        ended: The Outcomes that it has brought; filled while it is made.
    """

    run: Callable[[], Awaitable[Answer]]
    ids: list[str] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)


@dataclass(frozen=True)
class Face:
    """A Tool or an action as agents see it.

    Attributes:
        name: What it is called by.
        known_as: What policies know it by. It differs if the run has a Tool of that name.
        description: What it does.
        schema: JSON schema of its inputs.
        is_tool: Whether it is a Tool of the run.
        reads_only: Whether it changes nothing.
        destroys: Whether it takes something away.
    """

    name: str
    known_as: str
    description: str
    schema: dict[str, Any]
    is_tool: bool = False
    reads_only: bool = False
    destroys: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names that rules may mean it by."""
        return tuple(dict.fromkeys((self.name, self.known_as)))


@dataclass(frozen=True)
class _Action:
    summary: str
    takes: type[BaseModel]
    prepare: Callable[[Any, str | None], Awaitable[Prepared]]
    reads_only: bool = True
    destroys: bool = False


class RunActions:
    """The Tools of a run, and the actions ``submit``, ``status``, ``outcomes``, ``cancel``, ``drain``,
    ``read_artifact``, ``report``, ``name_to_smiles`` and ``smiles_to_structure``.

    Where the run has a Tool of such a name, the action is called ``director_…``.

    Args:
        fleet: The run's Directors; held open by the caller.
        base: Folder that files which an agent names must lie in; None: the current folder.
        wait_s: How long a call of a Tool waits for its Outcome, in s. What takes longer goes on.
    """  # noqa: D205

    def __init__(self, fleet: Fleet, *, base: Path | None = None, wait_s: float = WAIT_S) -> None:
        self.fleet = fleet
        self.book = OutcomeBook(fleet.links)
        self._caller = ToolCaller(fleet, base=base, wait_s=wait_s)
        self._writing = asyncio.Lock()
        self._actions = {self._free(name): (name, action) for name, action in self._all().items()}
        self.faces: Mapping[str, Face] = {
            **{
                tool.name: Face(tool.name, tool.name, tool.summary, tool.request.model_json_schema(), is_tool=True)
                for tool in fleet.tools.values()
            },
            **{
                name: Face(
                    name,
                    known_as,
                    action.summary,
                    action.takes.model_json_schema(),
                    reads_only=action.reads_only,
                    destroys=action.destroys,
                )
                for name, (known_as, action) in self._actions.items()
            },
        }

    def _free(self, name: str) -> str:
        while name in self.fleet.tools:
            name = f"director_{name}"
        return name

    def _all(self) -> dict[str, _Action]:
        return {
            "submit": _Action(
                "Hand over Requests, one or many, and get their ids at once; what runs is not waited for. `outcomes` "
                "waits. Equal Requests are not run twice.",
                asks.SubmitAsk,
                self._submit,
                reads_only=False,
            ),
            "status": _Action(
                "How the run is: for each Director its workers, and how many Requests wait, run and have ended.",
                asks.StatusAsk,
                self._status,
            ),
            "outcomes": _Action(
                "Outcomes of Requests: by their ids, or page by page. Waits as long as it is told, and no longer.",
                asks.OutcomesAsk,
                self._outcomes,
            ),
            "cancel": _Action(
                "Cancel Requests, waiting or running. What they have done is lost. A human may be asked first.",
                asks.CancelAsk,
                self._cancel,
                reads_only=False,
                destroys=True,
            ),
            "drain": _Action(
                "Let the run accept nothing more, from anybody. What was accepted is run. A human may be asked first.",
                asks.DrainAsk,
                self._drain,
                reads_only=False,
                destroys=True,
            ),
            "read_artifact": _Action(
                "Read a file that a Request of this run has left: a text in pieces, or a PNG picture.",
                asks.ReadArtifactAsk,
                self._read_artifact,
            ),
            "report": _Action(
                "Draw a plot of the run, of a number of its Outcomes, or of one simulation over time, as a PNG picture "
                "with the numbers in it.",
                asks.ReportAsk,
                self._report,
            ),
            "name_to_smiles": _Action(
                "SMILES of a molecule by its English name, from a small table. What is not in it is refused.",
                asks.NameAsk,
                self._name_to_smiles,
            ),
            "smiles_to_structure": _Action(
                "A first 3-D geometry of a molecule from its SMILES, as XYZ in Angstrom. For energies and optimised "
                "geometries call `single_point` or `relax` with the SMILES.",
                asks.StructureAsk,
                self._smiles_to_structure,
            ),
        }

    async def prepare(self, name: str, arguments: Mapping[str, Any], token: str | None = None) -> Prepared:
        """Checks a call, and says what it would hand over.

        Args:
            name: Of a Tool or an action.
            arguments: Its inputs.
            token: A word of the caller's that names this call; see `ToolCaller.call`.

        Raises:
            Refused: If it is not acceptable.
        """
        if name not in self.faces:
            close = difflib.get_close_matches(name, self.faces, n=1)
            guess = f"Did you mean {close[0]!r}? " if close else ""
            raise Refused(
                [Problem("tool", f"there is no {name[:200]!r}", f"{guess}There are: {', '.join(self.faces)}")]
            )
        if name not in self._actions:
            ready = await self._caller.ready(name, arguments, token=token)
            prepared = Prepared(run=_nothing, ids=[ready.request.id])
            prepared.run = lambda: self._caller.run(ready, fixed=token is not None, ended=prepared.ended)
            return prepared
        action = self._actions[name][1]
        try:
            ask = action.takes.model_validate(dict(arguments))
        except ValidationError as error:
            raise Refused(problems_of(error, action.takes)) from None
        return await action.prepare(ask, token)

    # ---- what changes something

    async def _submit(self, ask: asks.SubmitAsk, token: str | None) -> Prepared:
        token = ask.token or token
        check_token(token)
        try:
            entries = [BatchEntry.model_validate(entry.model_dump()) for entry in ask.requests]
        except ValidationError as error:
            raise Refused([problem.within("requests") for problem in problems_of(error, BatchEntry)]) from None
        total = sum(entry.repeat for entry in entries)
        if total > asks.MOST_REQUESTS:
            raise _too_many(total)
        requests = await asyncio.to_thread(expand, BatchFile(requests=entries), self.fleet.tools)
        if len(requests) > asks.MOST_REQUESTS:
            raise _too_many(len(requests))
        try:
            ready = await asyncio.to_thread(self.fleet.prepare_all, requests, base=self._caller.base)
        except OSError as error:
            raise Refused([Problem("inputs", f"a file cannot be copied ({error})", "See to the disk")]) from error
        if token is not None:
            ready = [item.named(call_id(f"{token}/{index}", item.key)) for index, item in enumerate(ready)]
        return Prepared(
            run=lambda: self._hand_over(ready, fixed=token is not None), ids=[item.request.id for item in ready]
        )

    async def _hand_over(self, ready: list[Ready], *, fixed: bool) -> Answer:
        directors = len(self.fleet.links)
        by_director: dict[int | None, list[Ready]] = {}
        for item in ready:
            by_director.setdefault(home(item.request.id, directors) if fixed else None, []).append(item)
        async with self._writing:  # the list of a run's Requests is written by one at a time
            for index, items in by_director.items():
                await self.fleet.submit(items, director=index)
        return {"status": "ok", "ids": [item.request.id for item in ready], "hint": "`outcomes` waits for them."}

    async def _cancel(self, ask: asks.CancelAsk, _: str | None) -> Prepared:
        async def run() -> Answer:
            return {"status": "ok", "requests": await self.fleet.cancel(ask.ids)}

        return Prepared(run)

    async def _drain(self, ask: asks.DrainAsk, _: str | None) -> Prepared:
        async def run() -> Answer:
            return {"status": "ok", "open": await self.fleet.drain()}

        return Prepared(run)

    # ---- what looks

    async def _status(self, ask: asks.StatusAsk, _: str | None) -> Prepared:
        async def run() -> Answer:
            found = await self.fleet.status()
            said = [{name: one[name] for name in STATUS_FIELDS if one.get(name) not in (None, {})} for one in found]
            return {"status": "ok", "run": self.fleet.record.run_id, "directors": said}

        return Prepared(run)

    async def _outcomes(self, ask: asks.OutcomesAsk, _: str | None) -> Prepared:
        if ask.ids is not None and ask.after is not None:
            raise Refused([Problem("after", "has no meaning with ids", "Give one of them")])

        async def run() -> Answer:
            if ask.ids is None:
                page = await self.book.page(ask.after, ask.limit, ask.wait_s)
                prepared.ended += page["outcomes"]
                documents = [shown(outcome, full=ask.full) for outcome in page["outcomes"]]
                return {"status": "ok", "outcomes": documents, "next": page["next"], "open": page["open"]}
            found = await self.book.wait_for(ask.ids, ask.wait_s)
            prepared.ended += found
            return await self._by_ids(ask, found)

        prepared = Prepared(run)
        return prepared

    async def _by_ids(self, ask: asks.OutcomesAsk, found: list[Outcome]) -> Answer:
        documents = [shown(outcome, full=ask.full) for outcome in found[: ask.limit]]
        count = fitting(documents)
        ended = {outcome.id for outcome in found}
        there = set(await self.fleet.open_ids()) if len(ended) < len(set(ask.ids or ())) else set()
        missing = [name for name in dict.fromkeys(ask.ids or ()) if name not in ended]
        answer: Answer = {
            "status": "running" if any(name in there for name in missing) else "ok",
            "outcomes": documents[:count],
            "running": [name for name in missing if name in there],
            # One that has ended between the two looks is neither open nor read yet.
            "unknown": [name for name in missing if name not in there],
            "left_out": [outcome.id for outcome in found[count:]],
        }
        return {name: value for name, value in answer.items() if value or name in ("status", "outcomes")}

    async def _read_artifact(self, ask: asks.ReadArtifactAsk, _: str | None) -> Prepared:
        return Prepared(lambda: read_artifact(self._get, ask.path, ask.offset, ask.limit_bytes))

    async def _get(self, path: str, offset: int) -> Any:
        return await self.fleet.useful()[0].call("get", path, offset)

    async def _report(self, ask: asks.ReportAsk, _: str | None) -> Prepared:
        if ask.kind == "trace" and len(ask.ids or ()) != 1:
            raise Refused([Problem("ids", "of a trace must be one id", "Name one Request")])
        if ask.kind != "energies" and ask.quantity is not None:
            raise Refused([Problem("quantity", f"has no meaning with {ask.kind}", "Leave it out")])
        return Prepared(lambda: self._draw(ask))

    async def _draw(self, ask: asks.ReportAsk) -> Answer:
        import base64

        from director.interfaces import plots

        if ask.ids is None:
            found = await self.book.latest(asks.MOST_OUTCOMES)
        else:
            found = await self.book.wait_for(ask.ids, 0.0)
        if not found:
            raise Refused([Problem("ids", "none of these Requests has ended", "Wait for them with `outcomes`")])
        said: Answer = {"status": "ok", "kind": ask.kind, "count": len(found)}
        if ask.kind == "run":
            png = await asyncio.to_thread(plots.draw_run, found)
        elif ask.kind == "energies":
            quantity, values = plots.chosen(found, ask.quantity)
            said |= {"quantity": quantity, "values": {outcome.id: value for outcome, value in values}}
            png = await asyncio.to_thread(plots.draw_numbers, quantity, values)
        else:
            png = await self._trace(found[0])
        if len(png) > MOST_PICTURE_BYTES:
            raise Refused([Problem("kind", f"the picture has {len(png)} bytes", "Ask for fewer Requests")])
        missing = [name for name in ask.ids or () if name not in {outcome.id for outcome in found}]
        return {
            **said,
            **({"not_ended": missing} if missing else {}),
            "image": {"mime_type": "image/png", "data": base64.b64encode(png).decode()},
        }

    async def _trace(self, outcome: Outcome) -> bytes:
        from director.interfaces import plots
        from director.report import traces

        path = outcome.artifacts.get(traces.ARTIFACT)
        if path is None:
            raise Refused([Problem("ids", f"{outcome.id} left no {traces.ARTIFACT}", "Name one of the Tool md")])

        def bounded(_: int, size: int) -> None:
            if size > TRACE_BYTES:
                raise Refused([Problem("ids", f"its table has {size} bytes", "A person can draw it: director report")])

        with tempfile.TemporaryDirectory(prefix="md-director-") as folder:
            file = Path(folder) / "table.csv"
            await self.fleet.fetch(path, file, bounded)
            try:
                trace = await asyncio.to_thread(traces.read_state_table, file, outcome)
            except ValueError as error:
                raise Refused([Problem("ids", f"its table cannot be read: {error}", "Read it as a file")]) from None
        return await asyncio.to_thread(plots.draw_trace, trace)

    # ---- molecules

    async def _name_to_smiles(self, ask: asks.NameAsk, _: str | None) -> Prepared:
        async def run() -> Answer:
            return smiles_of(ask.name)

        return Prepared(run)

    async def _smiles_to_structure(self, ask: asks.StructureAsk, _: str | None) -> Prepared:
        return Prepared(lambda: structure_of(ask.smiles, ask.seed))


async def _nothing() -> Answer:
    """Stands where a call is put."""
    raise AssertionError("a call was made that was not prepared")


def _too_many(count: int) -> Refused:
    return Refused([Problem("requests", f"stand for {count} Requests", f"Submit {asks.MOST_REQUESTS} at most at once")])
