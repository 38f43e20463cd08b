"""A shot, from the program that is wanted to what came back."""
