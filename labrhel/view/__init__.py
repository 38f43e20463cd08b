"""A view of runs while they go on: from their records as they grow, in a browser or a notebook."""
