"""Where config groups are looked for: folders beside a campaign file, then those that ship.

This stands on parts of Hydra 1.3 that are not its public face; `pyproject.toml` holds that version.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

from campaigns.config_text import read_yaml
from campaigns.errors import refuse

DEPRECATED = ("_name_", "_group_")


class Repository(ConfigRepository):  # type: ignore[misc]  # Hydra has no types here
    """Finds configs by their path in Hydra's sense: ``policy/planner/diversity``.

    Args:
        file: The campaign file.
        folders: Where groups are looked for; the first that has a config counts.

    Attributes:
        primary: How the campaign file is called as a config.
    """

    def __init__(self, file: Path, folders: Sequence[Path]) -> None:
        self.primary = file.stem
        self._file = file
        self._folders = tuple(folders)
        self._cache: dict[str, ConfigResult | None] = {}
        self.sources: list[Any] = []

    def load_config(self, config_path: str) -> Any:
        """One config, its defaults list taken out; None if there is none.

        Raises:
            NotAcceptable: If it cannot be read.
        """
        if config_path not in self._cache:
            self._cache[config_path] = self._load(config_path)
        return self._cache[config_path]

    def _load(self, config_path: str) -> ConfigResult | None:
        file = self._find(config_path)
        if file is None:
            return None
        config, text = read_yaml(file)
        header = ConfigSource._get_header_dict(text[:512])
        used = [word for word in DEPRECATED if word in (header.get("package") or "")]
        if used:
            raise refuse(str(file), f"its header uses {used[0]}, which Hydra has given up", "Name the package")
        result = ConfigResult(provider="campaign", path=str(file), config=config, header=header)
        try:
            result.defaults_list = self._create_defaults_list(
                config_path, self._extract_defaults_list(config_path, config)
            )
        except (ValueError, AssertionError) as error:
            raise refuse(f"{file}: defaults", str(error) or "is no defaults list", "Correct it") from None
        return result

    def _find(self, config_path: str) -> Path | None:
        if config_path == self.primary:
            return self._file
        for folder in self._folders:
            path = folder / f"{config_path}.yaml"
            if ".." not in Path(config_path).parts and path.is_file():
                return path
        return None

    def config_exists(self, config_path: str) -> bool:
        """Whether there is such a config."""
        return self._find(config_path) is not None

    def group_exists(self, config_path: str) -> bool:
        """Whether there is such a group."""
        return ".." not in Path(config_path).parts and any((folder / config_path).is_dir() for folder in self._folders)

    def get_group_options(self, group_name: str, results_filter: Any = ObjectType.CONFIG) -> list[str]:
        """The configs of a group."""
        places = [folder / group_name for folder in self._folders if (folder / group_name).is_dir()]
        return sorted({path.stem for place in places for path in place.glob("*.yaml")})
