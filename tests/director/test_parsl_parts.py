"""The private parts of Parsl on which this product relies, for whoever changes the version that is pinned."""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput import interchange, zmq_pipes
from parsl.executors.high_throughput import process_worker_pool as pool
from parsl.executors.high_throughput.mpi_resource_management import TaskScheduler
from parsl.executors.status_handling import BlockProviderExecutor

ROOT = Path(__file__).resolve().parents[2]
LIFE, DESK, WORKERS, WARM = (
    "director/parsl_life.py", "partitions/task_desk.py", "partitions/worker_pool.py", "director/warm.py"
)  # fmt: skip

PARTS = [
    # Who relies on it, where it is, and what has to stand there.
    (LIFE, HighThroughputExecutor.start, r"self\.outgoing_q = zmq_pipes\.TasksOutgoing\("),
    (LIFE, HighThroughputExecutor.start, r"self\.command_client = zmq_pipes\.CommandClient\("),
    (LIFE, HighThroughputExecutor.__init__, r"self\._result_queue_thread: .*Thread"),
    (LIFE, HighThroughputExecutor, r"self\.tasks\[task_id\] = fut"),
    (LIFE, HighThroughputExecutor, r"Popen\(self\.interchange_launch_cmd, stdin=subprocess\.PIPE\)"),
    (LIFE, HighThroughputExecutor, r"def connected_managers\(self\).*\n(.*\n){0,4}.*run\(\"MANAGERS\"\)"),
    (LIFE, HighThroughputExecutor, r"def connected_blocks\(self\).*\n(.*\n){0,4}.*run\(\"CONNECTED_BLOCKS\"\)"),
    (LIFE, zmq_pipes.TasksOutgoing, r"self\.zmq_socket = "),
    (LIFE, zmq_pipes.CommandClient.run, r"timeout_s"),
    (LIFE, BlockProviderExecutor, r"self\._executor_exception = exception"),
    (LIFE, BlockProviderExecutor, r"self\._executor_bad_state\.set\(\)"),
    (LIFE, BlockProviderExecutor, r"def scale_out_facade\(self, n: int\)"),
    (LIFE, BlockProviderExecutor, r"self\.blocks_to_job_id\["),
    (LIFE, DataFlowKernel.__init__, r"self\._task_launch_pool = cf\.ThreadPoolExecutor"),
    (DESK, pool.Manager.__init__, r"self\.pending_task_queue = "),
    (DESK, pool.Manager.__init__, r"self\.pending_result_queue = "),
    (DESK, pool.Manager.__init__, r"self\._tasks_in_progress = "),
    (DESK, pool.Manager.__init__, r"self\.ready_worker_count = "),
    (DESK, pool.Manager.__init__, r"self\.task_scheduler = TaskScheduler\("),
    (DESK, pool.Manager.interchange_communicator, r"self\.pending_task_queue\.qsize\(\)"),
    (DESK, pool.Manager.interchange_communicator, r"self\.ready_worker_count\.value"),
    (DESK, pool.Manager.interchange_communicator, r"self\.task_scheduler\.put_task\(task\)"),
    (DESK, pool.Manager.ferry_result, r"self\.task_scheduler\.get_result\(\)\n +if r is None:"),
    (DESK, pool.Manager.worker_watchdog, r"self\._tasks_in_progress\.pop\(worker_id\)(.*\n)+ +except KeyError:"),
    (DESK, pool.Manager.worker_watchdog, r"self\.pending_result_queue\.put\(pkl_package\)"),
    (DESK, pool.Manager.worker_watchdog, r"procs\[worker_id\] = self\._start_worker\(worker_id\)"),
    (DESK, pool.Manager.start, r"self\.pending_result_queue\.put\(None\)"),
    (DESK, pool.worker, r"req = task_queue\.get\(timeout=task_queue_timeout\)\n(.*\n)? +except queue\.Empty:"),
    (DESK, pool.worker, r"tasks_in_progress\[worker_id\] = req"),
    (DESK, pool.worker, r"tasks_in_progress\.pop\(worker_id\)"),
    (DESK, pool.worker, r"with ready_worker_count\.get_lock\(\):\n +ready_worker_count\.value"),
    (DESK, pool.worker, r"result_queue\.put\(pkl_package\)"),
    (DESK, TaskScheduler, r"def put_task\(self, .*\n(.*\n)+ +def get_result\(self"),
    (WORKERS, pool.Manager._start_worker, r"Process\(\s+target=worker,\s+args=\(\s+worker_id,\s+self\.uid,"),
    (WORKERS, pool.Manager._start_worker, r"\n +args\.logdir,"),
    (WORKERS, pool, r"\ndef get_arg_parser\(\)"),
    (WORKERS, pool, r"import set_file_logger\n"),
    (WARM, interchange, r"config = pickle\.load\(sys\.stdin\.buffer\)"),
]  # fmt: skip


def source(what):
    """What Parsl says, without regard to how a function is wrapped or a comment stands in between."""
    text = inspect.getsource(inspect.unwrap(what) if callable(what) and not inspect.isclass(what) else what)
    return re.sub(r"\n +#.*", "", text)


@pytest.mark.parametrize(("where", "what", "part"), PARTS)
def test_what_is_relied_on_is_there(where, what, part):
    assert re.search(part, source(what)), (
        f"Parsl {version('parsl')} is not as {where} takes it to be: nothing in "
        f"{getattr(what, '__qualname__', what.__name__)} matches {part!r}. See what has come in its place, and change "
        f"{where} with the version that pyproject.toml pins"
    )


def test_the_version_that_is_pinned_is_the_one_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pinned,) = (item for item in project["dependencies"] if item.startswith("parsl"))
    assert pinned in (ROOT / "constraints.txt").read_text().splitlines()
    assert pinned == f"parsl=={version('parsl')}", "the Parsl that is installed is not the one that is pinned"
