"""The ``run`` section of a campaign file: where it runs, in the words of batch files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from campaigns.errors import NotAcceptable
from director.batch import Batch, BatchFile
from director.door import Problem, Refused, problems_of
from director.service_partition.spec import read_services
from director.toolbox import read_tools

# A batch file has requests; a campaign makes its own.
PLACEHOLDER = [{"tool": "none"}]


def read_where(section: Mapping[str, Any], base: Path) -> Batch:
    """Checks the ``run`` section of a campaign file.

    Args:
        section: The section.
        base: Folder of the campaign file; relative paths start there.

    Returns:
        A batch with these settings and no requests.

    Raises:
        Refused: With everything that is wrong with it.
    """
    if "requests" in section:
        message = "stands in batch files only; what a campaign runs is chosen by its policy"
        raise Refused([Problem("run.requests", message, "Leave it out")])
    try:
        file = BatchFile.model_validate({**section, "requests": PLACEHOLDER})
    except ValidationError as error:
        raise Refused(problem.within("run") for problem in problems_of(error, BatchFile)) from None
    sources = read_tools(file.tools, base=base)
    return Batch(file, base, [], sources, read_services(file.services, base))


@contextmanager
def refusing() -> Iterator[None]:
    """Turns what a campaign refuses into what the command refuses."""
    try:
        yield
    except NotAcceptable as refusal:
        raise Refused(Problem(fault.where, fault.message, fault.hint) for fault in refusal.faults) from None
