"""The file of a virtual bench, and the station file that it writes."""
