"""Making clients of an exchange."""

from __future__ import annotations

from typing import Any

from academy.exchange.client_config import ExchangeClientConfig
from academy.exchange.factory import ExchangeFactory
from academy.identifier import EntityId, UserId

from director.exchange.steady import SteadyTransport
from director.exchange.wire import OpenWire
from director.spec import ExchangeSpec


class SteadyFactory(ExchangeFactory[SteadyTransport]):
    """Makes clients of an exchange.

    Args:
        spec: Which exchange.
        open_wire: Reaches that kind of exchange, for one mailbox.
        config: Academy's settings.
    """

    def __init__(self, spec: ExchangeSpec, open_wire: OpenWire, config: ExchangeClientConfig | None = None) -> None:
        super().__init__(config)
        self.spec = spec
        self.open = open_wire

    def again(self) -> SteadyFactory:
        """Another one like it, with Academy's settings as they are by default."""
        return SteadyFactory(self.spec, self.open)

    async def _create_transport(
        self,
        mailbox_id: EntityId | None = None,
        *,
        name: str | None = None,
        registration: Any = None,
    ) -> SteadyTransport:
        wire = self.open(self.spec, mailbox_id or UserId.new(name=name))
        transport = SteadyTransport(wire, self, getattr(registration, "classes", ""))
        try:
            await transport.enter()
        except BaseException:
            await transport.close()
            raise
        return transport
