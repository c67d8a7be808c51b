"""LoRA adapters (Hu et al., 2021; peft) on the language model, and their content-addressed archive.

Vision tower and projector stay frozen, so that an image's features are computed once a round. The archive is a tar of
two files whose bytes depend on the weights alone; its SHA-256 is the adapter's name.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..contract import ADAPTER_BYTES, LoraShape
from .model import Vlm

TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TARGET_PATTERN: Final = rf".*language_model.*\.({'|'.join(TARGETS)})"
ALPHA_PER_RANK: Final = 2
"""alpha = 2 r: the scale alpha / r is then the same for every rank, so that an adapter can grow."""
CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
FILES: Final = (CONFIG_FILE, WEIGHTS_FILE)


class BadAdapter(Exception):
    """An archive that is no adapter of this model. The message says why."""


class Adapter:
    """The trainable LoRA on a model. Attaching changes `vlm` in place; there is one adapter a model."""

    def __init__(self, peft_model: PeftModel, rank: int) -> None:
        self.peft_model = peft_model
        self.rank = rank

    @classmethod
    def attach(cls, vlm: Vlm, rank: int, seed: int, archive: bytes | None = None) -> Adapter:
        """The adapter in `archive`, or a fresh one that changes nothing yet.

        An archive of a lower rank grows to `rank` without changing what it computes; one of a higher rank keeps its
        own. Raises `BadAdapter`.
        """
        torch.manual_seed(seed)
        saved = None if archive is None else _weights(archive)
        rank = max(rank, _rank_of(saved)) if saved else rank
        config = LoraConfig(r=rank, lora_alpha=ALPHA_PER_RANK * rank, target_modules=TARGET_PATTERN, lora_dropout=0.0)
        adapter = cls(get_peft_model(vlm.model, config), rank)
        if saved:
            adapter.load_state(_grown(saved, adapter.state()))
        return adapter

    @property
    def shape(self) -> LoraShape:
        return LoraShape(r=self.rank, alpha=ALPHA_PER_RANK * self.rank, targets=TARGETS)

    def parameters(self) -> list[Tensor]:
        return [parameter for parameter in self.peft_model.parameters() if parameter.requires_grad]

    def state(self) -> dict[str, Tensor]:
        """Copies of the weights, on the CPU."""
        weights: Mapping[str, Tensor] = get_peft_model_state_dict(self.peft_model)
        return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Raises `BadAdapter` when names or shapes are not those of this model."""
        expected = {name: tensor.shape for name, tensor in self.state().items()}
        if {name: tensor.shape for name, tensor in state.items()} != expected:
            raise BadAdapter("the adapter's weights do not fit the model")
        set_peft_model_state_dict(self.peft_model, dict(state))

    def archive(self) -> bytes:
        """The content-addressed tar: the same weights give the same bytes, wherever and whenever."""
        config = {
            "base_model_name_or_path": None,
            "bias": "none",
            "inference_mode": True,
            "lora_alpha": ALPHA_PER_RANK * self.rank,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": self.rank,
            "target_modules": TARGET_PATTERN,
            "task_type": None,
        }
        return pack(
            {CONFIG_FILE: json.dumps(config, indent=1, sort_keys=True).encode(), WEIGHTS_FILE: save(self.state())}
        )


def pack(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar of the files, by name, without times or owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def unpack(archive: bytes) -> dict[str, bytes]:
    """The two files of an adapter. Raises `BadAdapter` for anything else."""
    if len(archive) > ADAPTER_BYTES:
        raise BadAdapter(f"the adapter has {len(archive)} bytes, the limit is {ADAPTER_BYTES}")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            files = {entry.name: _content(tar, entry) for entry in tar}
    except tarfile.TarError as error:
        raise BadAdapter(f"the adapter is no tar archive: {error}") from None
    if set(files) != set(FILES):
        raise BadAdapter(f"the adapter holds {sorted(files)} instead of {sorted(FILES)}")
    return files


def install(archive: bytes, folder: Path) -> Path:
    """The adapter as a folder that `PeftModel.from_pretrained` reads. Raises `BadAdapter`, OSError."""
    files = unpack(archive)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def file_hashes(archive: bytes) -> dict[str, str]:
    """SHA-256 of each file, in hex."""
    return {name: sha256(data).hexdigest() for name, data in unpack(archive).items()}


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry) if entry.isfile() else None
    if file is None:
        raise BadAdapter(f"the adapter holds {entry.name!r}, which is no file")
    return file.read()


def _weights(archive: bytes) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load(unpack(archive)[WEIGHTS_FILE])
    except SafetensorError as error:
        raise BadAdapter(f"the adapter's weights can not be read: {error}") from None
    return weights


def _rank_of(state: Mapping[str, Tensor]) -> int:
    ranks = {tensor.shape[0] for name, tensor in state.items() if "lora_A" in name}
    if len(ranks) != 1:
        raise BadAdapter("the adapter's matrices do not have one rank")
    return int(ranks.pop())


def _grown(saved: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`saved` inside matrices of the rank of `fresh`: new rows of A stay random, new columns of B are zero."""
    grown: dict[str, Any] = dict(fresh)
    for name, tensor in saved.items():
        target = fresh.get(name)
        if target is None or any(have > room for have, room in zip(tensor.shape, target.shape, strict=True)):
            raise BadAdapter("the adapter's weights do not fit the model")
        target[tuple(slice(0, size) for size in tensor.shape)] = tensor
    return grown
