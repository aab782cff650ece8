"""A transport that stays: it outlives an exchange that goes away and comes back, with or without its memory."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from academy.agent import Agent
from academy.exception import BadEntityIdError, IncompatibleNetworkProtocolError, MailboxTerminatedError
from academy.exchange.factory import ExchangeFactory
from academy.exchange.mailbox_status import MailboxStatus
from academy.exchange.transport import ExchangeTransportMixin
from academy.identifier import AgentId, EntityId, UserId
from academy.message import CancelRequest, Message
from academy.serialize import NoPickleMixin
from academy.stats import AgentStats
from pydantic import ValidationError

from director.exchange.errors import ExchangeError, MailboxClosedError
from director.exchange.once import Once
from director.exchange.registration import Registration, classes_of
from director.exchange.wire import Wire
from director.spec import ExchangeSpec

if TYPE_CHECKING:
    from director.exchange.factory import SteadyFactory

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_S = 8.0
ANSWER_S = 15.0
# A call waits about as long for its answer, so an answer that comes later is of no use.
SEND_PATIENCE_S = 60.0
# How long a mailbox may be missing in which somebody waits for an answer: its owner makes it again.
MISSING_PATIENCE_S = 10.0
TERMINATE_S = 2.0
CANCEL_S = 2.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
REFUSED_PAUSE_S = 30.0
LASTING_S = 5.0
# An exchange in a client's process cannot come back.
OWN_EXCHANGE_PATIENCE_S = 5.0


class SteadyTransport(ExchangeTransportMixin, NoPickleMixin):
    """What Academy's clients and runtimes talk to.

    Each message arrives at most once. Sending goes on for a minute when the exchange is away. Listening goes on for as
    long as somebody listens; a mailbox that the exchange has forgotten is made again, and calls whose answers are lost
    with it fail at once, with an `ExchangeError` that is ``passing``.

    Args:
        wire: How the exchange is reached.
        factory: Which exchange it is, and who makes further clients of it.
        classes: What the mailbox's owner is, if it is an agent.
        clock: Seconds.

    Attributes:
        trouble: What keeps the exchange from answering, as far as is known; None while it answers.
    """

    def __init__(
        self, wire: Wire, factory: SteadyFactory, classes: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.trouble: ExchangeError | None = None
        self._wire = wire
        self._factory = factory
        self._spec = spec = factory.spec
        self._classes = classes
        self._clock = clock
        self._once = Once()
        self._patience_s = OWN_EXCHANGE_PATIENCE_S if spec.host is not None else None
        self._ended = False
        self._away_since: float | None = None
        self._pause_s = FIRST_PAUSE_S
        wire.on_contact = self._on_contact

    @property
    def mailbox_id(self) -> EntityId:
        """Whose mailbox it is."""
        return self._wire.mailbox_id

    def factory(self) -> ExchangeFactory[Any]:
        """Makes further clients of the same exchange."""
        return self._factory.again()

    async def close(self) -> None:
        """Disconnects. May be called twice."""
        self._ended = True
        await self._wire.close()

    # ---- mailboxes

    async def enter(self) -> None:
        """Comes to the mailbox, and makes it if it is not there.

        Raises:
            ExchangeError: If that cannot be done; `MailboxClosedError` if it was closed.
        """
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._ensure(self.mailbox_id, self._classes)
        except Exception as error:
            raise self._told(error) from error

    async def register_as(self, agent: type[Agent], agent_id: AgentId[Any]) -> None:
        """Makes an agent's mailbox under an address that was chosen before. One that is there is left as it is.

        Raises:
            ExchangeError: If that cannot be done; `MailboxClosedError` if it was closed.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._ensure(agent_id, classes_of(agent))
        except Exception as error:
            raise self._told(error) from error

    async def _ensure(self, uid: EntityId, classes: str) -> None:
        if isinstance(uid, AgentId):  # a user's address is new
            # Asked first: a server over Redis would open a closed mailbox again, one in memory would leave it closed.
            state = await self._wire.state(uid)
            if state is MailboxStatus.TERMINATED:
                raise MailboxTerminatedError(uid)
            if state is not MailboxStatus.MISSING:
                return
        await self._wire.make_mailbox(uid, classes)
        if await self._wire.state(uid) is not MailboxStatus.ACTIVE:
            raise ExchangeError(f"the exchange at {self._spec.url} makes no mailbox", "Look into its log")

    async def register_agent(self, agent: type[Any], *, name: str | None = None) -> Registration:
        """See Academy's `ExchangeTransport.register_agent`."""
        agent_id: AgentId[Any] = AgentId.new(name=name)
        await self.register_as(agent, agent_id)
        return Registration(agent_id=agent_id, exchange_type=self._spec.kind, classes=classes_of(agent))

    async def discover(self, agent: type[Agent] | str, *, allow_subclasses: bool = True) -> tuple[AgentId[Any], ...]:
        """See Academy's `ExchangeTransport.discover`."""
        return await self._telling(self._wire.discover(agent, allow_subclasses=allow_subclasses))

    async def agent_stats(self, uid: EntityId) -> AgentStats:
        """See Academy's `ExchangeTransport.agent_stats`."""
        return await self._telling(self._wire.agent_stats(uid))

    async def heartbeat_status(self, uid: EntityId) -> float | None:
        """See Academy's `ExchangeTransport.heartbeat_status`."""
        return await self._telling(self._wire.heartbeat_status(uid))

    async def update_heartbeat(self) -> None:
        """See Academy's `ExchangeTransport.update_heartbeat`; where it fails, the next one is as good.

        Raises:
            MailboxTerminatedError: If there is nothing to live for: the mailbox or this transport was closed.
        """
        if self._ended:
            raise MailboxTerminatedError(self.mailbox_id)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._wire.update_heartbeat()
        except BadEntityIdError:
            return  # whoever listens makes it anew
        except MailboxTerminatedError:
            raise
        except Exception as error:
            self.trouble = self._wire.explain(error)
            if self.trouble is None:
                raise

    async def terminate(self, uid: EntityId) -> None:
        """Closes a mailbox for good. The own one is left behind where that fails, since its owner is leaving.

        Raises:
            ExchangeError: If another mailbox could not be closed.
        """
        try:
            async with asyncio.timeout(TERMINATE_S):
                await self._wire.terminate(uid)
        except Exception as error:
            if uid != self.mailbox_id:
                raise self._told(error) from error
            logger.info("left a mailbox behind at %s: %s", self._spec.url, self._told(error))

    # ---- messages

    async def send(self, message: Message[Any]) -> None:
        """Sends a message, for up to a minute if the exchange is away.

        Raises:
            BadEntityIdError: If nobody has that address.
            MailboxTerminatedError: If the mailbox was closed.
            ExchangeError: If the exchange did not take it.
        """
        if isinstance(message.body, CancelRequest):
            await self._cancel(message)
            return
        self._once.asked(message)
        try:
            await self._patiently(message)
        except BaseException:
            self._once.not_asked(message)
            raise

    async def _cancel(self, message: Message[Any]) -> None:
        """Cancels a call for which nobody waits any more, so its sender is not kept waiting either."""
        self._once.asked(message)
        try:
            async with asyncio.timeout(CANCEL_S):
                await self._wire.send(message)
        except Exception as error:
            self._once.not_asked(message)
            logger.info("could not cancel a call at %s: %r", self._spec.url, error)

    async def _patiently(self, message: Message[Any]) -> None:
        begin = self._clock()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._wire.send(message)
                return
            except MailboxTerminatedError:
                raise
            except Exception as error:
                missing = isinstance(error, BadEntityIdError)
                if missing and message.is_request():
                    raise
                told = None if missing else self._wire.explain(error)
                limit_s = MISSING_PATIENCE_S if missing else SEND_PATIENCE_S
                hopeless = not missing and (told is None or not told.passing)
                if hopeless or self._clock() - begin + pause_s > min(limit_s, self._patience_s or limit_s):
                    raise (told or error) from error
                self.trouble = told
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def listen(self, timeout: float | None = None) -> AsyncGenerator[Message[Any]]:  # noqa: ASYNC109  (Academy's)
        """Yields the mailbox's messages until it is closed.

        Args:
            timeout: How long to wait for a message, in s, anew after each connection that broke; None: forever.

        Raises:
            MailboxClosedError: If it was an agent's, and was closed.
            MailboxTerminatedError: If it was a user's, and was closed.
            TimeoutError: If nothing came in time.
            ExchangeError: If the exchange was in the process of an agent's client, and is gone.
        """
        while True:
            begin = self._clock()
            closed: Exception | None = None
            answers: list[Message[Any]] = []
            try:
                async with contextlib.aclosing(self._wire.listen(timeout)) as messages:
                    async for message in messages:
                        self._on_contact()
                        if self._once.is_new(message) and _is_readable(message):
                            yield message
            except BadEntityIdError:
                answers = await self._make_anew(begin)
            except MailboxTerminatedError as error:
                # Academy takes this for the end of a user, and would let an agent wait for ever.
                closed = error if isinstance(self.mailbox_id, UserId) else _closed(self._spec)
                answers = self._once.give_up(_closed(self._spec))
            except Exception as error:
                if self._ended:  # it was closed under its listener
                    return
                await self._after(error, begin, timeout)
            for answer in answers:
                yield answer
            if closed is not None:
                await self.close()
                raise closed

    async def _after(self, error: Exception, begin: float, limit_s: float | None) -> None:
        """Waits before listening is tried again; raises the error if it is that nothing came in time."""
        if limit_s is not None and isinstance(error, TimeoutError) and self._clock() - begin >= limit_s:
            raise error
        await self._pause(error, begin)

    async def _make_anew(self, begin: float) -> list[Message[Any]]:
        """Makes the mailbox that the exchange has forgotten, and answers the calls that were forgotten with it."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._wire.make_mailbox(self.mailbox_id, self._classes)
        except Exception as error:
            await self._pause(error, begin)
            return []
        logger.warning("the exchange at %s was started again; this mailbox is made anew", self._spec.url)
        return self._once.give_up(_lost_call())

    async def _pause(self, error: Exception, begin: float) -> None:
        """Waits before the exchange is asked again; raises what it is no use to wait for."""
        told = self._wire.explain(error)
        if told is None:
            raise error
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
            logger.warning("the exchange is away (%s); asking again until it is back", told.message)
        self.trouble = told
        own = isinstance(self.mailbox_id, AgentId) and self._patience_s is not None
        if own and now - self._away_since > OWN_EXCHANGE_PATIENCE_S:
            await self.close()  # Academy does not, when listening ends with an error
            raise told from error
        if now - begin > LASTING_S:  # it was a good connection while it held
            self._pause_s = FIRST_PAUSE_S
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S if told.passing else REFUSED_PAUSE_S)

    def _on_contact(self) -> None:
        if self._away_since is not None:
            logger.warning("the exchange at %s answers again", self._spec.url)
        self.trouble = self._away_since = None

    async def _telling(self, awaitable: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await awaitable
        except (BadEntityIdError, MailboxTerminatedError):
            raise
        except Exception as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, MailboxTerminatedError):
            return _closed(self._spec)
        return self._wire.explain(error) or error


def _closed(spec: ExchangeSpec) -> MailboxClosedError:
    return MailboxClosedError(
        f"this mailbox at {spec.url} was closed", "A Director that has ended does not come back; launch the run again"
    )


def _lost_call() -> ExchangeError:
    lost = "the exchange was started again, and with it the call or its answer was lost"
    return ExchangeError(lost, "Make the call again", passing=True)


def _is_readable(message: Message[Any]) -> bool:
    """Whether Academy can take a message; one that it cannot take would end its listening."""
    try:
        message.get_body()
    except IncompatibleNetworkProtocolError:
        return True  # Academy answers that itself
    except (ValidationError, ValueError) as error:
        logger.warning("dropped a message of %s that cannot be read: %r", message.src, error)
        return False
    return True
