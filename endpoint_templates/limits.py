"""What a facility's queues allow in nodes and walltime: in words, and as conditions of a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from endpoint_templates.errors import TemplateError
from endpoint_templates.facts import Facility, Limit, Queue


def beyond_limits(facility: Facility, values: Mapping[str, Any]) -> TemplateError | None:
    """Says which limit of a queue a job would break. A reservation has limits of its own, which nobody here knows.

    Args:
        facility: Whose queues.
        values: Parameters; ``queue``, ``nodes`` and ``walltime_s`` may be missing.
    """
    names = {queue.name for queue in facility.queues}
    if values.get("queue") not in names or values.get("reservation"):
        return None
    queue, nodes, walltime_s = facility.queue(values["queue"]), values.get("nodes"), values.get("walltime_s")
    hint = f"{queue.name} takes {describe(queue)}; see {facility.sources[0].link}"
    if nodes is None:
        return None
    if nodes < queue.min_nodes or (queue.max_nodes is not None and nodes > queue.max_nodes):
        return TemplateError("nodes", f"{nodes} nodes do not fit into the queue {queue.name} of {facility.title}", hint)
    longest_s = queue.walltime_limit_s(nodes)
    if walltime_s is not None and longest_s is not None and walltime_s > longest_s:
        message = f"{walltime_s} s is too long for {nodes} nodes in the queue {queue.name} of {facility.title}"
        return TemplateError("walltime_s", message, hint)
    return None


def describe(queue: Queue) -> str:
    """The limits of a queue, in words."""
    return "; ".join(_words(limit) for limit in queue.limits)


def _words(limit: Limit) -> str:
    if limit.max_nodes is None:
        nodes = f"{limit.min_nodes} or more nodes"
    elif limit.max_nodes == limit.min_nodes:
        nodes = "one node" if limit.min_nodes == 1 else f"{limit.min_nodes} nodes"
    else:
        nodes = f"{limit.min_nodes} to {limit.max_nodes} nodes"
    return nodes if limit.max_walltime_s is None else f"{nodes} for up to {limit.max_walltime_s} s"


def conditions(facility: Facility, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same limits as conditions of a JSON schema (``allOf``).

    An option that is not given takes its default, which a schema cannot see. So where the default would break a limit,
    the option has to be given.

    Args:
        facility: Whose queues.
        defaults: What is taken for options that are not given.
    """
    return [_condition(queue, limit, defaults) for queue in facility.queues for limit in _wholly(queue)]


def _wholly(queue: Queue) -> list[tuple[Limit, bool]]:
    """Each limit that a job must keep, and whether it is that of all jobs of the queue."""
    longest = [limit.max_walltime_s for limit in queue.limits]
    whole = Limit(queue.min_nodes, queue.max_nodes, max(s for s in longest if s) if all(longest) else None)
    return [(whole, True), *((limit, False) for limit in queue.limits if len(queue.limits) > 1)]


def _condition(queue: Queue, of: tuple[Limit, bool], defaults: Mapping[str, Any]) -> dict[str, Any]:
    limit, whole = of
    nodes = _range(limit)
    meaning = {"description": f"The queue {queue.name} takes {describe(queue)}."}
    asked: dict[str, Any] = {"queue": {"const": queue.name}}
    needed = [] if defaults.get("queue") == queue.name else ["queue"]
    then: dict[str, dict[str, Any]] = {}
    if whole:
        then["nodes"] = nodes | meaning
    else:
        asked["nodes"] = nodes
        if not _within(nodes, defaults.get("nodes")):
            needed.append("nodes")
    if limit.max_walltime_s is not None:
        then["walltime_s"] = {"maximum": limit.max_walltime_s} | meaning
    given = [name for name, bounds in then.items() if not _within(bounds, defaults.get(name))]
    condition = {"properties": asked, "required": needed, "not": {"required": ["reservation"]}}
    return {"if": condition, "then": {"properties": then, "required": given}}


def _range(limit: Limit) -> dict[str, Any]:
    bounds = {"minimum": limit.min_nodes}
    return bounds if limit.max_nodes is None else bounds | {"maximum": limit.max_nodes}


def _within(bounds: Mapping[str, Any], value: int | None) -> bool:
    return value is not None and bounds.get("minimum", value) <= value <= bounds.get("maximum", value)
