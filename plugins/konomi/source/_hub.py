"""Which commit of a repository on the hub is meant, and what is known of it without reading its data."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from konomi.faults import KonomiError
from konomi.source._columns import message_type

if TYPE_CHECKING:
    import pyarrow as pa

COMMIT = re.compile(r"[0-9a-f]{40}")
HF_URL = re.compile(r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<inside>.+))?")
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """Where a data set is: a folder, or a repository at a commit."""

    folder: Path | None = None
    """Local folder, or the snapshot in the hub's cache."""
    repo: str | None = None
    commit: str | None = None
    inside: tuple[str, ...] = ()
    """Files within it, where not all are meant."""
    types: tuple[tuple[str, pa.DataType | None], ...] = ()
    """Columns and their types, where the repository's card says them and there is no folder to look into."""


def locate(path: str, revision: str | None, config: str | None, data_files: tuple[str, ...]) -> Place:
    """Return where the data set is, its revision resolved. Raises `KonomiError` where it cannot be had."""
    local = Path(path).expanduser()
    if local.is_dir():
        return Place(folder=local, inside=data_files)
    if local.is_file():
        return Place(folder=local.parent, inside=(local.name,))
    repo = path
    if path.startswith("hf://"):
        match = HF_URL.fullmatch(path)
        if not match:
            raise KonomiError(
                f"{path} is no data set; expected hf://datasets/ORG/NAME, perhaps with @REVISION and /FILE"
            )
        repo, inside = match["repo"], match["inside"]
        if revision and match["revision"] and revision != match["revision"]:
            raise KonomiError(f"{path} names the revision {match['revision']}, and revision={revision} another")
        revision = revision or match["revision"]
        data_files = (inside,) if inside else data_files
    elif path.count("/") > 1 or path.startswith(("/", "./", "../", "~")):
        raise KonomiError(f"there is no folder {path}, and a repository is called ORG/NAME")
    return replace(_repository(repo, revision, config, is_offline()), inside=data_files)


def is_offline() -> bool:
    """Tell whether the hub is not to be asked."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@functools.lru_cache(maxsize=64)  # a plan asks several times; one process sees one commit
def _repository(repo: str, revision: str | None, config: str | None, offline: bool) -> Place:
    snapshot = _snapshot(repo, revision)
    if offline:
        if snapshot is None:
            at = f" at {revision}" if revision else ""
            raise KonomiError(
                f"{repo}{at} is not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once with"
                f" `hf download {repo} --repo-type dataset` and without HF_HUB_OFFLINE, or give a local folder"
            )
        return Place(folder=snapshot, repo=repo, commit=snapshot.name)
    if revision and COMMIT.fullmatch(revision) and snapshot:
        return Place(folder=snapshot, repo=repo, commit=revision)
    commit, card = _ask(repo, revision)
    return Place(folder=_snapshot(repo, commit), repo=repo, commit=commit, types=_card_types(card, config))


def _snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the folder of a revision in the hub's cache, where there is one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise KonomiError(f"{repo} is neither a folder nor the name of a repository: {error}") from error


def _ask(repo: str, revision: str | None) -> tuple[str, Any]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(repo, revision=revision, timeout=TIMEOUT_SECONDS)
    except GatedRepoError as error:
        raise KonomiError(
            f"{repo} asks for its terms to be accepted: do so on its page, then `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise KonomiError(f"{repo} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise KonomiError(f"there is no data set {repo} on the hub (or it is private: `hf auth login`)") from error
    except Exception as error:  # the client's transport has changed with its releases, and so have its errors
        raise KonomiError(
            f"the hub cannot be asked for {repo}: {type(error).__name__}: {error};"
            " HF_HUB_OFFLINE=1 takes what is in its cache"
        ) from error
    return str(info.sha), info.card_data


def _card_types(card: Any, config: str | None) -> tuple[tuple[str, pa.DataType | None], ...]:
    """Return the columns that a repository's card lists for a configuration, with the types that we can use."""
    listed = getattr(card, "dataset_info", None) or []
    for info in listed if isinstance(listed, list) else [listed]:
        if isinstance(info, dict) and config in (None, info.get("config_name")) and info.get("features"):
            return tuple((str(feature["name"]), _card_type(feature)) for feature in info["features"])
    return ()


def _card_type(feature: dict[str, Any]) -> pa.DataType | None:
    import pyarrow as pa

    inside = feature.get("list")
    if isinstance(inside, list) and {"role", "content"} <= {field.get("name") for field in inside}:
        return message_type()
    known = {"string": pa.string(), "large_string": pa.string(), "bool": pa.bool_()}
    numbers = {"int": pa.int64(), "uint": pa.int64(), "float": pa.float64()}
    dtype = str(feature.get("dtype", ""))
    return known.get(dtype) or numbers.get(dtype.rstrip("0123456789"))
