"""All of Globus Compute on this machine, for tests: the real SDK, broker, endpoint and scheduler, in a cluster.

Only the cloud service is a stand-in, `compute_service`. Everything runs in the login host of a `Cluster`, whose
loopback it has for itself, and ends with it. The endpoint and the laptop belong to two ordinary users.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.machine import SEARCH_PATH, ClusterError
from tests.cluster.namespaces import HostProcess, child_pids, pids_naming, read
from tests.globus import accounts
from tests.globus.accounts import Account
from tests.globus.broker import Broker
from tests.globus.compute_service import web
from tests.globus.daemon import Daemon, DaemonError

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
ENDPOINT_NAME = "hpc"
FACILITY_UID, LAPTOP_UID = 20_001, 20_002
START_S = 60.0
STOP_S = 40.0
LOG_CHARACTERS = 3000
USER_ENDPOINT_MARK = "_start-user-endpoint"


class Stack:
    """Broker, service, and an endpoint that is online.

    Args:
        folder: An empty or new folder for all that is written.
        configure: Writes the endpoint's folder, into a folder that is not there yet.
        nodes: How many nodes the cluster has.
        slurm: Whether Slurm runs on them.

    Attributes:
        cluster: The hosts.
        broker: RabbitMQ.
        service: The web service.
        facility: The user who runs the endpoint, and to whom the jobs belong.
        laptop: The user who submits.
        endpoint_id: The endpoint's id.
    """

    def __init__(
        self, folder: Path, configure: Callable[[Path], object], *, nodes: int = 1, slurm: bool = False
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.facility = Account("facility", FACILITY_UID, self.folder / "home" / "facility")
        self.laptop = Account("laptop", LAPTOP_UID, self.folder / "home" / "laptop")
        self._lists = self.folder / "accounts"
        laid = accounts.covers([*accounts.needed(), self.folder], self._permissions, Path.iterdir)
        setup = accounts.script(laid, self._lists)
        self.cluster = Cluster(self.folder / "c", nodes=nodes, slurm=slurm, pbs=False, setup=setup)
        self._configure = configure
        self._slurm = slurm
        self._client = {"id": str(uuid.uuid4()), "secret": secrets.token_urlsafe(24)}
        self._endpoint: HostProcess | None = None
        self.endpoint_id = ""
        self.broker: Broker
        self.service: Daemon

    def __enter__(self) -> Stack:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def endpoint_folder(self) -> Path:
        """The folder that the endpoint was started from."""
        return self.facility.home / ".globus_compute" / ENDPOINT_NAME

    def up(self) -> None:
        """Starts everything, and returns when the endpoint takes commands.

        Raises:
            ClusterError: If there can be no cluster on this machine. It says what is missing.
            DaemonError: If something does not start. It tells what it printed.
        """
        try:
            self._prepare()
            self.cluster.up()
            for daemon in (self.broker, self.service):
                daemon.launch()
            for daemon in (self.broker, self.service):
                daemon.await_ready()
            self.start_endpoint()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Ends everything. May be called twice.

        Raises:
            ClusterError: If something is left.
        """
        self.cluster.down()
        self._endpoint = None

    def leftovers(self) -> list[str]:
        """What there is of it on this machine, outside of its folder. Empty when it is down."""
        text = str(self.folder)
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *(f"process {pid}: {read(pid, 'cmdline')}" for pid in pids_naming(text)),
            *(f"mount: {line}" for line in mounts if text in line),
        ]

    def environment(self, account: Account, home: Path | None = None) -> dict[str, str]:
        """All that a command of a user finds in its environment.

        The last four are what the unmodified SDK and endpoint need to use this service instead of the real one.
        """
        return {
            **account.environment(home),
            "PATH": f"{BIN}:{SEARCH_PATH}",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.folder / "tmp"),  # what killed processes leave there goes with the stack
            "GLOBUS_COMPUTE_CLIENT_ID": self._client["id"],
            "GLOBUS_COMPUTE_CLIENT_SECRET": self._client["secret"],
            "GLOBUS_SDK_SERVICE_URL_AUTH": f"http://{web.HOST}:{web.PORT}/",
            "GLOBUS_SDK_ENVIRONMENT": "local",
        }

    def as_user(
        self,
        command: Sequence[str],
        *,
        account: Account | None = None,
        home: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 120.0,
        check: bool = True,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the login host as a user, and waits for it.

        Args:
            command: Program and arguments.
            account: The user; by default who has the laptop.
            home: Another home folder than the user's; see `home`.
            environment: What to add to the environment.
            timeout_s: How long it may take; then it is killed.
            check: Whether it must succeed.
            cwd: Where it runs; by default in the home folder.

        Raises:
            CommandError: If it fails although it must not, or takes too long. It tells what the command printed.
        """
        who = account or self.laptop
        return self.cluster.run(
            "login",
            [*who.become(), *command],
            environment={**self.environment(who, home), **(environment or {})},
            inherit=False,
            timeout_s=timeout_s,
            check=check,
            cwd=cwd or home or who.home,
        )

    def popen_as_user(
        self,
        command: Sequence[str],
        *,
        account: Account | None = None,
        home: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.DEVNULL,
        stderr: int | None = subprocess.DEVNULL,
    ) -> HostProcess:
        """Starts a command in the login host as a user. See `as_user`, and `HostProcess` for signals to it."""
        who = account or self.laptop
        return self.cluster.popen(
            "login",
            [*who.become(), *command],
            environment={**self.environment(who, home), **(environment or {})},
            inherit=False,
            cwd=cwd or home or who.home,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def home(self, name: str, account: Account | None = None) -> Path:
        """A new, empty home folder of a user; by default of who has the laptop."""
        who = account or self.laptop
        made = self.folder / "home" / name
        made.mkdir(mode=0o700)
        os.chown(made, who.uid, who.uid)
        return made

    def start_endpoint(self) -> None:
        """Starts the endpoint's daemon, and returns when it takes commands.

        Raises:
            DaemonError: If it ends, or takes too long. It tells what it printed.
        """
        if self._endpoint is not None:
            raise DaemonError("the endpoint runs already")
        # One that was killed leaves this file, and the next refuses to start until it is three heartbeats old.
        (self.endpoint_folder / "daemon.pid").unlink(missing_ok=True)
        before = len(self.events("heartbeat"))
        with (self.folder / "endpoint.out").open("a") as stream:
            self._endpoint = self.popen_as_user(
                [str(BIN / "globus-compute-endpoint"), "start", ENDPOINT_NAME],
                account=self.facility,
                stdout=stream.fileno(),
                stderr=stream.fileno(),
            )
        give_up = time.monotonic() + START_S
        while not self._heard_of_endpoint(before):  # it says so after it has found out whose commands it takes
            if self._endpoint.poll() is not None:
                self._endpoint = None
                raise DaemonError(f"the endpoint ended:\n{self.log()}")
            if time.monotonic() > give_up:
                raise DaemonError(f"the endpoint is not online after {START_S:g} s:\n{self.log()}")
            time.sleep(0.05)

    def stop_endpoint(self) -> None:
        """Asks the endpoint's daemon to end, and returns when it has. Its user endpoints end with it."""
        self.kill_endpoint(signal.SIGTERM)

    def kill_endpoint(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signals the endpoint's daemon, not its children, and returns when it has ended."""
        if self._endpoint is None or (pid := self._endpoint.leader()) is None:
            raise DaemonError("the endpoint does not run")
        os.kill(pid, sig)
        self._endpoint.wait(STOP_S)
        self._endpoint = None

    def renew_endpoint(self) -> None:
        """Kills whatever the endpoint's user has running, cancels the jobs, and starts the endpoint anew."""
        if self._endpoint is not None:
            self.kill_endpoint()
        give_up = time.monotonic() + STOP_S
        while left := self._all_of_facility():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._slurm:
                self.cluster.run("login", ["scancel", f"--user={self.facility.name}"])
            if time.monotonic() > give_up:
                raise DaemonError(f"the endpoint's user still has {left}")
            time.sleep(0.1)
        for file in self.endpoint_folder.parent.glob("*/daemon.pid"):
            file.unlink()
        self.start_endpoint()

    def user_endpoint_pids(self) -> list[int]:
        """The user endpoints' processes, by the ids that they have outside of the host."""
        found = self.cluster.pids("login", USER_ENDPOINT_MARK)
        return [pid for pid in found if _parent(pid) not in found]  # they fork children that look like them

    def signal_user_endpoint(self, sig: signal.Signals) -> list[int]:
        """Signals all user endpoints, not their children, and returns their process ids."""
        pids = self.user_endpoint_pids()
        if not pids:
            raise DaemonError("there is no user endpoint")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        return pids

    def kill_user_endpoint(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signals all user endpoints, not their children, and returns when the endpoint's daemon knows that they ended.

        A submission that comes before would start none: the daemon says that it runs already. After a signal that they
        obey, the daemon starts each again by itself for which it has had a submission while it ran.
        """
        self._await_ended(self.signal_user_endpoint(sig))

    def await_user_endpoints_ended(self) -> None:
        """Waits until all user endpoints that there are now have ended, and the endpoint's daemon knows it."""
        daemon = self._endpoint.leader() if self._endpoint is not None else None
        self._await_ended(child_pids(daemon) if daemon is not None else self.user_endpoint_pids())

    def _await_ended(self, pids: Sequence[int]) -> None:
        give_up = time.monotonic() + STOP_S
        while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:  # until their parent has asked for them
            if time.monotonic() > give_up:
                raise DaemonError(f"user endpoints {left} have not ended after {STOP_S:g} s:\n{self.log()}")
            time.sleep(0.02)

    def facility_processes(self, host: str = "login") -> dict[int, str]:
        """Command lines of the processes of the user who runs the endpoint, on a host, by their ids outside of it."""
        found = {}
        for pid in self.cluster.pids(host):
            words = [line for line in read(pid, "status").splitlines() if line.startswith("Uid:")]
            if words and words[0].split()[1] == str(self.facility.uid):
                found[pid] = read(pid, "cmdline").strip()
        return found

    def jobs(self) -> list[tuple[str, int]]:
        """State and number of nodes of each of the user's jobs that have not ended."""
        shown = self.cluster.run("login", ["squeue", "--noheader", f"--user={self.facility.name}", "--format=%T %D"])
        return [(state, int(nodes)) for state, nodes in map(str.split, shown.stdout.splitlines())]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the service has taken down, of one kind or all: requests, submissions, results, heartbeats …"""
        file = self.folder / "service" / "events.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if kind in (None, event["kind"])]

    def log(self) -> str:
        """The end of everything that was printed or logged, for messages of failed tests."""
        home = self.facility.home / ".globus_compute"
        files = [self.folder / "endpoint.out", *sorted(home.glob("*/*.log")), *sorted(home.glob("*/submit_scripts/*"))]
        parts = [f"--- {file.relative_to(self.folder)}\n{_tail(file)}" for file in files if file.is_file()]
        daemons = [f"--- {daemon.name}\n{daemon.tail(LOG_CHARACTERS)}" for daemon in (self.broker, self.service)]
        events = [json.dumps(event) for event in self.events() if event["kind"] != "request"]
        return "\n".join([*daemons, "--- queues", self._queues(), "--- events", *events[-30:], *parts])

    def _queues(self) -> str:
        try:
            return self.broker.queues("messages_ready", "messages_unacknowledged", "consumers")
        except ClusterError as error:
            return str(error)

    def _permissions(self, path: Path) -> int:
        """Those of a folder; none for those in which pytest made ours, for it closes them again and again."""
        temporary = Path(tempfile.gettempdir()).resolve()
        if path in self.folder.parents and temporary in path.parents:
            return 0
        return accounts.permissions(path)

    def _prepare(self) -> None:
        self._lists.mkdir()
        accounts.write_lists((self.facility, self.laptop), self._lists)
        for name in ("broker", "service", "home"):
            (self.folder / name).mkdir()
        (self.folder / "tmp").mkdir()
        (self.folder / "tmp").chmod(0o1777)
        for account in (self.facility, self.laptop):
            self.home(account.home.name, account)
        self.broker = Broker(self.cluster, self.folder / "broker")
        state = self.folder / "service"
        state.chmod(0o700)
        (state / "clients.json").write_text(json.dumps({self._client["id"]: self._client["secret"]}))
        command = [sys.executable, "-m", "compute_service", str(state)]
        self.service = Daemon(self.cluster, "the service", command, web.PORT, self.folder / "service.out", cwd=HERE)
        self.endpoint_folder.parent.mkdir(mode=0o700)
        self._configure(self.endpoint_folder)
        for path in self.facility.home.rglob("*"):
            shutil.chown(path, self.facility.uid, self.facility.uid)

    def _all_of_facility(self) -> list[int]:
        hosts = [name for name in ("login", *self.cluster.nodes) if name == "login" or self.cluster.node_up(name)]
        return [pid for host in hosts for pid in self.facility_processes(host)]

    def _heard_of_endpoint(self, before: int) -> bool:
        file = self.endpoint_folder / "endpoint.json"
        if not file.exists() or not (text := file.read_text()):
            return False
        self.endpoint_id = json.loads(text)["endpoint_id"]
        return any(event["endpoint"] == self.endpoint_id for event in self.events("heartbeat")[before:])


def _parent(pid: int) -> int:
    words = read(pid, "stat").rpartition(")")[2].split()
    return int(words[1]) if len(words) > 1 else 0


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-LOG_CHARACTERS:]
