"""What is done for one call of a model. It knows nothing of Parsl: `director.team.app` runs it there."""

from __future__ import annotations

import threading
import time

from campaigns.language import LanguageModelError, ReplyCancelled
from campaigns.llm.access import Key
from campaigns.llm.client import OpenAIModel
from director.team.desk import Call, Said


def ask(call: Call, key: Key | None, stop: threading.Event, where: str) -> Said:
    """Calls a model once, with the tries that its settings allow, and says what became of it.

    Args:
        call: What to ask whom.
        key: The key of the service.
        stop: Is set when nobody wants the answer any more.
        where: Who runs this: a host and a worker.

    Returns:
        The reply, or why there is none. Nothing is raised, whatever the service does.
    """
    began_at, began = time.time(), time.monotonic()

    def said(**what: object) -> Said:
        whole = {"reply": None, "error": None, "cancelled": False, **what}
        return Said(**whole, began_at=began_at, took_s=time.monotonic() - began, where=where)  # type: ignore[arg-type]

    try:
        model = OpenAIModel(call.settings, key, agent=call.speaker, cancelled=stop)
        return said(reply=model.reply(call.messages, call.tools))
    except ReplyCancelled:
        return said(error="cancelled", cancelled=True)
    except LanguageModelError as error:
        return said(error=str(error))
    except Exception as error:  # a client that breaks is one agent's failure, and is named as such
        return said(error=f"the client failed: {type(error).__name__}: {error}")
