"""One file per method: a recipe that names the sets it may see, their loss terms, its mixer and its schedule."""
