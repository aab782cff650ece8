"""What a run would get and start, as a document for machines and as a picture for people. Pure."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from director.plan import Plan
from director.pool_size import bindings_of
from partitions.allocation import Node
from partitions.bindings import Binding
from partitions.carve import Partition
from partitions.hostlist import compress
from partitions.keeper import keeper_command
from partitions.node_watch import in_blocks

ORDERS = "RUN/director-{index}/blocks/block-{block}.json"
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
MAX_SQUARES = 64


def commands(what: Plan, partition: Partition) -> list[list[str]]:
    """The launch commands of a Partition, one for each block."""
    return [
        what.launcher.command(nodes, keeper_command(Path(ORDERS.format(index=partition.index, block=block)))).arguments
        for block, nodes in enumerate(in_blocks(partition.hostnames, what.pool.nodes_per_block))
    ]


def document(what: Plan) -> dict[str, Any]:
    """What ``director partitions --json`` prints."""
    granted = what.allocation
    return {
        "allocation": {
            "scheduler": granted.scheduler,
            "job_id": granted.job_id,
            "deadline": granted.deadline.isoformat() if granted.deadline else None,
            "lead": granted.lead.hostname,
            "nodes": [
                {"hostname": node.hostname, "cores": len(node.cores), "accelerators": list(node.accelerators)}
                for node in granted.nodes
            ],
        },
        "launcher": {"kind": what.launcher.name, "program": getattr(what.launcher, "program", None)},
        "partitions": [_partition(what, partition) for partition in what.partitions],
        "services": [
            {"service": service.name, "hostnames": service.hostnames, "program": spec.command}
            for spec, service in zip(what.services, what.service_nodes, strict=True)
        ],
    }


def _partition(what: Plan, partition: Partition) -> dict[str, Any]:
    bound = bindings_of(partition, what.pool, lead=what.allocation.lead.hostname)
    return {
        "director": partition.index,
        "hostnames": partition.hostnames,
        "workers": sum(len(bindings) for _, bindings in bound),
        "nodes": [
            {
                "hostname": node.hostname,
                "workers": [
                    {
                        "cores": [node.cores[index] for index in binding.cores],
                        "threads": binding.threads,
                        "accelerator": None if binding.accelerator is None else node.accelerators[binding.accelerator],
                    }
                    for binding in bindings
                ],
            }
            for node, bindings in bound
        ],
        "commands": commands(what, partition),
    }


@dataclass(frozen=True)
class _Row:
    nodes: list[Node]
    bindings: list[Binding]


def picture(what: Plan) -> RenderableType:
    """What ``director partitions`` prints: the Allocation, who gets what of it, and the launch commands."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Director", "nodes", "each with", "workers on each"):
        table.add_column(name, overflow="fold")
    for partition in what.partitions:
        style = _style(partition.index)
        for number, row in enumerate(_rows(what, partition)):
            table.add_row(
                Text("" if number else str(partition.index), style=f"bold {style}"),
                Text(_names(row), style=style),
                _resources(row.nodes[0]),
                _workers(row),
            )
    return Group(_headline(what), Text(), _map(what), Text(), table, *_services(what), Text(), *_launches(what))


def _services(what: Plan) -> Iterator[RenderableType]:
    """Who gets what of the nodes that are set aside."""
    if not what.services:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Service", "nodes", "each with", "program"):
        table.add_column(name, overflow="fold")
    for spec, service in zip(what.services, what.service_nodes, strict=True):
        for number, row in enumerate(_alike(service.nodes)):
            names = compress([node.hostname for node in row])
            table.add_row(
                Text("" if number else service.name, style="bold"),
                Text(f"{names}  ({len(row)})" if len(row) > 1 else names),
                _resources(row[0]),
                Text("" if number else shlex.join(spec.command)),
            )
    yield Text()
    yield table


def _alike(nodes: Sequence[Node]) -> list[list[Node]]:
    """Neighbours that have the same."""
    return [list(group) for _, group in itertools.groupby(nodes, lambda node: (len(node.cores), node.accelerators))]


def _style(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _map(what: Plan) -> Text:
    """Every node as a square with the number of its Director, in the scheduler's order."""
    owners = {name: partition.index for partition in what.partitions for name in partition.hostnames}
    served = {name for service in what.service_nodes for name in service.hostnames}
    line = Text()
    for node in what.allocation.nodes[:MAX_SQUARES]:
        owner = owners.get(node.hostname)
        square = "▣" if node == what.allocation.lead else "■"
        if node.hostname in served:
            line.append(f"{square} S  ", "bold")
            continue
        line.append(
            f"{square} –  " if owner is None else f"{square} {owner}  ", "dim" if owner is None else _style(owner)
        )
    if (more := len(what.allocation.nodes) - MAX_SQUARES) > 0:
        line.append(f"… and {more} more  ", "dim")
    kept = ", kept free of workers" if what.pool.lead_workers == 0 else ""
    set_aside = "; S set aside for services" if served else ""
    line.append(f"(▣ lead node{kept}{set_aside})", "dim")
    return line


def _launches(what: Plan) -> Iterator[Text]:
    yield Text("would be started:", style="dim")
    for partition in what.partitions:
        first, *others = commands(what, partition)
        yield Text(f"{partition.index} $ {shlex.join(first)}", style=_style(partition.index))
        if others:
            alike = "1 more like it" if len(others) == 1 else f"{len(others)} more like it"
            yield Text(f"    and {alike}, for the Partition's other nodes", style="dim")


def _headline(what: Plan) -> Text:
    granted = what.allocation
    job = f"{granted.scheduler} job {granted.job_id}" if granted.job_id else "this machine, as logical nodes"
    count = len(granted.nodes)
    end = f", until {granted.deadline:%Y-%m-%d %H:%M:%S} UTC" if granted.deadline else ""
    nodes = f"{count} node{'s' if count != 1 else ''} {compress([node.hostname for node in granted.nodes])}"
    lead = f", Directors on {granted.lead.hostname}" if granted.job_id else ""
    return Text.assemble((job, "bold"), f": {nodes}{end}{lead}")


def _rows(what: Plan, partition: Partition) -> Iterator[_Row]:
    """The nodes of a Partition; neighbours that are alike share a row."""
    lead = what.allocation.lead.hostname

    def likeness(item: tuple[Node, list[Binding]]) -> tuple[Any, ...]:
        node, bindings = item
        return len(node.cores), node.accelerators, [binding.threads for binding in bindings]

    for _, group in itertools.groupby(bindings_of(partition, what.pool, lead=lead), likeness):
        members = list(group)
        yield _Row([node for node, _ in members], members[0][1])


def _names(row: _Row) -> str:
    names = compress([node.hostname for node in row.nodes])
    return f"{names}  ({len(row.nodes)})" if len(row.nodes) > 1 else names


def _resources(node: Node) -> str:
    cores = f"{len(node.cores)} core{'s' if len(node.cores) != 1 else ''}"
    names = list(node.accelerators)
    if names == [str(index) for index in range(len(names))]:
        return cores + (f", {len(names)} accelerator{'s' if len(names) != 1 else ''}" if names else "")
    return f"{cores}, accelerators {' '.join(names)}"


def _workers(row: _Row) -> str:
    threads = sorted({binding.threads for binding in row.bindings})
    shown = " or ".join(str(count) for count in threads)
    return f"{len(row.bindings)} × {shown} thread{'s' if threads != [1] else ''}"
