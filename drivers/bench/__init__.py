"""Rigs put together from instruments on a bench: a station file in, a `labrhel.shots.rig.Rig` out."""
