"""Make a pair of two switches: the first serves alone and makes a bundle, by which the second one joins it."""
