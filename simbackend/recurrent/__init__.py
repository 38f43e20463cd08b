"""Recurrent units of oscillators: models, kernels, gradient engines, stacks."""
