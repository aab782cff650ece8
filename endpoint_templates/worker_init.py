"""What the job's script does before the worker pool starts: a pure function from values to shell text.

It works under ``sh`` and ``bash``. All values are those of the installer; what a submitter gives never comes here.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

ENDS = "md_director_ends"  # a function of the shell text: says why, to whoever submitted, and ends the job
JINJA_MARKS = ("{{", "{%", "{#")

# What the endpoint's documentation names. The pattern finds those that are named like them.
SECRETS = (
    "GLOBUS_COMPUTE_CLIENT_ID",
    "GLOBUS_COMPUTE_CLIENT_SECRET",
    "FUNCX_SDK_CLIENT_ID",
    "FUNCX_SDK_CLIENT_SECRET",
)
SECRETS_PATTERN = "^(GLOBUS|FUNCX)_[A-Z0-9_]*(SECRET|TOKEN|PASSWORD|CLIENT_ID)[A-Z0-9_]*="


def worker_init(values: Mapping[str, Any], variables: Sequence[tuple[str, str]] = ()) -> str:
    """The shell text.

    Args:
        values: Parameters of a template, complete as far as the installer sets them.
        variables: What the facility wants in the environment.
    """
    lines = [
        f'{ENDS}() {{ echo "md-director: on $(uname -n), $1" >&2; exit 1; }}',
        *_forget_secrets(),
        *_modules(values.get("module_paths", []), values.get("modules", [])),
        *_environment(values["environment"], values["environment_kind"]),
        *(f"export {name}={shlex.quote(value)}" for name, value in variables),
    ]
    if values.get("run_root") is not None:
        lines.append(f"export DIRECTOR_RUN_ROOT={shlex.quote(values['run_root'])}")
    text = "\n".join(lines)
    if any(mark in text for mark in JINJA_MARKS):
        raise ValueError(f"the shell text would be read as Jinja: {text}")
    return text


def _forget_secrets() -> list[str]:
    return [
        "# Simulations need none of the endpoint's secrets.",
        f"unset {' '.join(SECRETS)}",
        f"for secret in $(env | grep -E '{SECRETS_PATTERN}' | cut -d= -f1); do unset \"$secret\"; done",
    ]


def _modules(paths: Sequence[str], names: Sequence[str]) -> list[str]:
    if not paths and not names:
        return []
    return [
        "# A job's shell is not always a login shell, which is where modules are set up.",
        "if ! command -v module >/dev/null 2>&1 && [ -r /etc/profile ]; then . /etc/profile; fi",
        *(f"module use {shlex.quote(path)}" for path in paths),
        *(
            f"module load {shlex.quote(name)} || {ENDS} {shlex.quote(f'the module {name} cannot be loaded')}"
            for name in names
        ),
    ]


def _environment(folder: str, kind: str) -> list[str]:
    command = f"{folder}/bin/globus-compute-endpoint"
    missing = f"{command} is not there: correct environment or install md-director there"
    if kind == "venv":
        active = [f". {shlex.quote(f'{folder}/bin/activate')}"]
    else:
        # What `conda activate` does, without the need to find conda.
        active = [
            f"export CONDA_PREFIX={shlex.quote(folder)} CONDA_DEFAULT_ENV={shlex.quote(folder)}",
            f"for script in {shlex.quote(f'{folder}/etc/conda/activate.d')}/*.sh; do",
            '  if [ -r "$script" ]; then . "$script"; fi',
            "done",
        ]
    return [
        f"[ -x {shlex.quote(command)} ] || {ENDS} {shlex.quote(missing)}",
        *active,
        f'export PATH={shlex.quote(f"{folder}/bin")}:"$PATH"',
    ]
