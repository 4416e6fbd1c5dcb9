"""Every mixer of `gradmix.mixing` as a recipe names it: made from a network and the run's settings."""
