"""How agents find a run's services: their base URLs, models and keys, as they are now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from director.door import Problem, Refused
from director.service_partition.state import ServicesFolder, ServiceState, key_of, log_tail

POLL_S = 0.2


class ServiceUnavailable(RuntimeError):  # noqa: N818  (what it is)
    """A service is not up, and will not be. The message says why, with the end of what it has printed."""


class Service:
    """A service of a run, as agents see it.

    What it says is read anew each time, so that a server is found that was started again.

    Args:
        folder: The services' folder.
        name: Its name.
    """

    def __init__(self, folder: ServicesFolder, name: str) -> None:
        self._folder = folder
        self.name = name

    @property
    def state(self) -> ServiceState:
        """How it is.

        Raises:
            ServiceUnavailable: If nothing is written down of it.
        """
        found = self._folder.read(self.name)
        if found is None:
            raise ServiceUnavailable(f"service {self.name!r} has not been started yet")
        return found

    @property
    def base_urls(self) -> list[str]:
        """Where its servers are that are up. Of several, agents use them in turn."""
        servers = self.state.servers
        return [server.base_url for server in servers if server.base_url and server.state in ("up", "unwell")]

    @property
    def base_url(self) -> str:
        """Where the first of its servers is that is up, such as ``http://10.0.0.4:8000/v1``.

        Raises:
            ServiceUnavailable: If none is.
        """
        return self.base_url_for(0)

    def base_url_for(self, agent: int) -> str:
        """Where the server is that an agent is to use: several agents share the servers that are up.

        Args:
            agent: Counts the agents, from 0.

        Raises:
            ServiceUnavailable: If no server is up.
        """
        urls = self.base_urls
        if not urls:
            raise ServiceUnavailable(self.trouble())
        return urls[agent % len(urls)]

    @property
    def model(self) -> str | None:
        """The model to ask for; None while that is not known."""
        return self.state.model

    @property
    def key_file(self) -> Path | None:
        """The file with its API key, which only the owner can read; None if it asks for none."""
        state = self.state
        return self._folder.run / state.key_file if state.key_file else None

    @property
    def key(self) -> str | None:
        """Its API key; None if it asks for none.

        Raises:
            ServiceUnavailable: If the run has ended, and the key with it.
        """
        path = self.key_file
        try:
            return key_of(path) if path is not None else None
        except OSError as error:
            raise ServiceUnavailable(f"service {self.name!r} has ended: its API key is gone ({error})") from None

    def until_up(self, timeout_s: float, *, poll_s: float = POLL_S) -> ServiceState:
        """Waits until it is up. Blocks.

        Args:
            timeout_s: How long, at most, in s.
            poll_s: How often to look, in s.

        Raises:
            ServiceUnavailable: If it has failed or ended, or is not up in time.
        """
        give_up = time.monotonic() + timeout_s
        while True:
            found = self._folder.read(self.name)
            if found is not None and found.state == "up":
                return found
            if found is not None and found.state in ("failed", "stopped"):
                raise ServiceUnavailable(self.trouble())
            if time.monotonic() > give_up:
                raise ServiceUnavailable(f"it took longer than {timeout_s:g} s. {self.trouble()}")
            time.sleep(poll_s)

    def variables(self) -> dict[str, str]:
        """The environment variables by which agents find a language model; its key is named by its file.

        Raises:
            ServiceUnavailable: If it is not up.
        """
        found = {"DIRECTOR_LLM_BASE_URL": self.base_url}
        if (model := self.model) is not None:
            found["DIRECTOR_LLM_MODEL"] = model
        if (path := self.key_file) is not None:
            found["DIRECTOR_LLM_API_KEY_FILE"] = str(path)
        return found

    def trouble(self) -> str:
        """Why it is not up, with the end of what its first server that is not has printed."""
        found = self._folder.read(self.name)
        if found is None:
            return f"service {self.name!r} has not been started"
        lines = [f"service {self.name!r} is {found.state}"]
        for rank, server in enumerate(found.servers):
            if server.state != "up":
                lines[0] += f" on {server.node}: {server.reason or server.state}"
                tail = log_tail(self._folder.log(self.name, rank))
                if tail:
                    lines.append(f"The end of {self._folder.run / server.log}:\n{tail}")
                break
        return ". ".join(lines)


class Services(Mapping[str, Service]):
    """The services of a run, by name.

    Args:
        folder: Their folder.
        names: Their names.
    """

    def __init__(self, folder: ServicesFolder, names: tuple[str, ...]) -> None:
        self._found = {name: Service(folder, name) for name in names}

    def __getitem__(self, name: str) -> Service:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @classmethod
    def none(cls) -> Services:
        """Those of a run that has none."""
        return cls(ServicesFolder(Path()), ())

    def named(self, name: str) -> Service:
        """A service by its name.

        Raises:
            Refused: If the run has none of that name.
        """
        if name not in self._found:
            known = ", ".join(self._found) or "none"
            hint = "Add it to services where the run is launched"
            raise Refused([Problem("service", f"{name!r} is no service of this run, which has {known}", hint)])
        return self._found[name]


def find_services(run_folder: Path, names: Sequence[str] | None = None) -> Services:
    """The services of a run that is open, or was.

    Args:
        run_folder: The run folder.
        names: Their names; None: those of which something is written down.
    """
    folder = ServicesFolder(run_folder.resolve())
    return Services(folder, tuple(folder.names() if names is None else names))
