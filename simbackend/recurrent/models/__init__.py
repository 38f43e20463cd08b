"""Recurrent units, one a file, with equation and source."""
