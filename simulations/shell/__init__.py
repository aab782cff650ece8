"""``shell``: a user's own program as a Tool: a tool file with typed arguments, and never a shell."""

from simulations.shell.definition import MAX_DEFINITIONS_BYTES, ToolDefinition, make_tool
from simulations.shell.reading import Fault, ToolFileError, ToolSource, read_tool_file
from simulations.shell.toolfile import ToolFile

__all__ = [
    "MAX_DEFINITIONS_BYTES",
    "Fault",
    "ToolDefinition",
    "ToolFile",
    "ToolFileError",
    "ToolSource",
    "make_tool",
    "read_tool_file",
]
