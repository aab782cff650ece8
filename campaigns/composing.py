"""Reading a campaign file as Hydra would: defaults lists with config groups, and overrides.

Hydra's own defaults list, grammar of overrides and way of merging are used, without its application: nothing is kept
beyond the call. What could read the environment or compute something, OmegaConf's resolvers, is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from campaigns.campaign_file import Budget, CampaignFile, Stop
from campaigns.config_text import no_resolvers, said
from campaigns.errors import Fault, NotAcceptable, nearest, refuse

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHIPPED = Path(__file__).parent / "configs"
SUFFIXES = (".yaml", ".yml")

PARTS: dict[str, type[BaseModel]] = {"budget": Budget, "stop": Stop}

# What a campaign file may leave out, so that overrides can name it.
BASE = {
    name: field.default
    for name, field in CampaignFile.model_fields.items()
    if name in ("goal", "seed", "episodes", "at_once", "parallel", "prefetch", "mode", "attempts")
}


def read_campaign_file(path: Path, overrides: Sequence[str] = ()) -> CampaignFile:
    """Reads a campaign file with all that it is composed of, and checks its form. Nothing is built.

    Args:
        path: The file. Config groups are looked for in folders beside it, then among those that ship.
        overrides: In Hydra's grammar, such as ``policy/planner=diversity`` or ``seed=3``.

    Raises:
        NotAcceptable: With what is wrong, and where.
    """
    return checked(compose(path, overrides), str(path))


def checked(tree: Any, source: str) -> CampaignFile:
    """Makes a campaign of its composed tree.

    Raises:
        NotAcceptable: With everything that is wrong with it.
    """
    if not isinstance(tree, dict):
        raise refuse(source, "is no mapping of names", "Write name, budget, environment and policy")
    try:
        return CampaignFile.model_validate(tree)
    except ValidationError as error:
        raise NotAcceptable(_faults(error)) from None


def _faults(error: ValidationError) -> Iterator[Fault]:
    for item in error.errors(include_url=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            fields = PARTS.get(str(item["loc"][0]), CampaignFile)
            yield Fault(where, "is not known", nearest(str(item["loc"][-1]), fields.model_fields, "Known names"))
        elif item["type"] == "missing":
            yield Fault(where, "is required but was not given", _meaning(where))
        elif isinstance(item["input"], dict):
            yield Fault(where or "campaign file", message, "Correct it")
        else:
            yield Fault(where, f"{message}, got {item['input']!r}", f"Correct it. {_meaning(where)}")


def _meaning(where: str) -> str:
    first, _, rest = where.partition(".")
    model = PARTS.get(first, CampaignFile) if rest else CampaignFile
    name = rest or first
    field = model.model_fields.get(name)
    return f"{name}: {field.description}" if field and field.description else "Correct the campaign file"


def compose(path: Path, overrides: Sequence[str] = ()) -> Any:
    """The tree that a campaign file stands for, as JSON.

    Args:
        path: The file.
        overrides: In Hydra's grammar.

    Raises:
        NotAcceptable: If it cannot be composed; it says why.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if path.suffix not in SUFFIXES:
        raise refuse(str(path), "is no YAML file by its name", "Name it FILE.yaml")
    if not path.is_file():
        raise refuse(str(path), "is not there", "Correct the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Hydra's advice to those who come from its version 1.0
            config = _composed(path, overrides)
        no_resolvers(OmegaConf.to_container(config, resolve=False), str(path))
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise refuse(str(path), said(error), "Correct the campaign file or the override") from None


def _composed(path: Path, lines: Sequence[str]) -> DictConfig:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.defaults_list import create_defaults_list
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import DictConfig, OmegaConf

    from campaigns.config_repository import Repository

    parser = OverridesParser.create()
    overrides = [parser.parse_override(line) for line in lines]
    for override in overrides:
        if override.is_sweep_override():
            hint = "Give one value; a list is written key=[1,2]; policies that are compared are named under policies"
            raise refuse(str(override.input_line), "is a sweep, and a campaign takes one value", hint)
    repository = Repository(path, (path.resolve().parent, SHIPPED))
    try:
        found = create_defaults_list(repository, repository.primary, overrides, prepend_hydra=False, skip_missing=False)
    except (AssertionError, ValueError) as error:  # what Hydra raises of its own for a defaults list that is none
        if isinstance(error, NotAcceptable):
            raise
        raise refuse(f"{path}: defaults", said(error) or "is no defaults list", "Correct it") from None
    budget = dict.fromkeys(Budget.model_fields)
    config = OmegaConf.create({**BASE, "budget": budget, "stop": Stop().model_dump(), "run": {}})
    for default in found.defaults:
        loaded = repository.load_config(default.config_path)
        if loaded is None:
            continue
        if not isinstance(loaded.config, DictConfig):
            raise refuse(default.config_path, "is no mapping of names", "Write names and values")
        config.merge_with(ConfigLoaderImpl._embed_result_config(loaded, default.package).config)
    OmegaConf.set_struct(config, True)
    if isinstance(config.get("run"), DictConfig):
        OmegaConf.set_struct(config.run, False)  # its names are those of batch files, and are checked there
    ConfigLoaderImpl._apply_overrides_to_config(found.config_overrides, config)
    return config
