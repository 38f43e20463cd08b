"""What is inferred from records: fits, inverse dynamics, correlations, settled states."""
