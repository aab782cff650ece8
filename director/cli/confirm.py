"""``director confirm``: a person says whether a call of an agent may be made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from director.cli.console import JsonOption, emit, endings
from director.cli.target import RunArgument, find_target
from director.door import Problem, Refused

StateOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the log of what agents do, of questions to you, and of tokens. "
        "Default: agents in the run folder, or in the run store if the run is elsewhere."
    ),
]


def confirm(
    run: RunArgument,
    call: Annotated[str | None, typer.Argument(help="Which call, or how its name begins; none: list them.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The call may be made.")] = False,
    no: Annotated[bool, typer.Option("--no", help="The call is refused.")] = False,
    note: Annotated[str, typer.Option(help="What the agent is told beside that.")] = "",
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a call of an agent may be made that waits for you, or list the calls that do."""
    from director.interfaces.confirming import Answer, Questions
    from director.interfaces.guarded import STATE
    from director.interfaces.guarding import QUESTIONS

    with endings(as_json):
        if (yes and no) or (call is None) == (yes or no):
            message = "one of --yes and --no goes with a call, and none without one"
            raise Refused([Problem("CALL", message, "List the calls that wait: director confirm RUN")])
        folder = state or _state_folder(run, STATE)
        questions = Questions(folder / QUESTIONS)
        waiting = questions.waiting()
        if call is None:
            _list(waiting, as_json)
            return
        found = [question.call for question in waiting if question.call.startswith(call)]
        if len(found) != 1:
            message = f"{call!r} is {'none' if not found else 'more than one'} of the {len(waiting)} that wait"
            raise Refused([Problem("CALL", message, f"List them: director confirm {run}")])
        questions.answer(found[0], Answer(allow=yes, note=note, by="a person, by `director confirm`"))
        emit({"call": found[0], "allow": yes} if as_json else f"{found[0]} {'may be made' if yes else 'is refused'}")


def _state_folder(run: str, name: str) -> Path:
    target = find_target(run, None, None)
    folder = target.folder or target.store.folder(target.run_id)
    return folder.path / name


def _list(waiting: list[Any], as_json: bool) -> None:
    from director.report.values import clean

    if as_json:
        emit({"waiting": [question.model_dump(mode="json") for question in waiting]})
        return
    for question in waiting:
        # What an agent wrote is shown to a terminal.
        sys.stdout.write(f"{question.call}  {clean(question.agent, 64)} wants to call {clean(question.tool, 200)}\n")
        sys.stdout.write(f"  with {clean(question.arguments, 2000)}\n")
        sys.stdout.write(f"  why: {clean(question.why, 2000) if question.why else '(no reason given)'}\n")
        sys.stdout.write(f"  until {question.until.astimezone():%H:%M:%S}, then it is refused\n")
    if not waiting:
        emit("no call waits for you")
