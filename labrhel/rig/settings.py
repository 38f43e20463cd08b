"""The settings behind a rig URL: key=value, joined by &, as they stand."""

from __future__ import annotations


def settings_of(query: str) -> dict[str, str]:
    """The values by key; the last one counts.

    Nothing is decoded: a URL of ours is typed, not sent by a browser, and + and % are letters in names of files.
    """
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {key: value for key, _, value in pairs}
