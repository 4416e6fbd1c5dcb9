"""Mean: the other reading of source-only training, the average of the losses."""

from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.sum import Sum


class Mean(Sum):
    """Back-propagate the mean of all losses: `Sum` with a step as long as one of them."""

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Give every loss 1 over the number of losses."""
        return super().weigh(stats) / stats.losses_K.shape[-1]
