"""The host's nominal model: its interface, its integrator, its motion.  Rules, lock and twins compute with it."""
