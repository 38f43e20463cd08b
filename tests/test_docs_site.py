"""The pages are a site without its being built: each has its place, and no link of theirs leads nowhere."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from labrhel import plugins

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))
PAGES = sorted({*DOCS.rglob("*.md")} - {*DOCS.glob("_build/**/*"), *DECISIONS, DOCS / "index.md"})
CHECKED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "index.md", *PAGES, *DECISIONS]
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that puts tables and lists into pages."""
    monkeypatch.syspath_prepend(DOCS)
    yield import_module("_site.made")
    for name in [name for name in sys.modules if name.partition(".")[0] == "_site"]:
        del sys.modules[name]


def names(text: str) -> set[str]:
    """The anchors of its headings, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.+?)\s*$", _FENCED.sub("", text), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken(page: Path, text: str) -> list[str]:
    """Links in the text of a page to files or headings that there are not."""
    found = []
    for link in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"\w+:", link):
            continue
        to, _, anchor = link.partition("#")
        file = (page.parent / to) if to else page
        if not file.exists() or (anchor and anchor not in names(file.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def test_every_page_stands_in_exactly_one_list_of_the_index(site: ModuleType) -> None:
    sections = import_module("_site.navigation").sections((DOCS / "index.md").read_text(encoding="utf-8"))
    assert list(sections) == ["Tutorial", "How-to", "Reference", "Explanation"]
    listed = Counter(page for pages in sections.values() for page in pages)
    there = [page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES]
    assert sorted(listed.elements()) == sorted(there), (
        "a page of docs/ is a line of docs/index.md, and no more than one"
    )


@pytest.mark.parametrize("page", CHECKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_a_link_to_a_file_or_a_heading_that_is_not_there_is_found() -> None:
    page = DOCS / "rules.md"
    text = "# Here\n[a](no.md) [b](your-bench.md#nowhere) [c](#here) [d](#there) [e](physics.md) [f](https://nothing)"
    assert broken(page, text) == ["no.md", "your-bench.md#nowhere", "#here", "#there"]


def test_the_index_becomes_a_tree_for_each_of_its_lists(site: ModuleType) -> None:
    with_trees = import_module("_site.navigation").with_trees
    text = "# labrhel\n\n## How-to\n\n- [Your bench](your-bench.md): words\n- [A sweep](notebooks/a-sweep.md)\n"
    added = with_trees("index", text).removeprefix(text)
    assert (
        added
        == "\n```{toctree}\n:hidden:\n:caption: How-to\n\nYour bench <your-bench>\nA sweep <notebooks/a-sweep>\n```\n"
    )
    assert with_trees("rules", text) == text


def test_the_reference_of_commands_names_every_one_with_its_options(site: ModuleType) -> None:
    text = site.filled("before\n\n<!-- commands -->\n\nafter\n")
    assert text.startswith("before\n\n## `labrhel ")
    assert text.endswith("after\n")
    for words in (
        "## `labrhel run`",
        "## `labrhel show`",
        "### `labrhel bench up`",
        "## `labrhel estop`",
        "* `--set KEY=VALUE`: Change a value",
    ):
        assert words in text


def test_the_reference_of_rules_has_all_that_are_registered(site: ModuleType) -> None:
    text = site.filled("<!-- rules -->")
    assert all(f"`rule: {name}`" in text for name in plugins.usual_rules())
    assert "Source: Lopez-Pastor & Marquardt" in text
    rotating = "- Takes amplitudes in the rotating frame, too\n"
    assert f"- Needs: knobs\n{rotating}- Options, as they are if left out: `step: 0.01`, `repeats: 1`" in text


def test_the_reference_of_keys_has_a_table_for_every_section(site: ModuleType) -> None:
    text = site.filled("<!-- all keys of labrhel.config.document.Config -->")
    for heading in ("### model", "#### model.readout.gain", "### interlocks", "#### data.teacher"):
        assert f"\n{heading}\n" in text
    assert "\n| `amplitude` | " in text
    assert "{'" not in text, "what a section is where it is left out stands in its own table"
    assert re.search(r"\n\| `dac_range` \| [^|]* \| 10 \|", text)


@pytest.mark.parametrize("page", sorted((DOCS / "notebooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_notebook_is_text_that_a_kernel_can_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n")
    cells = re.findall(r"^```\{code-cell\} python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(cells) >= 4
    assert text.count("```") == 2 * len(cells)
    for cell in cells:
        compile(re.sub(r"^!(.*\\\n)*.*$", "", cell, flags=re.MULTILINE), page.name, "exec")
