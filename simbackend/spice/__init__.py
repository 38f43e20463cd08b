"""Circuits that others drew as rigs: `spice:CIRCUIT.cir`, run by ngspice.

`netlist` reads a circuit and lets in what is a circuit and nothing else; `mapping` is the small file beside it that
says what is a port, a channel, a knob; `transient` runs one simulation in a process; `rig` makes a rig of them.
"""
