"""Compiled inner loops.  Each has a readable NumPy counterpart that the tests hold it against."""
