"""Several inputs in one forward pass, with the parameters' gradients kept apart by input."""
