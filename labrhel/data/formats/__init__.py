"""Files of recordings: a reader for each format, behind one interface."""
