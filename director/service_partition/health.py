"""Asking a server whether it is well, which models it has, and whether it asks for its key. Blocking; no proxies."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

MAX_ANSWER_BYTES = 1 << 20
REFUSED_KEY = (401, 403)
NO_SUCH_QUESTION = (404, 405, 501)


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        status: HTTP status; None: there was no answer.
        body: What came with it.
        reason: Why there was no answer, or what the status means.
    """

    status: int | None
    body: bytes = b""
    reason: str = ""

    @property
    def well(self) -> bool:
        """Whether it says that all is well."""
        return self.status == 200


def ask(host: str, port: int, path: str, *, key: str | None, timeout_s: float, body: bytes | None = None) -> Answer:
    """Asks a server by GET, or by POST if there is something to send.

    Args:
        host: Its address.
        port: Its port.
        path: The path.
        key: The API key; None: none is shown.
        timeout_s: How long each step of the answer may take, in s.
        body: What to send, in JSON; None: nothing.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read(MAX_ANSWER_BYTES), f"{path} answers {response.status}")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, reason=f"{path} does not answer: {type(error).__name__}: {error}".rstrip(": "))
    finally:
        connection.close()


@dataclass(frozen=True)
class Opinion:
    """What a server thinks of its key.

    Attributes:
        fault: What is wrong with it, in words; None: nothing that could be seen.
        unsure: Why there is no opinion yet; empty: there is one.
    """

    fault: str | None = None
    unsure: str = ""


def opinion(with_key: Answer, without: Answer) -> Opinion:
    """Whether a server lets in who has its key, and nobody else. Pure.

    Args:
        with_key: What it answered to a question with the key.
        without: What it answered to the same question without.
    """
    for answer in (with_key, without):
        if answer.status is None:
            return Opinion(unsure=answer.reason)
    if with_key.status in REFUSED_KEY:
        return Opinion(
            "it refuses the API key that it was given. Say how it takes one: api_key_variable, {api_key_file}"
        )
    if without.status not in REFUSED_KEY:
        how = "Say how it takes one (api_key_variable, {api_key_file}), or that it has none: api_key_variable: null"
        return Opinion(f"it answers without the API key that it was given. {how}")
    return Opinion()


def models_in(body: bytes) -> list[str]:
    """The models that an answer of ``/v1/models`` lists; none if it is no such answer."""
    try:
        listed = json.loads(body)["data"]
        return [str(item["id"]) for item in listed][:100]
    except (ValueError, LookupError, TypeError):
        return []
