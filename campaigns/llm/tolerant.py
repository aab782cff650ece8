"""LangChain's ``ChatOpenAI``, for which a model may write arguments that are JSON and no object. Heavy to import."""

from __future__ import annotations

import json
from typing import Any

from langchain_openai import ChatOpenAI

NO_OBJECT = "no JSON object: "
"""What arguments begin with that are JSON and no object, such as a list."""


class TolerantChatOpenAI(ChatOpenAI):
    """Hands such a call out among ``invalid_tool_calls``, where the original raises a validation error."""

    def _create_chat_result(self, response: Any, generation_info: Any = None) -> Any:
        for choice in getattr(response, "choices", None) or []:
            for call in getattr(getattr(choice, "message", None), "tool_calls", None) or []:
                function = getattr(call, "function", None)
                if function is not None and _no_object(function.arguments):
                    function.arguments = NO_OBJECT + function.arguments
        return super()._create_chat_result(response, generation_info)


def _no_object(text: Any) -> bool:
    try:
        return isinstance(text, str) and not isinstance(json.loads(text, strict=False), dict)
    except ValueError:
        return False  # it is no JSON at all, and that is told by the original
