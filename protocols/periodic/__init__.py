"""Gradients in the periodic steady state: transients discarded, and averages over whole periods."""
