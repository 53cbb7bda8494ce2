"""A model that was trained before: of the hub, of a folder, of an earlier stage."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from konomi.failures import is_out_of_memory
from konomi.faults import Fault, Faults, KonomiError
from konomi.fields import NOT_IN_KEY
from konomi.model._contents import CAUSAL, Head
from konomi.registry import register
from konomi.store.artifact import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from konomi.model._location import Location

log = logging.getLogger(__name__)

MOST_SAID = 400
"""Characters of a library's error that are shown; some list every model there is."""


class Dtype(Enum):
    """Number format of the weights in memory."""

    auto = "auto"
    """The one they are stored in."""
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@register("model", "hub")
@dataclass(frozen=True)
class Hub:
    """Load a causal language model and its tokenizer: an earlier stage's, a folder's, or the Hugging Face hub's.

    Weights are read from safetensors files only, which hold no code. A hub's revision is resolved when the recipe is
    planned, and the commit is what the key holds; of a folder it is the content of its files.

    >>> [fault.what for fault in Hub(name_or_path="./no/such/model").check()]
    ['there is no folder ./no/such/model']
    """

    name_or_path: Any = field(default=None, metadata={"artifact": ("model", "str"), "optional": False, **NOT_IN_KEY})
    """`OWNER/NAME` on the hub, a local folder (which goes first), an earlier stage (`${artifact:STAGE}`), or the name
    or key of an artifact (`konomi tag`)."""
    revision: str | None = field(default=None, metadata=NOT_IN_KEY)
    """Branch, tag or commit on the hub; unset is the main branch. The commit that it stands for is in the key."""
    dtype: Dtype = Dtype.auto
    """Number format of the weights; `auto` is the one they are stored in."""
    attn_implementation: str | None = None
    """How attention is computed (`sdpa`, `eager`, `flash_attention_2`); unset leaves it to transformers."""
    trust_remote_code: bool = False
    """Run Python files that come with the model. Say yes only to those whose code you trust as your own."""

    HEAD: ClassVar[Head] = CAUSAL
    """What the model is loaded for."""
    PADDING: ClassVar[tuple[str, ...]] = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<|endoftext|>")
    """Entries that are meant for padding though a tokenizer does not say so (the fourth is Llama 3's)."""

    def check(self) -> Iterable[Fault]:
        """Yield what keeps the model from being loaded; an earlier stage's model may not exist yet."""
        from konomi.model._location import locate

        yield from self._attention()
        if isinstance(self.name_or_path, Artifact):
            if self.revision:
                yield Fault("revision", f"{self.revision} is given, and the model is an artifact, which has none")
            return
        if not isinstance(self.name_or_path, str) or not self.name_or_path:
            yield Fault("name_or_path", "names no model", "type model.name_or_path=OWNER/NAME, or the path of a folder")
            return
        try:
            location = locate(self.name_or_path, self.revision)
        except KonomiError as error:
            yield Fault("name_or_path", str(error))
            return
        if self.revision and location.repo is None:
            yield Fault("revision", f"{self.revision} is given, and {self.name_or_path} is a folder, which has none")
        yield from self._missing(location)

    def _missing(self, location: Location) -> Iterable[Fault]:
        from konomi.model._contents import damage
        from konomi.model._location import ADAPTERS, CONFIG, TOKENIZERS, brings_code

        name, files = self.name_or_path, location.files
        if adapter := next((file for file in ADAPTERS if file in files), None):
            what = f"{name} has an adapter ({adapter}), which transformers would load over or in place of the model"
            yield Fault("name_or_path", what, "an adapter is not a model: merge it into its base first")
        elif CONFIG not in files:
            yield Fault("name_or_path", f"{name} has no {CONFIG}")
        elif location.complete:
            if not any(file.endswith(".safetensors") for file in files):
                hint = "convert it: load it where you trust it, then save_pretrained(…)"
                yield Fault("name_or_path", f"{name} has no *.safetensors, and other weight files can run code", hint)
            if not any(file in TOKENIZERS for file in files):
                yield Fault("name_or_path", f"{name} has no tokenizer ({', '.join(TOKENIZERS)})")
            if location.folder is not None:
                damaged = list(damage(location.folder, own_code=self.trust_remote_code, head=self.HEAD))
                yield from damaged
                if not damaged and not self.trust_remote_code:
                    yield from brings_code(location.folder, name, self.HEAD.auto)

    def _attention(self) -> Iterable[Fault]:
        if "/" in (self.attn_implementation or "") and not self.trust_remote_code:
            what = f"{self.attn_implementation} is a kernel of the hub, a program that would be fetched and run"
            yield Fault("attn_implementation", what, "sdpa, eager or flash_attention_2; or trust_remote_code=true")

    def depends(self) -> Mapping[str, Any]:
        from konomi.model._location import locate
        from konomi.store.content import folder_hash

        if isinstance(self.name_or_path, Artifact):
            return {}
        location = locate(self.name_or_path, self.revision)
        if location.repo is not None:
            return {"repository": location.repo, "commit": location.commit}
        return {"content": folder_hash(str(location.folder))}

    def load(self, **kwargs: Any) -> PreTrainedModel:
        """Return the model on the CPU; `kwargs` go to `from_pretrained`. Raises `KonomiError` where weights lack."""
        import transformers

        name, revision = self._source()
        options: dict[str, Any] = {"dtype": self.dtype.value, "attn_implementation": self.attn_implementation, **kwargs}
        try:
            model, report = getattr(transformers, self.HEAD.auto).from_pretrained(
                name,
                revision=revision,
                trust_remote_code=self.trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        except Exception as error:
            raise _unloadable(f"{name}: the model cannot be loaded", error) from error
        if missing := sorted(report["missing_keys"]):
            raise KonomiError(
                f"{name}: {len(missing)} weights are not in its files ({', '.join(missing[:3])} …) and would be random;"
                f" it is no whole {self.HEAD.what}"
            )
        loaded: PreTrainedModel = model
        return loaded

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer; one without a padding token gets one, and a line in the log says which."""
        from transformers import AutoTokenizer

        name, revision = self._source()
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=self.trust_remote_code)
        except Exception as error:
            raise _unloadable(f"{name}: the tokenizer cannot be loaded", error) from error
        if tokenizer.pad_token is None:
            self._pad(tokenizer)
        return tokenizer

    def _pad(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Take an entry of the vocabulary for padding, so that no matrix has to grow; the end token last of all."""
        vocab = tokenizer.get_vocab()
        meant = [piece for piece in self.PADDING if piece in vocab and piece != tokenizer.eos_token]
        chosen = next(iter([*meant, *filter(None, (tokenizer.unk_token, tokenizer.eos_token))]), None)
        if chosen is None:
            raise KonomiError(
                f"{self.name_or_path}: the tokenizer names no padding, unknown or end token to pad with; set pad_token"
                " in its tokenizer_config.json"
            )
        tokenizer.pad_token = chosen
        log.warning("%s: the tokenizer names no padding token; %s pads", self.name_or_path, chosen)

    def parameters(self) -> int | None:
        """Return the number of weights; None where the files are not there yet."""
        from konomi.model._location import Location, locate

        if isinstance(self.name_or_path, Artifact):
            return Location(folder=Path(self.name_or_path.path)).parameters()
        try:
            return locate(self.name_or_path, self.revision).parameters()
        except KonomiError:
            return None

    def context(self) -> int | None:
        """Return how many tokens the model can read at most; None where that cannot be known yet."""
        from konomi.model._contents import context
        from konomi.model._location import locate

        if isinstance(self.name_or_path, Artifact):
            return context(Path(self.name_or_path.path))
        try:
            folder = locate(self.name_or_path, self.revision).folder
        except KonomiError:
            return None
        return context(folder) if folder else None

    def _source(self) -> tuple[str, str | None]:
        """Return what to hand to `from_pretrained`: a folder, or a repository and the commit that was planned."""
        from konomi.model._location import brings_code, locate

        if isinstance(self.name_or_path, Artifact):
            return str(self.name_or_path.path), None
        location = locate(self.name_or_path, self.revision)
        if location.folder is not None and not self.trust_remote_code:
            Faults.check(brings_code(location.folder, self.name_or_path, self.HEAD.auto))
        return (location.repo, location.commit) if location.repo else (str(location.folder), None)


def _unloadable(what: str, error: Exception) -> BaseException:
    """Return what to raise where a library cannot load files: a line for a person, a lack of memory as it is."""
    if isinstance(error, MemoryError) or is_out_of_memory(error):
        return error
    said = " ".join(str(error).split())
    if "ignore_mismatched_sizes" in said:
        said = "the weights are of other shapes than its config.json and tokenizer say; run.log lists them"
    elif "custom code" in said:
        said = "it brings Python code of its own; say model.trust_remote_code=true on the command line if you trust it"
    elif not isinstance(error, (OSError, ValueError)):
        said = f"{type(error).__name__}: {said}"
    return KonomiError(f"{what}: {said[:MOST_SAID]}{'…' if len(said) > MOST_SAID else ''}")
