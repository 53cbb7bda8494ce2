"""konomi's Hydra plugins, apart, so that listing plugins need not import Hydra."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from konomi import registry
from konomi.faults import KonomiError
from konomi.search_path import not_yaml, page, providers

OWN = "konomi"
"""Provider of konomi's own files, which alone may set up Hydra."""
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
        text = page(file)
        try:
            body = _parsed(text)
        except yaml.YAMLError as error:
            raise KonomiError(not_yaml(file, error)) from error
        except (OmegaConfBaseException, RecursionError) as error:
            raise KonomiError(f"{file}: it cannot be read: {' '.join(str(error).split())}") from error
        if not isinstance(body, dict):
            what = "expected a mapping that begins with defaults: [konomi, …, _self_], found a list"
            raise KonomiError(f"{file}: {what}")
        header = ConfigSource._get_header_dict(text[:HEADER])
        if self.provider != OWN:
            from konomi.recipe.hardening import check_file

            check_file(file, body, header.get("package"))
        return ConfigResult(
            config=OmegaConf.create(body),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=header,
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


def _loader() -> Any:
    """Return OmegaConf's YAML loader (floats such as 1e-3, no dates, no key twice), on libyaml where it is there."""
    home = "omegaconf._yaml" if importlib.util.find_spec("omegaconf._yaml") else "omegaconf._utils"  # 2.4, 2.3
    own: Any = importlib.import_module(home).get_yaml_loader()
    parser = getattr(yaml.cyaml, "CParser", None) if yaml.__with_libyaml__ else None
    if parser is None or issubclass(own, parser):
        return own

    def begin(loader: Any, stream: str) -> None:
        parser.__init__(loader, stream)
        SafeConstructor.__init__(loader)
        Resolver.__init__(loader)

    return type("Loader", (parser, own), {"__init__": begin})


_LOADER = _loader()


@functools.cache
def _parsed(text: str) -> Any:
    """Return a YAML file's values; one command composes several times, and parsing would be most of that."""
    value = yaml.load(text, Loader=_LOADER)
    return {} if value is None else {value: None} if isinstance(value, str) else value
