"""What both ends of a wire must agree on: number formats and frames, shared by drivers and simulations."""
