"""A joint forward pass: several inputs in one, with the parameters' gradients kept apart by input."""
