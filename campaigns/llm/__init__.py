"""Language models: a client for endpoints of OpenAI's form, and the components of campaigns that ask them."""

from campaigns.llm.access import Key, LanguageAccess, access_from
from campaigns.llm.chat_model import chat_model
from campaigns.llm.client import OpenAIModel, model_for
from campaigns.llm.meter import Meter, Spent
from campaigns.llm.planner import LLMPlanner
from campaigns.llm.react import LLMReActOrchestrator, LLMReActOrchestratorAgent
from campaigns.llm.scorer import LLMScorer
from campaigns.llm.settings import LanguageSettings

__all__ = [
    "Key",
    "LLMPlanner",
    "LLMReActOrchestrator",
    "LLMReActOrchestratorAgent",
    "LLMScorer",
    "LanguageAccess",
    "LanguageSettings",
    "Meter",
    "OpenAIModel",
    "Spent",
    "access_from",
    "chat_model",
    "model_for",
]
