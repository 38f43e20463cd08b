"""What can be done with the record of a run: replay it, compare it, ask what if, report, plot, export."""
