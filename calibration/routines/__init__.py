"""The routines, one a module: each measures, analyses and proposes; `calibration.graph` says in which order."""
