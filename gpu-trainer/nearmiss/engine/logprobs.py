"""Log-probabilities of the answers of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from .groups import GroupBatch
from .model import Vlm


def answer_logprobs(vlm: Vlm, batch: GroupBatch) -> Tensor:
    """(A,) for each answer, the sum over its tokens of their log-probabilities, in nats.

    The head runs only where an answer token is predicted; the log-softmax is taken in fp32 whatever the model's dtype.
    """
    device = vlm.device
    hidden = vlm.hidden(batch.rows.to(device), batch.images)
    at_answers = hidden[batch.row_index.to(device), batch.position.to(device)]
    logits = vlm.model.lm_head(at_answers).float()
    tokens = log_softmax(logits, dim=-1).gather(1, batch.target.to(device)[:, None])[:, 0]
    sums = torch.zeros(len(batch.answer_tokens), dtype=torch.float32, device=device)
    return sums.index_add(0, batch.answer.to(device), tokens)
