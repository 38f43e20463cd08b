"""Emergency stop, the programs of this machine, and the states that a rig can be in."""
