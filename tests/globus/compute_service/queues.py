"""The loopback Compute service's side of the broker: which queues there are, and messages to and from them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

URL = "amqp://guest:guest@127.0.0.1:5672/%2F?heartbeat=60"
# What endpoints write to: queues, and the exchanges of the same names that lead there.
RESULTS, HEARTBEATS = "results", "heartbeats"
GROUP_PREFIX = "group."
PUBLISH_S = 25.0
RETRY_S = 0.2
# What the broker answers if a queue belongs to its one reader alone, as a user endpoint wants it.
HAS_A_READER = 403

Value = TypeVar("Value")


class BrokerDownError(RuntimeError):
    """The broker could not be reached."""


def task_queue(user_endpoint: str) -> str:
    """Where the tasks of a user endpoint wait."""
    return f"{user_endpoint}.tasks"


def command_queue(endpoint: str) -> str:
    """Where the commands to an endpoint wait."""
    return f"{endpoint}.commands"


def group_queue(group: str) -> str:
    """Where the results of a task group wait."""
    return f"{GROUP_PREFIX}{group}"


def to_read(queue: str) -> dict[str, Any]:
    """How an endpoint reads a queue."""
    return {"connection_url": URL, "queue": queue}


def to_write(queue: str) -> dict[str, Any]:
    """How an endpoint writes to a queue, which is named as its exchange."""
    properties = {"delivery_mode": 2}
    publish = {"exchange": queue, "routing_key": queue, "mandatory": True, "properties": properties}
    return {"connection_url": URL, "exchange": queue, "queue": queue, "queue_publish_kwargs": publish}


class Publisher:
    """Sends messages and makes queues; each call returns when the broker has confirmed it. Any thread may call it.

    A broker that goes and comes back within `PUBLISH_S` is not noticed, but a message that it had just taken goes out
    twice then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None

    def make(self, queue: str) -> None:
        """Makes a queue that outlives the broker's process, unless there is one."""
        self._do(lambda channel: channel.queue_declare(queue, durable=True))

    def publish(self, queue: str, body: bytes, **properties: Any) -> bool:
        """Puts a message into a queue.

        Args:
            queue: The queue.
            body: The message.
            properties: Of the message.

        Returns:
            Whether there is such a queue.

        Raises:
            BrokerDownError: If the broker cannot be reached for `PUBLISH_S`.
        """
        kept = pika.BasicProperties(delivery_mode=2, **properties)

        def do(channel: BlockingChannel) -> bool:
            try:
                channel.basic_publish("", queue, body, kept, mandatory=True)
            except UnroutableError:
                return False
            return True

        return self._do(do)

    def drain(self, queue: str) -> list[bytes]:
        """Takes all messages from a queue, and returns those that no reader has yet. None if it has a reader now."""
        taken: list[bytes] = []

        def do(channel: BlockingChannel) -> list[bytes]:
            try:
                while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                    taken.append(bytes(got[2]))
            except ChannelClosedByBroker as error:
                if error.reply_code != HAS_A_READER:
                    raise
            return taken

        return self._do(do)

    def _do(self, what: Callable[[BlockingChannel], Value]) -> Value:
        give_up = time.monotonic() + PUBLISH_S
        with self._lock:
            while True:
                try:
                    if self._channel is None or not self._channel.is_open:
                        self._channel = _open()
                        self._channel.confirm_delivery()
                    return what(self._channel)
                except (AMQPError, OSError) as error:
                    self._channel = None
                    if time.monotonic() > give_up:
                        raise BrokerDownError(f"the broker cannot be reached: {error!r}") from error
                    time.sleep(RETRY_S)


class Consumer(threading.Thread):
    """Reads results and heartbeats for ever, and acknowledges each when it was handled.

    Args:
        handlers: What to do with a message, by queue.
        failed: Told of an error in a handler. The message was bad, and is dropped.
    """

    def __init__(self, handlers: dict[str, Callable[[bytes], None]], failed: Callable[[str, Exception], None]) -> None:
        super().__init__(name="broker", daemon=True)
        self._handlers = handlers
        self._failed = failed

    def run(self) -> None:
        """Connects, and connects again whenever the connection is lost."""
        while True:
            # A handler that cannot publish raises BrokerDownError: the message was not acknowledged, and comes again.
            with contextlib.suppress(AMQPError, OSError, BrokerDownError), _connected() as channel:
                channel.basic_qos(prefetch_count=100)
                for queue, handle in self._handlers.items():
                    channel.exchange_declare(queue, "direct", durable=True)
                    channel.queue_declare(queue, durable=True)
                    channel.queue_bind(queue, queue, queue)
                    channel.basic_consume(queue, self._handled(queue, handle))
                channel.start_consuming()
            time.sleep(RETRY_S)

    def _handled(self, queue: str, handle: Callable[[bytes], None]) -> Callable[..., None]:
        def on_message(channel: BlockingChannel, method: Any, _properties: Any, body: bytes) -> None:
            try:
                handle(body)
            except BrokerDownError:
                raise
            except Exception as error:  # a message that breaks the service must not stop it
                self._failed(queue, error)
            channel.basic_ack(method.delivery_tag)

        return on_message


@contextlib.contextmanager
def _connected() -> Iterator[BlockingChannel]:
    channel = _open()
    with contextlib.closing(channel.connection):
        yield channel


def _open() -> BlockingChannel:
    parameters = pika.URLParameters(URL)
    parameters.heartbeat = 0  # nobody would answer it while there is nothing to send
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 5
    return pika.BlockingConnection(parameters).channel()
