"""Virtual instruments, each in the dialect of a real one, and with no command that the real one lacks."""
