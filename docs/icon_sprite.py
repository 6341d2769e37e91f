"""Write static/img/icons.svg from a folder of Lucide icons.

npm pack lucide-static && tar xf lucide-static-*.tgz
python docs/icon_sprite.py package/icons            # what the templates use
python docs/icon_sprite.py package/icons anchor map # and two more
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPRITE = ROOT / "static/img/icons.svg"
# The mark of finwave: a dorsal fin above a wave; ours, not Lucide's.
MARK = (
    '<symbol id="finwave" viewBox="0 0 24 24">'
    '<path d="M7 14c.4-5.4 3.6-9.3 10-10.5-1.6 3.6-1.5 7 .5 10.5"/>'
    '<path d="M2 18.5c2.5 0 2.5-1.5 5-1.5s2.5 1.5 5 1.5 2.5-1.5 5-1.5 '
    '2.5 1.5 5 1.5"/></symbol>'
)


# Code that names icons; every string in it that is an icon's name counts.
NAMING = ("populations/stations.py", "finwave/templatetags/finwave.py")


def used_icons(folder: Path) -> set[str]:
    """Return the names in `{% icon "…" %}` tags, `icon="…"` arguments and code."""
    names: set[str] = set()
    for template in (ROOT / "templates").rglob("*.html"):
        text = template.read_text(encoding="utf-8")
        names.update(re.findall(r"{%\s*icon\s+[\"']([a-z0-9-]+)[\"']", text))
        names.update(re.findall(r"icon=[\"']([a-z0-9-]+)[\"']", text))
        # A choice made in the tag itself: {% icon kind|default:"waves" %}.
        names.update(re.findall(r"{%\s*icon [^%]*default:\"([a-z0-9-]+)\"", text))
    for path in NAMING:
        strings = re.findall(r"\"([a-z0-9-]+)\"", (ROOT / path).read_text())
        names.update(name for name in strings if (folder / f"{name}.svg").exists())
    return names - {"finwave"}


def symbol(name: str, source: str) -> str:
    inner = re.search(r"<svg[^>]*>(.*)</svg>", source, re.DOTALL)
    assert inner
    shapes = re.sub(r"\s*\n\s*", "", inner[1]).replace(" />", "/>")
    return f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>'


def main(folder: Path, extra: list[str]) -> None:
    symbols = [MARK]
    for name in sorted(used_icons(folder) | set(extra)):
        file = folder / f"{name}.svg"
        if file.exists():
            symbols.append(symbol(name, file.read_text(encoding="utf-8")))
        else:
            print(f"Lucide has no icon {name!r}.")
    body = "\n".join(symbols)
    SPRITE.write_text(
        "<!-- Icons of Lucide (https://lucide.dev), ISC licence, see icons-LICENSE; "
        "written by docs/icon_sprite.py. -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
