"""konomi's Hydra plugins, apart, so that listing plugins need not import Hydra."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from konomi import registry
from konomi.faults import KonomiError
from konomi.search_path import not_yaml, page, providers

HEADER = 512
"""Characters at the head of a file in which Hydra looks for `# @package`."""


class KonomiSearchPath(SearchPathPlugin):  # type: ignore[misc]
    """Puts everybody's `conf/` and `recipes/` on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider in providers():
            for folder in (provider.conf, provider.recipes):
                if folder is not None:
                    search_path.append(provider.owner, f"{KonomiFiles.scheme()}://{folder}")


class KonomiFiles(ConfigSource):  # type: ignore[misc]
    """YAML files without the presets.

    Presets are registered as typed nodes. Were their files seen too, they would shadow those nodes and lose the types.
    """

    @staticmethod
    def scheme() -> str:
        return "konomi"

    def _file(self, config_path: str) -> Path:
        return Path(self.path, self._normalize_file_name(config_path))

    def _is_preset(self, config_path: str) -> bool:
        return config_path.strip("/").partition("/")[0] in registry.kinds()

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if self._is_preset(config_path) or not file.is_file():
            raise ConfigLoadError(f"Config not found : {file}")
        try:
            text = page(file)
            body = _parsed(text)
        except KonomiError as error:
            raise ConfigLoadError(str(error)) from error
        except yaml.YAMLError as error:
            raise ConfigLoadError(not_yaml(file, error)) from error
        except OmegaConfBaseException as error:
            raise ConfigLoadError(f"{file}: {' '.join(str(error).split())}") from error
        if not isinstance(body, dict):
            what = "expected a mapping that begins with defaults: [konomi, …, _self_], found a list"
            raise ConfigLoadError(f"{file}: {what}")
        return ConfigResult(
            config=OmegaConf.create(body),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=ConfigSource._get_header_dict(text[:HEADER]),
        )

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return (Path(self.path) / config_path).is_dir() and not self._is_preset(config_path)

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file() and not self._is_preset(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        found: list[str] = []
        if not self._is_preset(config_path):
            for file in sorted((Path(self.path) / config_path).iterdir()):
                if file.name.startswith(("_", ".")):
                    continue
                self._list_add_result(
                    files=found,
                    file_path=str(Path(config_path) / file.name),
                    file_name=file.name,
                    results_filter=results_filter,
                )
        return sorted(set(found))


@functools.cache
def _parsed(text: str) -> Any:
    """Return a YAML file's values; one command composes several times, and parsing is most of that."""
    return OmegaConf.to_container(OmegaConf.create(text))
