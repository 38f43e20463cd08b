"""Simulated rigs, virtual benches and units that tests share, and the truth that they are compared with."""
