"""Tools: typed simulations, what they are given, what they return, and where they may write."""

from simulations.errors import ToolError
from simulations.records import ErrorInfo, Outcome, Request, StagedFile, Status
from simulations.tool import Tool, find_tools, request_key
from simulations.workspace import Resources, Workspace

__all__ = [
    "ErrorInfo",
    "Outcome",
    "Request",
    "Resources",
    "StagedFile",
    "Status",
    "Tool",
    "ToolError",
    "Workspace",
    "find_tools",
    "request_key",
]
