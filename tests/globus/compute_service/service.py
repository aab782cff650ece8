"""What the service does with endpoints, functions, tasks and results.

It stands in for the cloud service of Globus Compute, which nobody can run: the unmodified SDK and endpoint talk to it.
Where they show what the real service answers, it answers so; where they do not, the docstring says what was chosen.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import EPStatusReport, Result, Task
from globus_compute_common.tasks import TaskState

from . import queues
from .queues import BrokerDownError, Publisher
from .records import Heartbeat, Records, TaskRecord

COMPUTE_SCOPE_MARK = "facd7ccc-c5f4-42aa-916b-a0e270e2c2a9"
LARGEST_SUBMISSION_BYTES = 10 * 1024 * 1024
TOKEN_S = 172_800
# An endpoint that missed two heartbeats is offline when the third is due.
MISSED_HEARTBEATS = 3
DEFAULT_HEARTBEAT_S = 30.0

Json = dict[str, Any]
Note = Callable[..., None]


@dataclass
class RefusedError(Exception):
    """A request that the service refuses.

    Attributes:
        status: The HTTP status.
        code: The service's name for the error.
        reason: What was wrong.
    """

    status: int
    code: str
    reason: str


class ComputeService:
    """What the service does. Any thread may call it.

    Args:
        clients: Secrets of the clients that may log in, by their ids.
        records: What it remembers.
        publisher: The way to the broker.
        note: Takes down what happens: a kind, and values by name.
        clock: Gives the time, in s since 1970.
    """

    def __init__(
        self,
        clients: dict[str, str],
        records: Records,
        publisher: Publisher,
        note: Note,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clients = clients
        self._records = records
        self._publisher = publisher
        self._note = note
        self._clock = clock
        self._submitting = threading.Lock()

    def log_in(self, client: str, secret: str, scopes: str) -> Json:
        """Gives tokens to a client that knows its secret."""
        known = self._clients.get(client)
        if known is None or not secrets.compare_digest(known, secret):
            raise RefusedError(401, "invalid_client", f"client {client} is not known, or its secret is wrong")
        servers: dict[str, list[str]] = {}
        for scope in scopes.split():
            server = "funcx_service" if COMPUTE_SCOPE_MARK in scope else "auth.globus.org"
            servers.setdefault(server, []).append(scope)
        if not servers:
            raise RefusedError(400, "invalid_scope", "no scope was asked for")
        first, *others = [self._token(client, server, " ".join(asked)) for server, asked in servers.items()]
        return {**first, "other_tokens": others}

    def _token(self, client: str, server: str, scope: str) -> Json:
        token = secrets.token_urlsafe(24)
        self._records.add_token(token, client)
        kind = {"token_type": "Bearer", "expires_in": TOKEN_S}
        return {"access_token": token, "resource_server": server, "scope": scope, **kind}

    def identity(self, token: str) -> str:
        """Whose token this is."""
        if (found := self._records.identity(token)) is None:
            raise RefusedError(401, "USER_UNAUTHENTICATED", "the token is not known")
        return found

    def user_info(self, identity: str) -> Json:
        """What the SDK wants to know of an identity."""
        return {"sub": identity, "preferred_username": _user_name(identity), "identity_set": _identity_set(identity)}

    def register_endpoint(self, identity: str, body: Json, endpoint: str | None = None) -> Json:
        """Makes an endpoint, or takes it up again, and says which queues are its own."""
        if endpoint is None:
            endpoint = str(uuid.uuid4())
        elif (known := self._records.endpoint(endpoint)) is not None and known[0] != identity:
            raise RefusedError(403, "ENDPOINT_ACCESS_FORBIDDEN", f"endpoint {endpoint} is not yours")
        self._publisher.make(queues.command_queue(endpoint))
        self._records.put_endpoint(endpoint, identity, body)
        self._note("registered", endpoint=endpoint, name=body.get("endpoint_name"))
        return {
            "endpoint_id": endpoint,
            "command_queue_info": queues.to_read(queues.command_queue(endpoint)),
            "heartbeat_queue_info": queues.to_write(queues.HEARTBEATS),
            "result_queue_info": queues.to_write(queues.RESULTS),
        }

    def endpoint(self, identity: str, endpoint: str) -> Json:
        """What an endpoint said of itself when it was registered."""
        return _shown(endpoint, identity, self._own_endpoint(identity, endpoint))

    def endpoints(self, identity: str) -> list[Json]:
        """All endpoints of an identity."""
        return [_shown(endpoint, identity, body) for endpoint, body in self._records.endpoints(identity).items()]

    def remove_endpoint(self, identity: str, endpoint: str) -> Json:
        """Forgets an endpoint."""
        self._own_endpoint(identity, endpoint)
        self._records.remove_endpoint(endpoint)
        return {"result": 302}

    def endpoint_status(self, identity: str, endpoint: str) -> Json:
        """Whether an endpoint is online, by the age of its last heartbeat, and what it said in it."""
        self._own_endpoint(identity, endpoint)
        heartbeat = self._records.heartbeat(endpoint)
        status = "online" if alive(heartbeat, self._clock()) else "offline"
        return {"status": status, "details": heartbeat.state if heartbeat else {}}

    def register_function(self, identity: str, body: Json) -> Json:
        """Remembers a function."""
        function = str(uuid.uuid4())
        self._records.add_function(function, identity, body)
        return {"function_uuid": function}

    def submit(self, identity: str, endpoint: str, body: Json) -> Json:
        """Puts tasks into a user endpoint's queue, and tells its core endpoint to start it.

        They wait there, whether or not anything is online, until an engine takes them. If the broker cannot be reached,
        nothing of the request stays.
        """
        self._own_endpoint(identity, endpoint)
        code = {function: self._function_code(function) for function in body["tasks"]}
        group = self._group(identity, body.get("task_group_id"), with_queue=bool(body.get("create_queue")))
        options = body.get("user_endpoint_config") or {}
        key = hashlib.sha256(json.dumps([endpoint, identity, options], sort_keys=True).encode()).hexdigest()
        user_endpoint = str(uuid.UUID(key[:32]))
        made = {
            function: [TaskRecord(str(uuid.uuid4()), group, user_endpoint) for _ in payloads]
            for function, payloads in body["tasks"].items()
        }
        tasks = [task for records in made.values() for task in records]
        with self._submitting:
            self._records.add_tasks(tasks)
            try:
                self._publisher.make(queues.task_queue(user_endpoint))
                for function, payloads in body["tasks"].items():
                    for task, payload in zip(made[function], payloads, strict=True):
                        self._send(task, function, code[function] + payload, body)
                self._start(endpoint, identity, f"uep.{endpoint}.{key[:16]}", user_endpoint, body)
            except BrokerDownError:
                self._records.remove_tasks(tasks)
                raise
        names = [task.id for task in tasks]
        self._note("submitted", endpoint=endpoint, user_endpoint=user_endpoint, group=group, tasks=names)
        return {
            "request_id": str(uuid.uuid4()),
            "task_group_id": group,
            "endpoint_id": endpoint,
            "tasks": {function: [task.id for task in records] for function, records in made.items()},
        }

    def task_status(self, identity: str, task: str) -> Json:
        """How far a task is, and its result."""
        found = self._records.task(task)
        if found is None or self._records.group_owner(found.group) != identity:
            raise RefusedError(404, "TASK_NOT_FOUND", f"there is no task {task}")
        return self._status(found)

    def batch_status(self, identity: str, tasks: list[str]) -> Json:
        """How far some tasks are; those that are not known are left out."""
        found = [record for task in tasks if (record := self._records.task(task))]
        mine = [record for record in found if self._records.group_owner(record.group) == identity]
        return {"response": "batch", "results": {record.id: self._status(record) for record in mine}}

    def task_group(self, identity: str, group: str) -> Json:
        """The tasks of a group."""
        self._own_group(identity, group)
        return {"taskgroup_id": group, "tasks": [{"id": task.id} for task in self._records.tasks_of_group(group)]}

    def take_result(self, message: bytes) -> None:
        """Keeps a task's result and passes it on to whoever waits for the group. Only the first one counts."""
        result = messagepack.unpack(message)
        assert isinstance(result, Result), type(result)
        task = self._records.task(str(result.task_id))
        if task is None:
            self._note("result of no task", task=str(result.task_id))
            return
        now = self._clock()
        # Passed on before it is kept: should the service end in between, the broker brings the result again.
        awaited = False
        if task.completed_at is None:
            queue, headers = queues.group_queue(task.group), {"task_uuid": task.id}
            awaited = self._publisher.publish(queue, message, timestamp=int(now), headers=headers)
        first = self._records.finish(task.id, failed=result.is_error, data=result.data, details=result.details, at=now)
        self._note("result", task=task.id, failed=result.is_error, first=first, awaited=awaited)

    def take_heartbeat(self, message: bytes) -> None:
        """Keeps what an endpoint says of itself. A user endpoint that could not start fails the tasks that wait for it.

        A child of the core endpoint that fails before it becomes a user endpoint reports twice, the second time under
        the core endpoint's own id: that one is well.
        """
        report = messagepack.unpack(message)
        assert isinstance(report, EPStatusReport), type(report)
        endpoint, state = str(report.endpoint_id), report.global_state
        error = state.get("error")
        if error and self._records.endpoint(endpoint) is not None:
            self._note("error under the core endpoint's id", endpoint=endpoint, error=error)
            return
        self._records.put_heartbeat(endpoint, Heartbeat(self._clock(), state))
        self._note("heartbeat", endpoint=endpoint, error=error, period_s=state.get("heartbeat_period"))
        if error:
            self._fail_waiting(endpoint, str(error))

    def _fail_waiting(self, user_endpoint: str, reason: str) -> None:
        """Chosen: what no engine has taken leaves the queue, so that the next user endpoint does not run it."""
        with self._submitting:
            queue = queues.task_queue(user_endpoint)
            self._publisher.make(queue)
            messages = self._publisher.drain(queue)
        for message in messages:
            task = messagepack.unpack(message)
            assert isinstance(task, Task), type(task)
            details = {"code": "ENDPOINT_START_FAILED", "user_message": reason}
            self.take_result(messagepack.pack(Result(task_id=task.task_id, data=reason, error_details=details)))

    def _send(self, task: TaskRecord, function: str, buffer: str, body: Json) -> None:
        headers = {
            "function_uuid": function,
            "task_uuid": task.id,
            "resource_specification": json.dumps(body.get("resource_specification")),
            "result_serializers": body.get("result_serializers") or [],
        }
        message = messagepack.pack(Task(task_id=task.id, task_buffer=buffer))
        self._publisher.publish(queues.task_queue(task.user_endpoint), message, headers=headers)

    def _start(self, endpoint: str, identity: str, name: str, user_endpoint: str, body: Json) -> None:
        command = {
            "command": "cmd_start_endpoint",
            "args": [],
            "kwargs": {
                "name": name,
                "user_opts": body.get("user_endpoint_config") or {},
                "user_runtime": body.get("user_runtime") or {},
                "amqp_creds": {
                    "endpoint_id": user_endpoint,
                    "task_queue_info": queues.to_read(queues.task_queue(user_endpoint)),
                    "result_queue_info": queues.to_write(queues.RESULTS),
                    "heartbeat_queue_info": queues.to_write(queues.HEARTBEATS),
                },
            },
            "globus_username": _user_name(identity),
            "globus_effective_identity": identity,
            "globus_identity_set": _identity_set(identity),
        }
        self._publisher.publish(
            queues.command_queue(endpoint),
            json.dumps(command).encode(),
            content_type="application/json",
            timestamp=int(self._clock()),
        )

    def _group(self, identity: str, group: str | None, *, with_queue: bool) -> str:
        if group is None:
            group = str(uuid.uuid4())
            self._records.add_group(group, identity)
        else:
            self._own_group(identity, group)
        if with_queue:
            self._publisher.make(queues.group_queue(group))
        return group

    def _own_group(self, identity: str, group: str) -> None:
        if self._records.group_owner(group) != identity:
            raise RefusedError(404, "TASK_GROUP_NOT_FOUND", f"there is no task group {group}")

    def _own_endpoint(self, identity: str, endpoint: str) -> Json:
        if (known := self._records.endpoint(endpoint)) is None:
            raise RefusedError(404, "ENDPOINT_NOT_FOUND", f"there is no endpoint {endpoint}")
        if known[0] != identity:
            raise RefusedError(403, "ENDPOINT_ACCESS_FORBIDDEN", f"endpoint {endpoint} is not yours")
        return known[1]

    def _function_code(self, function: str) -> str:
        if (known := self._records.function(function)) is None:
            raise RefusedError(404, "FUNCTION_NOT_FOUND", f"there is no function {function}")
        return str(known["function_code"])

    def _status(self, task: TaskRecord) -> Json:
        shown: Json = {
            "task_id": task.id,
            "status": state_of(task, self._records.heartbeat(task.user_endpoint), self._clock()),
        }
        if task.completed_at is not None:
            shown |= {"completion_t": str(task.completed_at), "exception" if task.failed else "result": task.data}
            if task.details is not None:
                shown["details"] = task.details
        return shown


