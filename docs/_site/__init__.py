"""What turns the pages into a site: navigation, what is made of the code, docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _site import docstrings, made, navigation

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    from sphinx.util.inspect import TypeAliasForwardRef

    TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # dict[str, Array], where Sphinx would name its own class
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstrings.to_restructured_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """The text of a page, with what the site adds to it."""
    text = made.filled(source[0])
    if f"{page}.md" in app.config.nb_execution_excludepatterns:
        text = made.with_reason(text)
    source[0] = navigation.with_trees(page, text)
