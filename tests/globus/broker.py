"""RabbitMQ in the login host of a cluster, on the loopback interface there and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.machine import SEARCH_PATH
from tests.globus.daemon import Daemon, DaemonError

PORT = 5672
DISTRIBUTION_PORT = 25672
# Debian's wrapper becomes the user rabbitmq and works in that user's folders: this is what it runs.
SERVER = "rabbitmq-server"
PROGRAMS = "/usr/lib/rabbitmq/bin"
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
_LEAVES_PROCESSORS_TO_OTHERS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
_CONFIGURATION = f"""\
listeners.tcp.local = 127.0.0.1:{PORT}
loopback_users.guest = true
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""


class Broker(Daemon):
    """The broker. Its durable queues, and what is in them, survive its restart, and its end by SIGKILL.

    Args:
        cluster: Where it runs.
        folder: An empty folder for all that it writes.

    Raises:
        DaemonError: If it is not installed.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        if not shutil.which(SERVER, path=PROGRAMS):
            raise DaemonError(
                "the broker of the tests' Globus Compute service needs a Debian package that is not installed: "
                "rabbitmq-server. apt-get install rabbitmq-server"
            )
        (folder / "home").mkdir(mode=0o700)
        (folder / "rabbitmq.conf").write_text(_CONFIGURATION)
        (folder / "plugins").write_text("[].\n")
        environment = _environment(folder)
        command = [f"{PROGRAMS}/{SERVER}"]
        super().__init__(cluster, "the broker", command, PORT, folder / "broker.log", environment=environment)
        self._variables = environment

    def kill(self) -> None:
        """Ends it at once, but for the queues of the last moments, which it would lose: those it writes first."""
        self._control("eval", "mnesia:sync_log().")
        super().kill()

    def unacknowledged(self) -> dict[str, int]:
        """How many messages each queue's reader has and has not acknowledged, for queues that have such."""
        counts = (line.split() for line in self.queues("messages_unacknowledged").splitlines())
        return {name: int(count) for name, count in counts if int(count)}

    def queues(self, *columns: str) -> str:
        """The queues as ``rabbitmqctl list_queues`` shows them: their names, and the columns."""
        return self._control("list_queues", "--no-table-headers", "name", *columns)

    def _control(self, *command: str) -> str:
        program = f"{PROGRAMS}/rabbitmqctl"
        return self._cluster.run("login", [program, "--quiet", *command], environment=self._variables).stdout


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": SEARCH_PATH,
        "HOME": str(folder / "home"),  # Erlang keeps a cookie there
        "LC_ALL": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "broker@localhost",
        "RABBITMQ_DIST_PORT": str(DISTRIBUTION_PORT),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOOPBACK_ONLY} {_LEAVES_PROCESSORS_TO_OTHERS}",
    }
