"""Which model each agent of a team speaks with: what the team file says, and the environment for the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from campaigns.language import LanguageModelError
from campaigns.llm.access import Key, access_from
from campaigns.llm.settings import LanguageSettings
from director.door import Problem, Refused
from director.team.settings import TeamFile

PREFIX = "DIRECTOR_LLM_"
NAMES = ("BASE_URL", "MODEL", "API_KEY", "API_KEY_FILE")


@dataclass(frozen=True)
class Voice:
    """A model that somebody of a team speaks with.

    Attributes:
        settings: The model's settings. There is no key in them.
        key: The key of its service; None: it wants none.
    """

    settings: LanguageSettings
    key: Key | None


def voices_of(team: TeamFile, environment: Mapping[str, str]) -> dict[str, Voice]:
    """The models of a team, by the names of those who speak with them.

    Args:
        team: The team.
        environment: Says where services are, and their keys; see `campaigns.llm.access`.

    Raises:
        Refused: If one of them has no model, with all that are wrong.
    """
    found: dict[str, Voice] = {}
    wrong: dict[tuple[str, str], list[str]] = {}
    for name, speaker in team.speakers.items():
        names = names_of(speaker.endpoint)
        try:
            access = access_from({plain: environment[own] for plain, own in names.items() if own in environment})
            found[name] = Voice(access.settings(speaker.language()), access.key)
        except (LanguageModelError, ValueError) as error:
            said = str(error)
            for plain, own in names.items():
                said = said.replace(f"{plain} ", f"{own} ").replace(f"{plain},", f"{own},")
            message, _, hint = said.partition(". ")
            wrong.setdefault((message, hint or "Correct it"), []).append(name)
    if wrong:
        raise Refused(Problem(", ".join(who), *what) for what, who in wrong.items())
    return found


def names_of(endpoint: str | None) -> dict[str, str]:
    """For each variable of `campaigns.llm.access` the one that says the same of an endpoint. Pure."""
    middle = f"{endpoint}_" if endpoint else ""
    return {f"{PREFIX}{name}": f"{PREFIX}{middle}{name}" for name in NAMES}
