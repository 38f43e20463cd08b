"""Models: one Hamiltonian a file, with its equation, source and parameter observables."""
