"""Compiled loops of the recurrent units.  Each has a readable NumPy counterpart that tests hold it against."""
