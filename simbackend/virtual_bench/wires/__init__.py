"""Wires: how the messages of an instrument travel, over TCP sockets, HiSLIP, and serial lines."""
