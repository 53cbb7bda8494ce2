"""Where a model is, and which commit of it, without loading it."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from konomi.faults import Fault, KonomiError

COMMIT = re.compile(r"[0-9a-f]{40}")
CONFIG = "config.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
TIMEOUT_SECONDS = 10.0
LONGEST_JSON = 16 << 20
"""Bytes of a model's or tokenizer's configuration; the largest known has some hundred kilobytes."""
LONGEST_HEADER = 100_000_000
"""Bytes that safetensors itself allows a header."""


@dataclass(frozen=True)
class Location:
    """A folder, or a repository of the hub at a commit."""

    folder: Path | None = None
    """Local folder, or the snapshot in the hub's cache; None where the files are still on the hub."""
    repo: str | None = None
    commit: str | None = None
    files: tuple[str, ...] = ()
    """Names of the files at its top."""
    complete: bool = True
    """Whether these are all; a snapshot in the cache may be filled up from the hub."""
    counted: int | None = None
    """Weights, where the hub says their number."""

    def parameters(self) -> int | None:
        """Return the number of weights, from the headers of the weight files."""
        if self.folder is None or not self.folder.is_dir():
            return self.counted
        sizes = [_weights(file) for file in sorted(self.folder.glob("*.safetensors"))]
        return sum(sizes) if sizes else self.counted


def looks_local(name: str) -> bool:
    """Tell a path from a hub's `name` or `owner/name`.

    >>> [looks_local(name) for name in ("./model", "/data/model", "runs/a/b", "Qwen/Qwen3-0.6B", "gpt2")]
    [True, True, True, False, False]
    """
    return name.startswith(("/", "./", "../", "~")) or name in (".", "..") or name.count("/") > 1 or "\\" in name


def locate(name: str, revision: str | None) -> Location:
    """Return where a model is, its revision resolved. Raises `KonomiError` where it cannot be had."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Location(folder=folder, files=_names(folder))
    if folder.exists():
        raise KonomiError(f"{name} is a file; a model is a folder with {CONFIG} and *.safetensors")
    if looks_local(name):
        raise KonomiError(f"there is no folder {name}")
    return _repository(name, revision, is_offline())


def is_offline() -> bool:
    """Tell whether the hub is not to be asked."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@functools.lru_cache(maxsize=64)  # a plan asks several times; one process sees one commit
def _repository(repo: str, revision: str | None, offline: bool) -> Location:
    snapshot = _snapshot(repo, revision)
    pinned = revision is not None and COMMIT.fullmatch(revision) is not None
    if snapshot is not None and (offline or pinned):
        return Location(snapshot, repo, snapshot.name, _names(snapshot), complete=offline)
    if offline:
        at = f" at {revision}" if revision else ""
        raise KonomiError(
            f"{repo}{at} is no folder and not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once with"
            f" `hf download {repo}` and without HF_HUB_OFFLINE, or give a local folder"
        )
    return _ask(repo, revision)


def _snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the folder of a revision in the hub's cache, where it has the model's configuration."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, CONFIG, revision=revision)
    except HFValidationError as error:
        raise KonomiError(f"{repo} is neither a folder nor the name of a repository: {error}") from error
    return Path(found).parent if isinstance(found, str) else None


def _ask(repo: str, revision: str | None) -> Location:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(repo, revision=revision, timeout=TIMEOUT_SECONDS)
    except GatedRepoError as error:
        raise KonomiError(f"{repo} asks that its terms be accepted: do so on its page, then `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise KonomiError(f"{repo} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise KonomiError(f"there is no model {repo} on the hub (or it is private: `hf auth login`)") from error
    except Exception as error:  # the client's transport has changed with its releases, and so have its errors
        raise KonomiError(
            f"the hub cannot be asked for {repo}: {type(error).__name__}: {error};"
            " HF_HUB_OFFLINE=1 takes what is in its cache"
        ) from error
    files = tuple(sorted(file.rfilename for file in info.siblings or ()))
    counted = info.safetensors.total if info.safetensors else None
    return Location(_snapshot(repo, info.sha), repo, str(info.sha), files, counted=counted)


def brings_code(folder: Path, name: str, auto: str = "AutoModelForCausalLM") -> Iterator[Fault]:
    """Yield a fault for each thing in a model's own files that would run, or that transformers would unpickle.

    `auto` is the class of transformers that loads the model.
    """
    for file in (CONFIG, "tokenizer_config.json"):
        try:
            said = _object(folder / file)
        except KonomiError as error:
            yield Fault("name_or_path", str(error))
            continue
        classes = {"AutoConfig", auto} if file == CONFIG else {"AutoTokenizer"}
        mapped = said.get("auto_map")
        needed = isinstance(mapped, dict) and classes & set(mapped) and not _is_known(str(said.get("model_type")))
        if needed and (file == CONFIG or not (folder / "tokenizer.json").is_file()):
            what = f"{name} brings code of its own ({file}: auto_map), and a model's code is a program"
            yield Fault("name_or_path", what, "read it; if you trust it as your own: trust_remote_code=true")
        kernels = [said.get(key) for key in ("attn_implementation", "experts_implementation")]
        for kernel in [value for value in kernels if "/" in str(value or "")]:
            what = f"{name} asks for a kernel of the hub ({file}: {kernel}), which is a program"
            yield Fault("name_or_path", what, f"take it out of {file}, or trust_remote_code=true if you trust it")
        weights = str(said.get("transformers_weights") or "")
        own = Path(weights).name == weights and weights.endswith((".safetensors", ".safetensors.index.json"))
        if weights and not own:
            yield Fault("name_or_path", f"{name} names {weights!r} as its weights; only its own *.safetensors are read")


def _is_known(model_type: str) -> bool:
    """Tell whether transformers has this architecture itself: then it runs its own code, whatever `auto_map` says."""
    spec = importlib.util.find_spec("transformers")
    roots = spec.submodule_search_locations or [] if spec else []
    safe = re.fullmatch(r"[a-z0-9_\-]+", model_type) is not None
    return safe and any((Path(root) / "models" / model_type.replace("-", "_")).is_dir() for root in roots)


def _object(file: Path) -> dict[str, Any]:
    """Return what a JSON file of a model says, nothing where there is none. Raises `KonomiError` where it is broken."""
    if not file.is_file():
        return {}
    if file.stat().st_size > LONGEST_JSON:
        raise KonomiError(f"{file} has {file.stat().st_size} bytes, and no model's has more than {LONGEST_JSON}")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise KonomiError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise KonomiError(f"{file} holds no JSON object")
    return value


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(file.name for file in folder.iterdir()))


def _weights(file: Path) -> int:
    """Return the number of weights in a safetensors file, from its header."""
    return sum(math.prod(tensor["shape"]) for _, tensor in weights_header(file))


def weights_header(file: Path) -> list[tuple[str, Any]]:
    """Return the tensors that a safetensors file's header lists; raises `KonomiError` where it is none."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LONGEST_HEADER:
            raise KonomiError(f"{file} is no safetensors file: its header would take {length} bytes")
        try:
            header = json.loads(stream.read(length))
            listed = [(name, tensor) for name, tensor in header.items() if name != "__metadata__"]
            if all(
                len(tensor["data_offsets"]) == 2 and math.prod(map(int, tensor["shape"])) >= 0 for _, tensor in listed
            ):
                return listed
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            raise KonomiError(f"{file} is no whole safetensors file: its header cannot be read ({error})") from error
    raise KonomiError(f"{file} is no safetensors file: its header lists no tensors")
