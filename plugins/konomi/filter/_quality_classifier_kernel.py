"""A linear model over hashed n-grams, compiled: scoring, and learning by stochastic gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from konomi._units_kernel import compiled

# Of another module only the decorator is used: numba does not compile a cached function again when what it calls in
# another file has changed.

Array = NDArray[Any]


@compiled
def logits(features: Array, starts: Array, stops: Array, weights: Array, bias: float, found: Array) -> None:
    """Fill `found` (n,) with the mean weight of each text's n-grams, and the bias.

    The n-grams of size s + 1 of text i are `features[starts[s, i]:stops[s, i]]`.
    """
    for text in range(len(found)):
        total, count = 0.0, 0
        for size in range(len(starts)):
            for index in range(starts[size, text], stops[size, text]):
                total += weights[features[index]]
            count += stops[size, text] - starts[size, text]
        found[text] = bias + total / max(count, 1)


@compiled
def learn(
    features: Array, starts: Array, stops: Array, targets: Array, importance: Array,
    weights: Array, squares: Array, gradients: Array, bias: Array, rate: float,
) -> Any:  # fmt: skip
    """Take one step for each text in turn; return the sum of their losses in nats, each before its step.

    Logistic loss and AdaGrad (Duchi, Hazan and Singer 2011, figure 1): `squares` sums each weight's squared gradients.
    `gradients` holds one text's, and is 0 before and after. `bias` is the bias and the sum of its squares.
    """
    loss = 0.0
    for text in range(len(targets)):
        total, count = 0.0, 0
        for size in range(len(starts)):
            for index in range(starts[size, text], stops[size, text]):
                total += weights[features[index]]
            count += stops[size, text] - starts[size, text]
        logit = bias[0] + total / max(count, 1)
        margin = logit if targets[text] else -logit
        loss += importance[text] * (np.log1p(np.exp(-abs(margin))) + max(-margin, 0.0))
        slope = importance[text] * (1 / (1 + np.exp(-logit)) - targets[text])
        bias[1] += slope * slope
        bias[0] -= rate * slope / np.sqrt(bias[1])
        share = slope / max(count, 1)
        for size in range(len(starts)):
            for index in range(starts[size, text], stops[size, text]):
                gradients[features[index]] += share
        for size in range(len(starts)):
            for index in range(starts[size, text], stops[size, text]):
                feature = features[index]
                gradient = gradients[feature]
                if gradient != 0:
                    squares[feature] += gradient * gradient
                    weights[feature] -= rate * gradient / np.sqrt(squares[feature])
                    gradients[feature] = 0
    return loss


@compiled
def add_shares(features: Array, starts: Array, stops: Array, shares: Array) -> None:
    """Add to `shares` which share of each text's n-grams falls to each feature."""
    for text in range(starts.shape[1]):
        count = 0
        for size in range(len(starts)):
            count += stops[size, text] - starts[size, text]
        for size in range(len(starts)):
            for index in range(starts[size, text], stops[size, text]):
                shares[features[index]] += 1 / count
