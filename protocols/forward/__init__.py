"""What rules need that run the rig forward alone."""
