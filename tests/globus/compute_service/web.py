"""The routes that the unmodified SDK and endpoint call, over HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from . import queues
from .queues import BrokerDownError
from .service import LARGEST_SUBMISSION_BYTES, ComputeService, Json, RefusedError

# The SDK looks for a service of this machine at http://localhost:5000 and nowhere else.
HOST, PORT = "127.0.0.1", 5000
OLDEST = {"api": "1.0.0", "min_sdk_version": "1.0.0", "min_ep_version": "1.0.0"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """Takes requests apart, and leaves them to the service. What waits for the broker does so in a thread."""

    def __init__(self, service: ComputeService) -> None:
        self._service = service

    def table(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.post("/v2/oauth2/token", self.token),
            web.post("/v2/oauth2/token/revoke", self.revoke),
            web.get("/v2/oauth2/userinfo", self.user_info),
            web.get("/v2/version", self.version),
            web.post("/v3/endpoints", self.register_endpoint),
            web.put("/v3/endpoints/{endpoint}", self.register_endpoint),
            web.post("/v3/endpoints/{endpoint}/submit", self.submit),
            web.post("/v3/functions", self.register_function),
            web.get("/v2/endpoints", self.endpoints),
            web.get("/v2/endpoints/{endpoint}", self.endpoint),
            web.delete("/v2/endpoints/{endpoint}", self.remove_endpoint),
            web.get("/v2/endpoints/{endpoint}/status", self.endpoint_status),
            web.get("/v2/get_amqp_result_connection_url", self.result_queue),
            web.get("/v2/taskgroup/{group}", self.task_group),
            web.get("/v2/tasks/{task}", self.task),
            web.post("/v2/batch_status", self.batch_status),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """A client logs in."""
        form = await request.post()
        client, secret = _basic(request)
        if form.get("grant_type") != "client_credentials":
            raise RefusedError(400, "unsupported_grant_type", "only client_credentials are taken")
        return web.json_response(self._service.log_in(client, secret, str(form.get("scope", ""))))

    async def revoke(self, request: web.Request) -> web.Response:
        """A client logs out."""
        _basic(request)
        return web.json_response({"active": False})

    async def user_info(self, request: web.Request) -> web.Response:
        """Who is this?"""
        return web.json_response(self._service.user_info(self._identity(request)))

    async def version(self, _request: web.Request) -> web.Response:
        """Which versions of SDK and endpoint may come."""
        return web.json_response(OLDEST)

    async def register_endpoint(self, request: web.Request) -> web.Response:
        """An endpoint comes up."""
        identity, body = self._identity(request), await request.json()
        known = request.match_info.get("endpoint")
        return await _answer(self._service.register_endpoint, identity, body, known)

    async def submit(self, request: web.Request) -> web.Response:
        """Tasks for an endpoint."""
        identity, body = self._identity(request), await request.json()
        return await _answer(self._service.submit, identity, request.match_info["endpoint"], body)

    async def register_function(self, request: web.Request) -> web.Response:
        """A function that tasks call."""
        identity, body = self._identity(request), await request.json()
        return web.json_response(self._service.register_function(identity, body))

    async def endpoints(self, request: web.Request) -> web.Response:
        """All endpoints of who asks."""
        return web.json_response(self._service.endpoints(self._identity(request)))

    async def endpoint(self, request: web.Request) -> web.Response:
        """One endpoint."""
        return web.json_response(self._service.endpoint(self._identity(request), request.match_info["endpoint"]))

    async def remove_endpoint(self, request: web.Request) -> web.Response:
        """One endpoint is no more."""
        return web.json_response(self._service.remove_endpoint(self._identity(request), request.match_info["endpoint"]))

    async def endpoint_status(self, request: web.Request) -> web.Response:
        """Whether an endpoint is online."""
        identity = self._identity(request)
        return web.json_response(self._service.endpoint_status(identity, request.match_info["endpoint"]))

    async def result_queue(self, request: web.Request) -> web.Response:
        """Where results of a task group are read."""
        self._identity(request)
        return web.json_response({"queue_prefix": queues.GROUP_PREFIX, "connection_url": queues.URL})

    async def task_group(self, request: web.Request) -> web.Response:
        """The tasks of a group."""
        return web.json_response(self._service.task_group(self._identity(request), request.match_info["group"]))

    async def task(self, request: web.Request) -> web.Response:
        """How far a task is."""
        return web.json_response(self._service.task_status(self._identity(request), request.match_info["task"]))

    async def batch_status(self, request: web.Request) -> web.Response:
        """How far some tasks are."""
        identity, body = self._identity(request), await request.json()
        return web.json_response(self._service.batch_status(identity, body["task_ids"]))

    def _identity(self, request: web.Request) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise RefusedError(401, "USER_UNAUTHENTICATED", "there is no bearer token")
        return self._service.identity(token)


def application(service: ComputeService, note: Callable[..., None]) -> web.Application:
    """The web application, which answers errors as the real service does, and notes every request."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if (request.content_length or 0) > LARGEST_SUBMISSION_BYTES:
                reason = f"{request.content_length} bytes are more than the {LARGEST_SUBMISSION_BYTES} that are taken"
                raise RefusedError(413, "TASK_PAYLOAD_TOO_LARGE", reason)
            response = await handler(request)
        except RefusedError as error:
            response = _refusal(error)
        except BrokerDownError as error:
            response = _refusal(RefusedError(503, "SERVICE_UNAVAILABLE", str(error)))
        except (KeyError, TypeError, ValueError) as error:
            response = _refusal(RefusedError(400, "REQUEST_MALFORMED", repr(error)))
        note("request", method=request.method, path=request.path, status=response.status)
        return response

    made = web.Application(middlewares=[answer_errors], client_max_size=2 * LARGEST_SUBMISSION_BYTES)
    made.add_routes(Routes(service).table())
    return made


async def _answer(what: Callable[..., Json], *arguments: Any) -> web.Response:
    return web.json_response(await asyncio.to_thread(what, *arguments))


def _refusal(error: RefusedError) -> web.Response:
    body = {"code": error.code, "reason": error.reason, "status": "Failed", "error_args": []}
    return web.json_response({**body, "http_status_code": error.status}, status=error.status)


def _basic(request: web.Request) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        if kind != "Basic":
            raise ValueError(kind)
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise RefusedError(401, "invalid_client", "a client logs in with its id and secret") from None
    return client, secret
