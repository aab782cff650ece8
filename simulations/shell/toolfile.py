"""What a tool file says: a program, its typed inputs, its outputs, and what it needs to run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from simulations.shell.arguments import Placeholder, code_argument, placeholders_of
from simulations.shell.fields import Input, Strict, Value

MAX_CORES = 4096
RESERVED_ARTIFACTS = ("stdout", "stderr", "traceback")
RUN_WORDS = ("cores", "ranks", "accelerator")
# What decides which program and which code is run, or belongs to the worker; `search_path` and `library_path` say it
# openly, `cores` gives the numbers of threads.
_FIXED_BY_OTHERS = re.compile(
    r"PATH|HOME|IFS|ENV|BASH_ENV|SHELLOPTS|BASH_FUNC.*|LD_.*|DYLD_.*|PYTHON.*|PERL5?(LIB|OPT)|RUBY(LIB|OPT)|NODE_OPTIONS"
    r"|DIRECTOR_.*|.*_NUM_THREADS|.*_VISIBLE_DEVICES|ZE_AFFINITY_MASK|PMI_.*|PMIX_.*|OMPI_.*|HYDRA?_.*|SLURM_.*|PBS_.*"
)


def _safe_path(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != path or path.startswith("-"):
        raise ValueError(f"{path!r} must be a plain path below the folder, without '..', and not begin with '-'")
    return path


def _absolute(path: str) -> str:
    if not path.startswith("/") or ":" in path:
        raise ValueError(f"{path!r} must be a whole path, without ':'")
    return path


def _variable(name: str) -> str:
    if _FIXED_BY_OTHERS.fullmatch(name):
        raise ValueError(
            f"{name} may not be set: it decides what is run or belongs to the worker. Use search_path, library_path, "
            "cores or ranks"
        )
    return name


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Of a tool, an input, an output, a value: small letters, digits and ``_``."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Argument = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]
SafePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}$"), AfterValidator(_safe_path)
]
Folder = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]+$"), AfterValidator(_absolute)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Variable = Annotated[VariableName, AfterValidator(_variable)]
ExitCode = Annotated[int, Field(ge=0, le=255)]


class Switch(Strict):
    """Arguments that are given only if a boolean input is true."""

    when: Name = Field(description="Name of a boolean input.")
    arguments: list[Argument] = Field(min_length=1, max_length=100, description="What is given if it is true.")


class Output(Strict):
    """A file that the program writes."""

    file: SafePath = Field(description="Where the program writes it, below the folder that it runs in.")
    required: bool = Field(default=True, description="Whether it is an error if the file is not there in the end.")
    description: Text | None = Field(default=None, description="What it holds.")
    result: Literal["json"] | None = Field(default=None, description="json: its values become part of the result.")
    values: dict[Name, Value] = Field(default_factory=dict, description="The values that are taken from it.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.result is None) == bool(self.values):
            raise ValueError("result: json and values belong together: give both, or none of them")
        return self


class Mpi(Strict):
    """How ranks are started."""

    flavour: Literal["mpich", "openmpi", "none"] = Field(
        description="Whose mpiexec starts them: mpich (also that of Intel MPI or MVAPICH), openmpi; none: the program "
        "starts its ranks itself, and learns by {run:ranks} how many."
    )


class ToolFile(Strict):
    """A tool file."""

    name: Name = Field(description="What requests write as tool.")
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$")] = Field(
        description='Your version, in quotation marks: "1".'
    )
    summary: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\r\n]*$")] = Field(
        description="One line for people and agents who choose a tool."
    )
    program: list[Argument] = Field(
        min_length=1,
        max_length=20,
        description="The program, by its name in the worker's search path or by its whole path, and what always "
        "comes first after it.",
    )
    arguments: list[Argument | list[Argument] | Switch] = Field(
        default_factory=list,
        max_length=500,
        description="What follows. A list is left out if an optional input in it was not given.",
    )
    files: dict[Name, SafePath] = Field(
        default_factory=dict, max_length=20, description="Files that ship with the tool, beside the tool file or below."
    )
    inputs: dict[Name, Input] = Field(default_factory=dict, max_length=100, description="Typed inputs.")
    outputs: dict[Name, Output] = Field(default_factory=dict, max_length=100, description="Files that it writes.")
    environment: dict[Variable, Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]] = Field(
        default_factory=dict, max_length=100, description="Variables with fixed values."
    )
    inherit: list[Variable] = Field(
        default_factory=list, max_length=50, description="Further variables that it gets from the worker's environment."
    )
    search_path: list[Folder] = Field(
        default_factory=list, max_length=20, description="Folders that programs are looked for in before all others."
    )
    library_path: list[Folder] = Field(
        default_factory=list, max_length=20, description="Folders that shared libraries are looked for in first."
    )
    cores: int = Field(
        default=1, ge=1, le=MAX_CORES, description="Cores that it uses; with ranks, that each rank uses."
    )
    ranks: int | None = Field(default=None, ge=1, le=MAX_CORES, description="MPI ranks, all on its worker's node.")
    mpi: Mpi | None = Field(default=None, description="How ranks are started; only with ranks.")
    timeout_s: float | None = Field(
        default=None, gt=0, le=31_536_000, description="Longest time that it may run, in s."
    )
    success_exit_codes: list[ExitCode] = Field(
        default_factory=lambda: [0], min_length=1, description="Exit codes that mean success."
    )
    transient_exit_codes: list[ExitCode] = Field(
        default_factory=list, description="Exit codes that mean bad luck: the request is tried again."
    )

    @property
    def needed_cores(self) -> int:
        """How many cores of its worker it uses, with all of its ranks."""
        return self.cores * (self.ranks or 1)

    @property
    def lines(self) -> Iterator[str]:
        """All of its arguments, the program first, whether they are always given or not."""
        yield from self.program
        for item in self.arguments:
            yield from [item] if isinstance(item, str) else item.arguments if isinstance(item, Switch) else item

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_ranks()
        self._check_placeholders()
        self._check_switches()
        self._check_names()
        return self

    def _check_ranks(self) -> None:
        if (self.ranks is None) != (self.mpi is None):
            raise ValueError("ranks and mpi belong together: give both, or cores alone")
        if self.needed_cores > MAX_CORES:
            raise ValueError(f"ranks times cores is {self.needed_cores}; {MAX_CORES} at most")
        both = set(self.success_exit_codes) & set(self.transient_exit_codes)
        if both:
            raise ValueError(f"exit codes {sorted(both)} mean both success and bad luck: leave one of them out")

    def _check_placeholders(self) -> None:
        known: dict[str, Collection[str]] = {"input": self.inputs, "out": self.outputs, "file": self.files}
        known["run"] = RUN_WORDS
        used: set[Placeholder] = set()
        for line in self.lines:
            for found in placeholders_of(line):
                names = known[found.kind]
                if found.name not in names:
                    what = {"input": "input", "out": "output", "file": "file", "run": "word of the run"}[found.kind]
                    raise ValueError(f"{found} names no {what} of this tool; there are: {', '.join(names) or 'none'}")
                if found.kind == "run" and found.name == "ranks" and self.ranks is None:
                    raise ValueError("{run:ranks} needs ranks: give them, or leave it out")
                used.add(found)
        if any(found.kind == "input" for line in self.program for found in placeholders_of(line)):
            raise ValueError("program may hold no input: whoever calls the tool would choose what is run")
        if self.program[0] == "" or any(placeholders_of(self.program[0])):
            raise ValueError(
                "program must begin with a name or a whole path; a script follows it: [python, '{file:x}']"
            )
        unused = set(self.inputs) - {found.name for found in used if found.kind == "input"} - self._switched()
        if unused:
            raise ValueError(f"no argument uses the inputs {', '.join(sorted(unused))}: use them, or leave them out")
        if code_argument(list(self.lines)) is not None:
            raise ValueError(
                "an input stands in an argument that an interpreter reads as code (after -c or -e): its value "
                "would be a program: put the code into a file that ships with the tool, and the value into an argument"
            )

    def _switched(self) -> set[str]:
        return {item.when for item in self.arguments if isinstance(item, Switch)}

    def _check_switches(self) -> None:
        for name in self._switched():
            if name not in self.inputs or self.inputs[name].type != "boolean":
                raise ValueError(f"when: {name} is no boolean input of this tool")
        optional = {name for name, item in self.inputs.items() if getattr(item, "optional", False)}
        for item in self.arguments:
            lines = [item] if isinstance(item, str) else item.arguments if isinstance(item, Switch) else []
            for found in (found for line in lines for found in placeholders_of(line)):
                if found.kind == "input" and found.name in optional:
                    raise ValueError(
                        f"{found} is optional: put it into a list of its own, ['--option', '{found}'], which is left "
                        "out if it is not given"
                    )

    def _check_names(self) -> None:
        given = [item.name for item in self.inputs.values() if item.type == "file" and item.name]
        fixed = [*given, *(PurePosixPath(path).name for path in self.files.values())]
        fixed += [output.file for output in self.outputs.values()]
        twice = [name for name, count in Counter(fixed).items() if count > 1]
        stems = [name for name, item in self.inputs.items() if item.type == "file" and not item.name]
        twice += [name for name in fixed if name.partition(".")[0] in stems]
        if twice:
            raise ValueError(
                f"two files would have the name {twice[0]} in the folder that the program runs in: rename one"
            )
        reserved = [name for name in self.outputs if name in RESERVED_ARTIFACTS]
        if reserved:
            raise ValueError(f"an output may not be called {reserved[0]}: that is an artifact of every program")
        names = Counter(name for output in self.outputs.values() for name in output.values)
        several = [name for name, count in names.items() if count > 1]
        if several:
            raise ValueError(f"the value {several[0]} is taken from two outputs: give one of them another name")
