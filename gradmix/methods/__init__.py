"""Methods: recipes that name the sets a method may see, their loss terms, its mixer and its schedule."""
