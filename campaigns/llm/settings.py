"""How a language model is reached and asked: what may stand in files and records. Keys never do; see `access`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from campaigns.language import NotConfigured


class LanguageSettings(BaseModel):
    """How a model behind an endpoint of OpenAI's form (``/v1/chat/completions``) is reached and asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="Address of the endpoint, up to and with its version: https://host/v1.")
    model: str = Field(min_length=1, max_length=500, description="Name of the model, as the endpoint knows it.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the replies, from 0 to 2; null: the endpoint's default."
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, le=10**7, description="Most tokens of one reply; null: the endpoint's limit."
    )
    timeout_s: float = Field(
        default=120.0, gt=0, le=86_400, description="Longest time that one attempt to get a reply may take, in s."
    )
    max_retries: int = Field(
        default=4,
        ge=0,
        le=100,
        description="How many further attempts are made when an endpoint is overloaded (429), fails (5xx), does not "
        "answer in time, or drops the connection.",
    )
    retry_wait_s: float = Field(
        default=1.0, ge=0, le=3600, description="Wait before the first further attempt, in s; doubled for each one."
    )
    max_retry_wait_s: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="Longest wait before a further attempt, in s. An endpoint that asks for a longer one (Retry-After) "
        "is not asked again.",
    )
    token_budget: int | None = Field(
        default=None,
        ge=1,
        description="Most tokens, sent and received, over all questions of one agent; null: no limit of its own.",
    )
    cache: bool = Field(
        default=False, description="Whether an equal question is answered by the reply that it had before."
    )
    usd_per_million_input_tokens: float | None = Field(
        default=None, ge=0, description="Price of a million tokens that are sent, in USD; null: not known."
    )
    usd_per_million_output_tokens: float | None = Field(
        default=None, ge=0, description="Price of a million tokens that come back, in USD; null: not known."
    )

    @field_validator("base_url")
    @classmethod
    def _check_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address such as https://host/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no name, password or query: keys are given by the environment")
        return value.rstrip("/")

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float | None:
        """What so many tokens cost in USD; None: the prices are not known."""
        if self.usd_per_million_input_tokens is None or self.usd_per_million_output_tokens is None:
            return None
        prices = self.usd_per_million_input_tokens, self.usd_per_million_output_tokens
        return (input_tokens * prices[0] + output_tokens * prices[1]) / 1e6


CONFIGURE = (
    "Set DIRECTOR_LLM_BASE_URL (such as https://host/v1), DIRECTOR_LLM_MODEL, and, if the endpoint wants a key, "
    "DIRECTOR_LLM_API_KEY or DIRECTOR_LLM_API_KEY_FILE"
)
"""What to do where no model is configured."""


def settings_from(config: Mapping[str, Any], *, base_url: str | None, model: str | None) -> LanguageSettings:
    """Completes what a file says of a model with what the environment says.

    Args:
        config: Fields of `LanguageSettings`; an empty mapping takes all from the environment.
        base_url: The environment's endpoint; what the file says goes first.
        model: The environment's model; what the file says goes first.

    Raises:
        NotConfigured: If there is no endpoint or no model; the text says how to name them.
        ValueError: If a field is unknown or its value not acceptable; the text names it.
    """
    known = {"base_url": base_url, "model": model}
    whole = {name: value for name, value in known.items() if value is not None} | dict(config)
    missing = [name for name in known if not whole.get(name)]
    if missing:
        raise NotConfigured(f"no language model is configured: {' and '.join(missing)} missing. {CONFIGURE}")
    try:
        return LanguageSettings.model_validate(whole)
    except ValidationError as error:
        raise ValueError(_told(error)) from None


def _told(error: ValidationError) -> str:
    names = ", ".join(sorted(LanguageSettings.model_fields))
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(map(str, item["loc"])) or "settings"
        unknown = item["type"] == "extra_forbidden"
        lines.append(f"{where}: is not known; known: {names}" if unknown else f"{where}: {item['msg']}")
    return "language model: " + "; ".join(lines)
