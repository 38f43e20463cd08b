"""Wires with faults on demand, and boards behind a link, for tests of drivers."""
