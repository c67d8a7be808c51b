"""The miniature LVLM: a LLaVA of 1.5M parameters that trains and answers on a CPU."""

from .model import Miniature, ModelError, prompt

__all__ = ["Miniature", "ModelError", "prompt"]
