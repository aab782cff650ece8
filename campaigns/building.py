"""Making components of a campaign file: only classes that are components, with arguments that they take."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from campaigns.errors import Fault, NotAcceptable, nearest, refuse
from campaigns.llm.access import LanguageAccess
from campaigns.seeds import seed_of
from simulations.errors import ToolError

SHIPPED = "campaigns"
TARGET = "_target_"
REFUSED_KEYS = ("_args_", "_convert_", "_partial_", "_recursive_")


@dataclass(frozen=True)
class Builder:
    """Makes components.

    Attributes:
        modules: Modules whose classes may be named, beside those that ship.
        seed: The campaign's seed.
        system: Name of the system.
        episode: Number of the episode, from 1.
        language: Where language models are, for components with a parameter of this name; None: nowhere.
        base: Folder of the campaign file, for components with a parameter ``folder``, where their relative paths start;
            None: not known.
    """

    modules: Sequence[str] = ()
    seed: int = 0
    system: str = "default"
    episode: int = 1
    language: LanguageAccess | None = None
    base: Path | None = None

    def build(self, tree: Mapping[str, Any], place: str, shown: str | None = None) -> Any:
        """Makes the component that a mapping with ``_target_`` describes, with all that are in it.

        Args:
            tree: The mapping.
            place: Where it stands, for its seed: ``environment``, or ``policy`` whatever that is called.
            shown: Where it stands in the user's file, if that is elsewhere.

        Raises:
            NotAcceptable: With what is wrong, and where.
        """
        return self._component(dict(tree), place, place if shown is None else shown)

    def _value(self, value: Any, place: str, shown: str) -> Any:
        if isinstance(value, dict):
            if TARGET in value:
                return self._component(value, place, shown)
            return {name: self._value(one, f"{place}.{name}", f"{shown}.{name}") for name, one in value.items()}
        if isinstance(value, list):
            return [self._value(one, f"{place}[{i}]", f"{shown}[{i}]") for i, one in enumerate(value)]
        return value

    def _component(self, tree: dict[str, Any], place: str, shown: str) -> Any:
        cls = find_component(tree.get(TARGET), self.modules, f"{shown}.{TARGET}")
        given = {name: value for name, value in tree.items() if name != TARGET}
        parameters = _parameters(cls)
        _check_names(cls, given, parameters, shown)
        hints = _hints(cls)
        arguments = {
            name: self._argument(value, hints.get(name), f"{place}.{name}", f"{shown}.{name}")
            for name, value in given.items()
        }
        if "seed" in parameters and arguments.get("seed") is None:
            arguments["seed"] = seed_of(self.seed, self.system, self.episode, place)
        if "language" in parameters and arguments.get("language") is None:
            arguments["language"] = self.language
        if "folder" in parameters and arguments.get("folder") is None and self.base is not None:
            arguments["folder"] = str(self.base)
        try:
            return cls(**arguments)
        except NotAcceptable as refusal:
            raise NotAcceptable(
                Fault(f"{shown}.{fault.where}" if fault.where else shown, fault.message, fault.hint)
                for fault in refusal.faults
            ) from None
        except ToolError as error:
            raise refuse(shown, f"{cls.__name__}: {error.message}", error.hint) from error
        except (ValueError, TypeError, OSError, KeyError) as error:
            raise refuse(shown, f"{cls.__name__} refuses it: {error}", "Correct these parameters") from error

    def _argument(self, value: Any, hint: Any, place: str, shown: str) -> Any:
        built = self._value(value, place, shown)
        if hint is None or not _is_json(built):
            return built
        if value is not None and _wants_component(hint) and not isinstance(value, list):
            message = f"{value!r} is no component"
            raise refuse(shown, message, "Write a mapping with _target_, or choose one of a group in defaults")
        return _typed(built, hint, shown)


def find_component(target: Any, modules: Sequence[str], where: str) -> type[Any]:
    """The class that ``_target_`` names.

    Args:
        target: What stands there.
        modules: Modules that may be named, beside those that ship.
        where: Where it stands.

    Raises:
        NotAcceptable: If it names no component.
    """
    if not isinstance(target, str):
        message = "is missing" if target is None else f"{target!r} is no text"
        raise refuse(where, message, "Name a component's class: campaigns.stages.RandomSelector")
    allowed = (SHIPPED, *modules)
    module, _, name = target.rpartition(".")
    if not module or not any(module == one or module.startswith(f"{one}.") for one in allowed):
        hint = f"{nearest(target, known_components(modules), 'Components')}. Modules of yours are named under modules:"
        raise refuse(where, f"{target!r} is no component that ships, nor in a module that this file names", hint)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name and (module + ".").startswith(error.name + "."):
            found = None
        else:
            raise refuse(where, f"{module} cannot be imported ({error})", "See to that module") from error
    if found is None:
        raise refuse(where, f"there is no {target!r}", nearest(target, known_components(modules), "Components"))
    fault = not_a_component(found, allowed)
    if fault:
        raise refuse(where, f"{target!r} {fault}", nearest(target, known_components(modules), "Components"))
    return found  # type: ignore[no-any-return]


def not_a_component(found: Any, allowed: Sequence[str]) -> str:
    """Why something is no component that may be named; empty if it is one. Pure."""
    if not inspect.isclass(found):
        return "is no class"
    if not any(found.__module__ == one or found.__module__.startswith(f"{one}.") for one in allowed):
        return f"comes from {found.__module__}, which this file does not name under modules"
    if getattr(found, "_is_protocol", False) or inspect.isabstract(found):
        return "is no component, but what components have in common"
    if not (_has(found, "get_state") and _has(found, "load_state")) and not _has(found, "reply"):
        return (
            "is no component: it has no get_state and load_state (what remembers nothing inherits campaigns.Stateless)"
        )
    return ""


def _has(cls: type[Any], name: str) -> bool:
    return callable(getattr(cls, name, None))


def known_components(modules: Sequence[str] = ()) -> list[str]:
    """Names of all components that can be named: those that ship, and those of further modules."""
    package = importlib.import_module(SHIPPED)
    shipped = [f"{SHIPPED}.{info.name}" for info in pkgutil.iter_modules(package.__path__)]
    names: dict[Any, str] = {}
    for module in (SHIPPED, *shipped, *modules):
        try:
            loaded = importlib.import_module(module)
        except ImportError:  # of an extra that is not installed
            continue
        public = getattr(loaded, "__all__", None) or [name for name in vars(loaded) if not name.startswith("_")]
        within = (SHIPPED,) if module in (SHIPPED, *shipped) else (module,)
        for name in public:
            one = getattr(loaded, name, None)
            if not not_a_component(one, within):
                names.setdefault(one, f"{module}.{name}")  # the shortest of its names, by the order of modules
    return sorted(names.values())


def _parameters(cls: type[Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters


def _check_names(
    cls: type[Any], given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter], shown: str
) -> None:
    free = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    usual = {
        name
        for name, one in parameters.items()
        if one.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    faults = [
        Fault(f"{shown}.{name}", f"Hydra's {name} is not supported here", "Leave it out")
        for name in REFUSED_KEYS
        if name in given
    ]
    if not free:
        faults += [
            Fault(f"{shown}.{name}", f"{cls.__name__} has no such parameter", nearest(name, usual, "Parameters"))
            for name in given
            if name not in usual and name not in REFUSED_KEYS
        ]
    faults += [
        Fault(f"{shown}.{name}", f"{cls.__name__} needs it, and it was not given", f"Give it{_kind(one)}")
        for name, one in parameters.items()
        if name in usual and one.default is inspect.Parameter.empty and name not in given and name != "seed"
    ]
    if faults:
        raise NotAcceptable(faults)


def _kind(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    return "" if annotation is inspect.Parameter.empty else f": {annotation}"


def _hints(cls: type[Any]) -> dict[str, Any]:
    """Types of a constructor's parameters, as far as they can be known."""
    try:
        return typing.get_type_hints(cls.__init__, include_extras=True)
    except (NameError, TypeError, AttributeError):  # types that are imported for type checkers only
        return {}


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_json(one) for one in value.values())
    if isinstance(value, list):
        return all(_is_json(one) for one in value)
    return value is None or isinstance(value, str | int | float | bool)


