"""Gradient engines: physical echoes, difference form, reversible adjoint, tape BPTT, behind one interface."""
