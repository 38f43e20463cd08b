"""Simulated rigs: ideal, imperfect, deliberately wrong, and the references that tests compare with."""
