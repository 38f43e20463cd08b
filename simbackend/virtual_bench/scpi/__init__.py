"""The language of instruments: messages, headers, settings."""
