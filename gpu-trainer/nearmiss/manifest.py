"""What an adapter is and came from, with the hashes that make it reproducible."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from .contract import AdapterManifest, Base, ClaimedRound, LoraShape, TrainingPolicy
from .engine.adapters import file_hashes

MODEL_FILES: Final = ("config.json", "*.safetensors")
PROCESSOR_FILES: Final = (
    "chat_template*",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer*",
)
READ_BYTES: Final = 1 << 20


def files_sha256(folder: Path, patterns: Iterable[str]) -> str:
    """One hash over the names and contents of the files, in the order of their names."""
    total = sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        one = sha256()
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                one.update(chunk)
        total.update(f"{path.name}\n{one.hexdigest()}\n".encode())
    return total.hexdigest()


def make_manifest(
    model: Path, claimed: ClaimedRound, recipe: TrainingPolicy, lora: LoraShape, dtype: str, archive: bytes
) -> AdapterManifest:
    """The manifest of the adapter in `archive`, trained from the model saved in `model`."""
    return AdapterManifest(
        base=Base(model=model.resolve().name, sha256=files_sha256(model, MODEL_FILES)),
        processor_sha256=files_sha256(model, PROCESSOR_FILES),
        lora=lora,
        dtype=dtype,
        parent=claimed.reference,
        lease=claimed.lease.id,
        batch_sha256=claimed.batch.sha256,
        objective=recipe.objective,
        files=file_hashes(archive),
    )
