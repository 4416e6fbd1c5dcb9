"""Mean: the other reading of source-only training, the average of the source losses."""

from torch import Tensor

from gradmix.mixing.sum import Sum


class Mean(Sum):
    """Back-propagate the mean of the source losses: `Sum` with a step 1/K as long."""

    def combine(self, losses_K: Tensor) -> Tensor:
        """The mean."""
        return losses_K.mean()
