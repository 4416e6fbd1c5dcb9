"""Mean: the other reading of source-only training, the average of the source losses."""

from gradmix.mixing.sum import Sum


class Mean(Sum):
    """Back-propagate the mean of the source losses: `Sum` with a step 1/K as long."""

    def scale(self, sources: int) -> float:
        """Factor of every source's loss."""
        return 1.0 / sources
