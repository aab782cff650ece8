"""An endpoint's engine on this machine: from the same template as an endpoint's, without login and service."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import endpoint_templates
from director.door import Problem, Refused
from director.sites.engine_messages import Begin, Submit
from director.sites.engine_process import EngineFolder, EngineProcess
from director.spec import DirectorSpec
from endpoint_templates import Template, TemplateError
from endpoint_templates.options import checked
from endpoint_templates.worker_init import SECRETS, SECRETS_PATTERN

COMMAND = "globus-compute-endpoint"


class EmbeddedDirector:
    """A Director that an engine runs.

    Attributes:
        task_id: Names its task.
        ended: Done when the Director has ended, with its summary. It never holds an exception.
    """

    def __init__(self, spec: DirectorSpec, engine: EngineProcess) -> None:
        self.spec = spec
        self.task_id = uuid.uuid4()
        self._engine = engine
        task = Submit(task_id=self.task_id, spec=spec.model_dump_json(), client_version=version("md-director"))
        self.ended: Future[dict[str, Any]] = engine.submit(task, spec.index)

    def let_go(self) -> None:
        """Lets it end. It is asked over the exchange; when all of an engine's are let go, that ends a little later."""
        self._engine.let_go(self.task_id)

    def kill(self) -> None:
        """Kills it if it is on this machine; when all of an engine's are killed, that ends too, and so does the job."""
        self._engine.kill(self.task_id)


class EmbeddedSite:
    """An engine of Globus Compute that this client starts, from an endpoint's template.

    It is started with the first Director, in a process of its own, and once more if it is gone when one is launched.

    Args:
        template: Name of the template.
        given: What an installer would have set; without ``environment``, it is the one that this Python runs in.
        options: What would be submitted, such as ``directors`` and ``nodes``.
        run_dir: Folder of the run, in which the engine has its files; for a batch job, one that its nodes see. None: a
            temporary folder.
        environment: The environment of the engine; None: that of this process. Globus' secrets are left out.

    Raises:
        Refused: If a template, value or option is not accepted.
    """

    elsewhere = True
    shares_files = True

    def __init__(
        self,
        template: str,
        given: Mapping[str, Any],
        options: Mapping[str, Any],
        run_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with _refusing():
            found = endpoint_templates.find(template)
            given = (this_environment() if "environment" not in given else {}) | dict(given)
            self._begin = _begin(found, given, options)
        if run_dir is None and found.scheduler != "local":
            message = "is not given, and the job's nodes must see the engine's files"
            raise Refused([Problem("run-dir", message, "Name a folder on a file system that all nodes share")])
        self._places = int(
            self._begin.options.get("directors", self._begin.rules["properties"]["directors"]["default"])
        )
        self._run_dir = None if run_dir is None else run_dir.absolute()
        inherited = os.environ if environment is None else environment
        self._environment = engine_environment(inherited, Path(given["environment"]))
        self._engines: list[EngineProcess] = []
        self._lock = threading.Lock()

    def launch(self, spec: DirectorSpec) -> EmbeddedDirector:
        """See `Site.launch`.

        Raises:
            Refused: If the engine has no room for it.
            OSError: If the engine's process cannot be started.
        """
        with self._lock:
            if not self._engines or self._engines[-1].over:
                self._engines.append(EngineProcess(self._begin, self._folder(), self._environment))
            engine = self._engines[-1]
            if engine.running >= self._places:
                message = f"Director {spec.index} finds no place: the engine is for {self._places}"
                raise Refused([Problem("directors", message, f"Give directors={engine.running + 1}")])
            return EmbeddedDirector(spec, engine)

    def close(self) -> None:
        """Ends the engine and all that it has started, within a few seconds. May be called twice."""
        with self._lock:
            for engine in self._engines:
                engine.close()

    def _folder(self) -> EngineFolder:
        if self._run_dir is None:
            return EngineFolder(Path(tempfile.mkdtemp(prefix="md-director-engine-")), temporary=True)
        engines = self._run_dir / "engine"
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        engines.mkdir(exist_ok=True, mode=0o700)
        return EngineFolder(_numbered(engines), temporary=False)


def _begin(template: Template, given: Mapping[str, Any], options: Mapping[str, Any]) -> Begin:
    """What the engine's process is told; everything in it has been checked.

    Raises:
        TemplateError: If a value is missing or not accepted.
    """
    text, rules = template.text(given), template.schema(given)
    submitted = {name: value for name, value in options.items() if value is not None}
    taken = checked({**given, **submitted}, template.parameters, template.facility)
    for name in submitted:
        if name not in rules["properties"]:
            hint = f"Give it as an endpoint's installer would. Options: {', '.join(rules['properties'])}"
            raise TemplateError(name, "is no option of a submission", hint)
    for name in rules["required"]:
        if name not in submitted:
            raise TemplateError(name, "is required but was not given", rules["properties"][name]["description"])
    return Begin(template=text, rules=rules, options={name: taken[name] for name in submitted})


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        raise Refused([Problem(error.where, error.message, error.hint)]) from None


def this_environment() -> dict[str, str]:
    """The environment that this Python runs in, as a template's parameters.

    Raises:
        TemplateError: If it has no endpoint.
    """
    hint = f"Install {COMMAND} into it, or name another environment that has it: environment=/path"
    if importlib.util.find_spec("globus_compute_endpoint") is None:
        raise TemplateError("environment", f"{sys.executable} has no {COMMAND}", hint)
    folders = dict.fromkeys((Path(sys.prefix) / "bin", Path(sysconfig.get_path("scripts"))))
    for folder in folders:
        if os.access(folder / COMMAND, os.X_OK):
            # What is done for conda suits every folder of programs: it comes first in PATH.
            kind = "venv" if (folder / "activate").is_file() and sys.prefix != sys.base_prefix else "conda"
            return {"environment": str(folder.parent), "environment_kind": kind}
    raise TemplateError("environment", f"{COMMAND} is not in {' or '.join(map(str, folders))}", hint)


def engine_environment(inherited: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of an engine: finds the commands of its Python environment, and knows no secrets of Globus.

    Args:
        inherited: What it is made from.
        folder: Of the Python environment.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in SECRETS and not re.match(SECRETS_PATTERN, f"{name}=")
    }
    return kept | {"PATH": f"{folder / 'bin'}{os.pathsep}{inherited.get('PATH', os.defpath)}"}


def _numbered(parent: Path) -> Path:
    """Makes the next folder."""
    for number in count(1):
        folder = parent / str(number)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise AssertionError
