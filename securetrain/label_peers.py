"""cleanlab, the library by confident learning's authors, asked about the same labels.

It is optional: `cleanlab()` says loudly when it is absent; nothing stands in for it.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from securetrain.annotators import NOBODY, check_votes
from securetrain.labels import check_probabilities


def cleanlab() -> bool:
    """Print which cleanlab answers, or that none does; return whether one does."""
    try:
        print(f"cleanlab {version('cleanlab')} answers")
    except PackageNotFoundError:
        print("SKIPPED: cleanlab is not installed, so nothing is compared with it")
        return False
    return True


def flags(y: Tensor, probabilities: Tensor) -> Tensor:
    """Return the labels that cleanlab flags by confident learning, (N,) bool.

    y: (N,) int64; probabilities: (N, K), out of fold
    Besides the paper's rule it spares a label that is the likeliest class.
    Source: Confident Learning, Northcutt et al. 2021, arXiv:1911.00068
    """
    from cleanlab.filter import find_label_issues

    check_probabilities(probabilities, y)
    rule = {"filter_by": "confident_learning", "n_jobs": 1}
    found = find_label_issues(y.numpy(), probabilities.double().numpy(), **rule)
    return torch.from_numpy(found)


def quality(votes: Tensor, probabilities: Tensor) -> Tensor:
    """Return how reliable cleanlab takes each person to be, (A,), at most 1.

    votes: (N, A), -1 where nobody was asked; probabilities: (N, K), out of fold
    Source: CROWDLAB, Goh et al. 2022, arXiv:2210.06812
    """
    from cleanlab.multiannotator import get_label_quality_multiannotator

    check_votes(votes)
    table = votes.double().masked_fill(votes == NOBODY, torch.nan).numpy()
    found = get_label_quality_multiannotator(
        table, probabilities.double().numpy(), verbose=False
    )
    by_person = found["annotator_stats"]["annotator_quality"].sort_index()
    return torch.tensor(by_person.to_numpy())
