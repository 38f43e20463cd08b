"""What a gradient will do, and cost, on paper: nothing moves."""
