"""Navigation from what a reader of the plain files sees: the lists of links in index.md, and the decisions in order."""

from __future__ import annotations

import re

_LINK = re.compile(r"^- \[(?P<title>[^]]+)\]\((?P<page>[\w/-]+)\.md\)", re.MULTILINE)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def sections(index: str) -> dict[str, dict[str, str]]:
    """By heading of index.md, the pages that its list names and their titles there."""
    _, *parts = _SECTION.split(index)
    return {
        heading: {link["page"]: link["title"] for link in _LINK.finditer(body)}
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


def with_trees(page: str, text: str) -> str:
    """The text with the trees that Sphinx takes its navigation from."""
    if page == "index":
        trees = [
            _tree(caption, [f"{title} <{to}>" for to, title in pages.items()])
            for caption, pages in sections(text).items()
        ]
        return text + "".join(trees)
    if page == "decisions/README":
        return text + "\n```{toctree}\n:maxdepth: 1\n:glob:\n\n[0-9]*\n```\n"
    return text


def _tree(caption: str, entries: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""])
