"""The text of one config: plain YAML, in which nothing is called."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import yaml

from campaigns.errors import refuse

MAX_FILE_BYTES = 2_000_000


def no_resolvers(tree: Any, source: str, place: str = "") -> None:
    """Refuses interpolations that call something.

    Raises:
        NotAcceptable: If there is one.
    """
    if isinstance(tree, dict):
        for name, value in tree.items():
            no_resolvers(value, source, f"{place}.{name}" if place else str(name))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            no_resolvers(value, source, f"{place}[{index}]")
    elif isinstance(tree, str) and calls_resolver(tree):
        hint = "Write the value itself; ${another.name} may stand for a value of this file"
        raise refuse(f"{source}: {place}", f"{tree!r} calls a resolver, and none is allowed", hint)


def calls_resolver(text: str) -> bool:
    """Whether text holds an interpolation that calls something, such as ``${oc.env:HOME}``. Pure."""
    if "${" not in text:
        return False
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
    from omegaconf.grammar_parser import parse

    def within(node: Any) -> bool:
        if isinstance(node, OmegaConfGrammarParser.InterpolationResolverContext):
            return True
        return any(within(node.getChild(index)) for index in range(node.getChildCount()))

    try:
        return within(parse(text))
    except GrammarParseError:
        return True  # what cannot be read is not let through


def read_yaml(path: Path) -> tuple[Any, str]:
    """Reads one YAML file as OmegaConf does: no name twice, and only plain values.

    Returns:
        What it holds, and its text.

    Raises:
        NotAcceptable: If it cannot be read, or calls a resolver.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    text = _text(path)
    try:
        loaded = OmegaConf.load(io.StringIO(text))
    except RecursionError:
        raise refuse(str(path), "is nested too deeply", "Write it plainly") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise refuse(where, f"is no YAML ({getattr(error, 'problem', None) or error})", "Correct the file") from None
    except (OSError, OmegaConfBaseException) as error:  # it holds but one value, say
        raise refuse(str(path), f"cannot be read ({said(error)})", "Correct the file") from None
    except (ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:  # of !!int and its like
        raise refuse(str(path), f"has a value that is not what its tag says ({error})", "Correct the file") from None
    no_resolvers(OmegaConf.to_container(loaded, resolve=False), str(path))
    return loaded, text


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise refuse(str(path), f"is larger than {MAX_FILE_BYTES / 1e6:g} MB", "Put lists into files of their own")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(str(path), f"cannot be read ({said(error)})", "Correct the file") from None


def said(error: BaseException) -> str:
    """An error with what caused it, in one line."""
    parts = [" ".join(str(error).split())]
    cause = error.__cause__
    if cause is not None and str(cause):
        parts.append(" ".join(str(cause).split()))
    return ": ".join(part for part in parts if part)