def _wants_component(hint: Any) -> bool:
    """Whether a type stands for a component and for nothing that JSON has."""
    arguments = [one for one in typing.get_args(hint) if one is not type(None)]
    origin = typing.get_origin(hint) or hint
    if (
        inspect.isclass(origin)
        and getattr(origin, "_is_protocol", False)
        and not origin.__module__.startswith("collections")
    ):
        return origin.__module__ != "typing"
    is_union = origin is typing.Union or getattr(origin, "__name__", "") == "UnionType"
    return (
        is_union
        and bool(arguments)
        and any(_wants_component(one) for one in arguments)
        and not any(
            one in (str, int, float, bool, dict) or typing.get_origin(one) in (dict, Mapping) for one in arguments
        )
    )


def _typed(value: Any, hint: Any, shown: str) -> Any:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return value  # no type of JSON
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise NotAcceptable(
            Fault(
                shown + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _within(item["loc"])),
                f"{item['msg'].removeprefix('Value error, ')}, got {item['input']!r}",
                f"It takes {inspect.formatannotation(hint)}",
            )
            for item in error.errors(include_url=False)
        ) from None


def _within(location: Sequence[int | str]) -> list[int | str]:
    """The part of a pydantic location that is a place in the value: branches of unions are left out."""
    return [part for part in location if isinstance(part, int)]


def catalogue(modules: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All components that can be named: ``target``, ``parameters`` as Python writes them, and ``summary``.

    Args:
        modules: Modules whose components are listed too.

    Raises:
        NotAcceptable: If one of them cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise refuse("--module", f"{module} cannot be imported ({error})", "Correct its name") from error
    found = []
    for target in known_components(modules):
        cls = find_component(target, modules, "target")
        summary = (inspect.getdoc(cls) or "").partition("\n")[0]
        parameters = [str(one) for one in inspect.signature(cls).parameters.values()]
        found.append({"target": target, "parameters": parameters, "summary": summary})
    return found
