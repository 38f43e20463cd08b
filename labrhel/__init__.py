"""labrhel: train physical oscillator rigs in place by Hamiltonian echoes."""

__version__ = "0.1.0"
