"""Check the links between built pages: ``python docs/check_links.py HTML_FOLDER``. Exit code 1 if one is wrong."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif value and ((tag == "a" and name == "href") or (tag in ("img", "script") and name == "src")):
                self.links.append(value)


def wrong_links(folder: Path) -> list[str]:
    """Return each link inside a folder of pages that leads nowhere, with its page."""
    # The theme keeps a template in _static.
    found = [path.resolve() for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path) for path in found}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists() or (anchors is not None and unquote(parts.fragment) not in anchors):
                wrong.append(f"{path.relative_to(folder.resolve())}: {link}")
    return wrong


def main() -> None:
    """Print the wrong links."""
    wrong = wrong_links(Path(sys.argv[1]))
    print("\n".join(wrong) if wrong else "all links inside the pages lead somewhere")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
