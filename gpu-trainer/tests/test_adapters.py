"""Adapters: what they change, how they grow, and that their archive is named by its content."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import nn

from nearmiss.engine.adapters import Adapter, BadAdapter, file_hashes, install, pack, unpack
from nearmiss.engine.groups import batch_groups
from nearmiss.engine.logprobs import answer_logprobs
from nearmiss.engine.model import Vlm
from tiny import make_groups, make_vlm


def logprobs(vlm: Vlm) -> torch.Tensor:
    with torch.no_grad():
        return answer_logprobs(vlm, batch_groups(make_groups(vlm, 4), vlm.pad_id))


def trained(rank: int = 4) -> tuple[Vlm, Adapter]:
    """A model with an adapter that does something."""
    vlm = make_vlm()
    adapter = Adapter.attach(vlm, rank, seed=3)
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.03)
    return vlm, adapter


def test_a_fresh_adapter_changes_nothing_and_a_trained_one_does() -> None:
    plain = logprobs(make_vlm())
    fresh = make_vlm()
    Adapter.attach(fresh, 4, seed=3)
    assert torch.equal(logprobs(fresh), plain)
    assert float((logprobs(trained()[0]) - plain).abs().max()) > 0.1


def test_only_the_language_model_is_trained() -> None:
    vlm, adapter = trained()
    names = [name for name, parameter in vlm.model.named_parameters() if parameter.requires_grad]
    linear = [
        m
        for n, m in vlm.model.named_modules()
        if "language_model" in n and n.endswith("_proj") and isinstance(m, nn.Module)
    ]
    assert len(names) == len(adapter.parameters()) == 2 * len(linear)
    assert all("language_model" in name and "lora_" in name for name in names)


def test_an_archive_brings_the_adapter_back() -> None:
    vlm, adapter = trained()
    again = make_vlm()
    Adapter.attach(again, 4, seed=99, archive=adapter.archive())
    assert torch.equal(logprobs(again), logprobs(vlm))


def test_the_archive_depends_on_the_weights_alone() -> None:
    one, other = trained()[1], trained()[1]
    assert one.archive() == other.archive()
    assert set(file_hashes(one.archive())) == {"adapter_config.json", "adapter_model.safetensors"}
    with torch.no_grad():
        next(iter(other.parameters()))[0, 0] += 1
    assert one.archive() != other.archive()


def test_an_adapter_grows_to_a_higher_rank_without_changing_an_answer() -> None:
    vlm, adapter = trained(rank=4)
    larger = make_vlm()
    grown = Adapter.attach(larger, 16, seed=5, archive=adapter.archive())
    assert (grown.shape.r, grown.shape.alpha) == (16, 32)
    assert float((logprobs(larger) - logprobs(vlm)).abs().max()) < 1e-4


def test_an_adapter_of_a_higher_rank_keeps_it() -> None:
    vlm, adapter = trained(rank=8)
    again = make_vlm()
    assert Adapter.attach(again, 4, seed=5, archive=adapter.archive()).rank == 8
    assert torch.equal(logprobs(again), logprobs(vlm))


def test_peft_itself_loads_an_installed_adapter(tmp_path: Path) -> None:
    vlm, adapter = trained()
    folder = install(adapter.archive(), tmp_path / "adapter")
    other = make_vlm()
    PeftModel.from_pretrained(other.model, folder)
    assert torch.equal(logprobs(other), logprobs(vlm))


def link() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("adapter_config.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"no tar at all" * 100, "no tar archive"),
        (pack({"../escape": b""}), "holds"),
        (pack({"adapter_config.json": b"{}"}), "holds"),
        (link(), "no file"),
    ],
)
def test_other_archives_are_turned_down(archive: bytes, reason: str) -> None:
    with pytest.raises(BadAdapter, match=reason):
        unpack(archive)


def test_an_adapter_of_another_model_is_turned_down() -> None:
    from safetensors.torch import save

    weights = save({"base_model.model.other.lora_A.weight": torch.zeros(4, 8)})
    foreign = pack({"adapter_config.json": b"{}", "adapter_model.safetensors": weights})
    with pytest.raises(BadAdapter, match="do not fit"):
        Adapter.attach(make_vlm(), 4, seed=0, archive=foreign)
    broken = pack({"adapter_config.json": b"{}", "adapter_model.safetensors": b"\xff" * 64})
    with pytest.raises(BadAdapter, match="can not be read"):
        Adapter.attach(make_vlm(), 4, seed=0, archive=broken)
