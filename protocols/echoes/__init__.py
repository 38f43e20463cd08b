"""What the rules that echo stand on: plans, drives, preparation by drive, the echo lock."""
