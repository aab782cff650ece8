"""Tools: typed simulations, what they are given, what they return, and where they may write."""

from simulations.errors import Cancelled, Paused, Superseded, ToolError
from simulations.records import Ending, ErrorInfo, Outcome, Request, StagedFile, Status
from simulations.tool import Tool, find_tools, request_key
from simulations.workspace import Resources, Stop, Workspace

__all__ = [
    "Cancelled",
    "Ending",
    "ErrorInfo",
    "Outcome",
    "Paused",
    "Request",
    "Resources",
    "StagedFile",
    "Status",
    "Stop",
    "Superseded",
    "Tool",
    "ToolError",
    "Workspace",
    "find_tools",
    "request_key",
]
