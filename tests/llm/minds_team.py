"""Minds of a team's agents. Who speaks is told by the first word of the system prompt."""

from __future__ import annotations

from tests.llm.talk import Answer, Chat, Mind


def speaker(chat: Chat) -> str:
    """Who is asked."""
    return (chat.system.split() or [""])[0]


def member(chat: Chat) -> Answer:
    """Says who it is, at which temperature, what it was asked, and how much it was told before."""
    heard = chat.user.splitlines()[0]
    return Answer(f"{speaker(chat)} at {chat.temperature} heard {heard!r} after {len(chat.texts('assistant'))} answers")


def roles(**minds: Mind) -> Mind:
    """Another mind for each who is asked; `member` for those that are not named."""

    def mind(chat: Chat) -> Answer:
        return minds.get(speaker(chat), member)(chat)

    return mind


WATER = {
    "creative": "Run two, OPC and SPC/E, and let your own observable decide: where both agree, the choice does not "
    "matter. That would have to be cheap enough, which it is at 10 ns.",
    "analytical": "At 298 K water diffuses at 2.3e-9 m2/s. TIP3P gives more than twice that, TIP4P-Ew and OPC come "
    "close. If anything of yours depends on time, TIP3P is the wrong choice.",
    "balanced": "First the model that your force field was made with; then OPC, if somebody has tested both together. "
    "I would begin with the first and repeat one run with the second.",
}


def water(chat: Chat) -> Answer:
    """What the agents of the shipped trio say in the film of docs/film/chat.py; `member` to anything else."""
    prompts = {"ideas": "creative", "precise": "analytical", "general": "balanced"}
    who = next(name for word, name in prompts.items() if word in chat.system)
    return Answer(WATER[who] if "water" in chat.user else f"I am {who}.")
