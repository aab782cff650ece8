"""From what a user wrote to a Request that can travel: files are found, confined and copied; inputs are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from director.door import Problem, Refused, check
from simulations.records import Request, StagedFile
from simulations.tool import AnyTool

UNSTAGED = StagedFile(name="unstaged", sha256="0" * 64)


def prepare(
    requests: Sequence[Request],
    tools: Mapping[str, AnyTool],
    *,
    base: Path,
    confined: bool,
    stage: Callable[[Path], StagedFile] | None,
) -> list[Request]:
    """Checks Requests and copies the files that they name.

    Args:
        requests: Requests whose inputs may name files.
        tools: The installed Tools.
        base: Folder that relative paths start from.
        confined: Whether every file must lie in that folder.
        stage: Copies a file into the run folder. None checks without copying.

    Returns:
        The Requests, complete, with their files.

    Raises:
        Refused: With everything that is wrong with any of them. Nothing has been copied then.
    """
    problems: list[Problem] = []
    found: dict[Path, StagedFile] = {}
    paths: list[dict[str, Path]] = []
    for index, request in enumerate(requests):
        try:
            mine = _files(request, tools, base, confined)
            check(request.model_copy(update={"files": dict.fromkeys(mine, UNSTAGED) | request.files}), tools)
        except Refused as refusal:
            problems += [problem.within(f"requests[{index}]") for problem in refusal.problems]
        else:
            paths.append(mine)
    if problems:
        raise Refused(problems)
    if stage is not None:
        found = {path: stage(path) for path in {path for mine in paths for path in mine.values()}}
    return [
        request.model_copy(
            update={"files": request.files | {name: found[path] for name, path in mine.items() if found}}
        )
        for request, mine in zip(requests, paths, strict=True)
    ]


def _files(request: Request, tools: Mapping[str, AnyTool], base: Path, confined: bool) -> dict[str, Path]:
    """Paths of the files that a Request's inputs name and that are not staged yet."""
    if request.tool not in tools:
        return {}
    paths = {}
    for field, shipped in tools[request.tool].file_inputs().items():
        value = request.inputs.get(field)
        if isinstance(value, str) and value not in shipped and field not in request.files:
            paths[field] = _path(f"inputs.{field}", value, shipped, base, confined)
    return paths


def _path(where: str, value: str, shipped: list[str], base: Path, confined: bool) -> Path:
    folder = base.resolve()
    path = (folder / value).resolve()
    if confined and not path.is_relative_to(folder):
        hint = "Put the file beside the batch file, or in a folder below it"
        raise Refused([Problem(where, f"{value!r} lies outside of the batch file's folder {folder}", hint)])
    names = f", or give the name of one that ships: {', '.join(shipped)}" if shipped else ""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise Refused([Problem(where, f"{value!r} {what} (looked for {path})", f"Correct the path{names}")])
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise Refused([Problem(where, f"{path} cannot be read ({error.strerror})", "Check its permissions")]) from None
    if empty:
        raise Refused([Problem(where, f"{path} is empty", f"Correct the path{names}")])
    return path
