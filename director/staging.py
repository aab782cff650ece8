"""From what a user wrote to a Request that can travel: files are found, confined and copied; inputs are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from director.door import Checked, Problem, Refused, check
from simulations.records import Request, StagedFile
from simulations.tool import AnyTool, request_key

UNSTAGED = StagedFile(name="unstaged", sha256="0" * 64)


@dataclass(frozen=True)
class Ready:
    """A Request that can be handed over.

    Attributes:
        request: The Request, complete, with its files.
        key: Its key, by the Tools that are installed here.
    """

    request: Request
    key: str

    def named(self, name: str) -> Ready:
        """The same with another id."""
        return replace(self, request=self.request.model_copy(update={"id": name}))


def prepare(
    requests: Sequence[Request],
    tools: Mapping[str, AnyTool],
    *,
    base: Path,
    confined: bool,
    stage: Callable[[Path], StagedFile] | None,
) -> list[Ready]:
    """Checks Requests and copies the files that they name.

    Args:
        requests: Requests whose inputs may name files.
        tools: The installed Tools.
        base: Folder that relative paths start from.
        confined: Whether every file must lie in that folder.
        stage: Copies a file into the run folder. None checks without copying; the keys of Requests that name files
            are not theirs then.

    Returns:
        The Requests, complete, with their files.

    Raises:
        Refused: With everything that is wrong with any of them. Nothing has been copied then.
    """
    problems: list[Problem] = []
    found: dict[Path, StagedFile] = {}
    passed: list[tuple[dict[str, Path], Checked]] = []
    for index, request in enumerate(requests):
        try:
            mine = _files(request, tools, base, confined)
            files = dict.fromkeys(mine, UNSTAGED) | request.files if mine else request.files
            passed.append((mine, check(request.model_copy(update={"files": files}) if mine else request, tools)))
        except Refused as refusal:
            problems += [problem.within(f"requests[{index}]") for problem in refusal.problems]
    if problems:
        raise Refused(problems)
    if stage is not None:
        found = {path: stage(path) for path in {path for mine, _ in passed for path in mine.values()}}
    return [
        _ready(request, {name: found[path] for name, path in mine.items() if found}, checked)
        for request, (mine, checked) in zip(requests, passed, strict=True)
    ]


def _ready(request: Request, staged: Mapping[str, StagedFile], checked: Checked) -> Ready:
    if not staged:
        return Ready(request, checked.key)
    files = {**request.files, **staged}
    return Ready(request.model_copy(update={"files": files}), request_key(checked.tool, checked.request.inputs, files))


def _files(request: Request, tools: Mapping[str, AnyTool], base: Path, confined: bool) -> dict[str, Path]:
    """Paths of the files that a Request's inputs name and that are not staged yet."""
    if request.tool not in tools:
        return {}
    paths = {}
    for field, shipped in tools[request.tool].file_inputs.items():
        value = request.inputs.get(field)
        if isinstance(value, str) and value not in shipped and field not in request.files:
            paths[field] = _path(f"inputs.{field}", value, shipped, base, confined)
    return paths


def _path(where: str, value: str, shipped: Sequence[str], base: Path, confined: bool) -> Path:
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