def alive(heartbeat: Heartbeat | None, now: float) -> bool:
    """Whether who sent this last is still there. A period of 0 says that it was its last."""
    if heartbeat is None:
        return False
    period_s = float(heartbeat.state.get("heartbeat_period", DEFAULT_HEARTBEAT_S))
    stays = period_s > 0 and heartbeat.state.get("active", True) and not heartbeat.state.get("error")
    return bool(stays) and now - heartbeat.at < MISSED_HEARTBEATS * period_s


def state_of(task: TaskRecord, heartbeat: Heartbeat | None, now: float) -> str:
    """How far a task is, as far as the service can know: endpoints do not report their tasks one by one.

    Chosen: a task whose user endpoint has a worker pool is with it.
    """
    if task.failed is not None:
        return (TaskState.FAILED if task.failed else TaskState.SUCCESS).value
    if heartbeat is None or not alive(heartbeat, now):
        return TaskState.WAITING_FOR_EP.value
    return (TaskState.WAITING_FOR_LAUNCH if heartbeat.state.get("managers") else TaskState.WAITING_FOR_NODES).value


def _user_name(identity: str) -> str:
    return f"{identity}@clients.auth.globus.org"


def _identity_set(identity: str) -> list[Json]:
    name = _user_name(identity)
    return [
        {
            "sub": identity,
            "username": name,
            "name": name,
            "email": name,
            "organization": "",
            "status": "used",
            "identity_type": "login",
            "identity_provider": str(uuid.UUID(int=1)),
            "identity_provider_display_name": "this machine",
        }
    ]


def _shown(endpoint: str, owner: str, body: Json) -> Json:
    name = body.get("endpoint_name")
    return {"uuid": endpoint, "name": name, "display_name": body.get("display_name", name), "owner_id": owner}
