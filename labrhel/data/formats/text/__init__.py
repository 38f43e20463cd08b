"""Tables of text, of any sane dialect: what oscilloscopes, loggers, spreadsheets and people write."""
