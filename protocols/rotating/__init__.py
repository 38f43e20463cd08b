"""Echoes in the rotating frame: what rhel, heb, recorded_correlation and adjoint_only do on arrays of amplitudes."""
