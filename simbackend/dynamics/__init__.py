"""Propagators and exact gradients: the readable leapfrog, compiled networks, adjoints."""
