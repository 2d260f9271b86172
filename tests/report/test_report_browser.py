"""The report in a real browser: no errors, no requests, no sideways scrolling, dark and print."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import report
from scripts import browser
from scripts.browser import Browser
from tests.support import reports
from tests.support.reports import HOSTILE, file, manifest, measured, publish, reject

PROGRAM = browser.find()
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium; on Debian: apt install chromium"),
]

# WCAG 2: relative luminances of a text and of what lies behind it, through all that is transparent.
CONTRASTS = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const over = (top, under) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => alpha * top[i] + (1 - alpha) * under[i]);
  };
  const behind = element => {
    if (!element) return [255, 255, 255];
    return over(parse(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  };
  const light = color => {
    const [r, g, b] = color.map(c => c / 255).map(
      c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const has_words = element => [...element.childNodes].some(n => n.nodeType == 3 && n.data.trim());
  const words = [...document.querySelectorAll('body *')].filter(
    element => element.tagName != 'title' && has_words(element));
  const shapes = [...document.querySelectorAll('rect, circle, line.mark, line.course')];
  return {
    words: Math.min(...words.map(element => {
      const style = getComputedStyle(element), inside = element.closest('svg');
      return ratio(parse(inside ? style.fill : style.color), behind(element));
    })),
    shapes: Math.min(...shapes.map(element => {
      const style = getComputedStyle(element);
      const color = element.matches('line, .hollow') ? style.stroke : style.fill;
      return ratio(parse(color), behind(element.closest('svg')));
    })),
    counts: [words.length, shapes.length],
  };
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with browser.opened(PROGRAM, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nights")
    reports.make_nights(root)
    return Path(report.write(str(root), None))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    long = "x" * 3000
    reasons = dict.fromkeys([*HOSTILE[:-1], long], 1)
    rejects = [reject(each, 0, f"/data/{each}", each, each) for each in reasons]
    files = [file(f"/data/{each}", 9, 1) for each in reasons]
    found: dict[str, Any] = measured(manifest("r", species=dict.fromkeys(reasons, 60)))
    found |= {"rejects_by_reason": reasons, "runner": long, "input": [*HOSTILE, long]}
    publish(root, found, rejects=rejects, files=files)
    return Path(report.write(str(root), None))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a held run with all that a head can have."""
    root = tmp_path_factory.mktemp("held")
    publish(root, measured(manifest("before", rows=1200)))
    found = measured(manifest("night", night=1, rows=1200, status="held"), shift=2, max_drift=0.2)
    found["totals"] |= {"files_unreadable": 1}
    found |= {
        "held_because": "drift",
        "held_reason": "the data have drifted: PSI CulmenLength 0.91 against the last 3 nights, "
        "CulmenLength 0.87 against training and 7 more, more than --max_drift 0.2",
        "trust": {"rows": 1200, "out_of_distribution": 90, "ambiguous": 300, "coverage": 0.95},
        "accuracy_estimate": {"accuracy": 0.9, "low": 0.88, "high": 0.91, "rows": 1200},
    }
    publish(root, found)
    return Path(report.write(str(root), "night"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of runs of every status, with texts that could break it."""
    root = tmp_path_factory.mktemp("index")
    publish(root, measured(manifest("n" * 128, rows=987_654_321)))
    for night, status in enumerate(("held", "rejected", "retracted", "pruned"), 1):
        review = {"status": status, "at": "2026-11-25", "by": HOSTILE[0], "why": "y" * 3000}
        reviews = [] if status == "held" else [review]
        publish(root, manifest(f"n{night}", night=night, status=status, reviews=reviews))
    reports.fail(root, "n9", night=9, error=HOSTILE[2])
    for run_id in ("n" * 128, "n1"):
        report.write(str(root), run_id)
    return root / "reports/index.html"


def complaints(found: Browser) -> list[str]:
    """What the console shows: errors, violations of the page's policy, exceptions."""
    return [
        str(parameters)
        for method, parameters in found.events
        if method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    ]


def requests(found: Browser) -> list[str]:
    return [
        parameters["request"]["url"]
        for method, parameters in found.events
        if method == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize(
    ("name", "sections"), [("page", 10), ("hostile", 10), ("held", 11), ("index", 1)]
)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_a_browser_shows_it_without_complaints(
    chromium: Browser,
    request: pytest.FixtureRequest,
    name: str,
    sections: int,
    dark: bool,
    width: int,
) -> None:
    path = request.getfixturevalue(name)
    chromium.show(path, width=width, dark=dark)
    assert chromium.ask("document.querySelectorAll('section').length") == sections
    # All details open: their tables are what is widest.
    chromium.ask("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert chromium.ask("document.documentElement.scrollWidth") == width
    assert complaints(chromium) == []
    assert requests(chromium) == [path.as_uri()]


def test_the_style_sheet_is_in_force(chromium: Browser, page: Path) -> None:
    chromium.show(page)
    assert chromium.ask("document.styleSheets[0].cssRules.length") > 50
    assert chromium.ask("getComputedStyle(document.querySelector('table')).borderCollapse") == (
        "collapse"
    )


def test_the_policy_forbids_scripts_and_requests(chromium: Browser, page: Path) -> None:
    chromium.show(page)
    chromium.ask(
        "for (const [tag, name] of [['img', 'src'], ['script', 'src'], ['iframe', 'src']]) {"
        "const made = document.createElement(tag); made[name] = 'http://192.0.2.1/x';"
        "document.body.append(made) }"
        "const made = document.createElement('script'); made.text = 'window.ran = 1';"
        "document.body.append(made)"
    )
    assert chromium.ask("window.ran") is None
    assert len(complaints(chromium)) >= 4
    answered = [
        parameters["response"]["url"]
        for method, parameters in chromium.events
        if method == "Network.responseReceived"
    ]
    assert not any("192.0.2.1" in each for each in answered)


def test_dark_mode_changes_the_background(chromium: Browser, page: Path) -> None:
    found = []
    for dark in (False, True):
        chromium.show(page, dark=dark)
        color = chromium.ask("getComputedStyle(document.body).backgroundColor")
        found.append(sum(int(each) for each in color[4:-1].split(",")))
    assert found[0] > 700
    assert found[1] < 100


@pytest.mark.parametrize(("name", "shapes"), [("page", 100), ("held", 100), ("index", 0)])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrasts_suffice(
    chromium: Browser, request: pytest.FixtureRequest, name: str, shapes: int, dark: bool
) -> None:
    chromium.show(request.getfixturevalue(name), dark=dark)
    found = chromium.ask(CONTRASTS)
    words, drawn = found["counts"]
    assert words > 30
    assert drawn >= shapes
    assert found["words"] >= 4.5
    assert not shapes or found["shapes"] >= 3


@pytest.mark.parametrize("name", ["page", "held"])
def test_a_phones_first_two_screens_hold_the_answer_and_the_numbers(
    chromium: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    chromium.show(request.getfixturevalue(name), width=390, height=844)
    place = "document.querySelector('{}').getBoundingClientRect().bottom"
    assert chromium.ask(place.format(".verdict")) < 844
    assert chromium.ask(place.format(".tiles")) < 844
    if name == "held":
        names = chromium.ask("[...document.querySelectorAll('.tiles dt')].map(e => e.innerText)")
        assert names == [
            "rows read", "rejected", "drift", "accuracy", "out of distribution",
            "ambiguous",
        ]  # fmt: skip
        # The commands to accept and to reject it, too.
        assert chromium.ask(place.format("#next dd:nth-of-type(2)")) < 2 * 844
    # No tile breaks a number.
    heights = "[...document.querySelectorAll('.tiles dd')].map(e => e.firstChild)"
    lines = f"{heights}.map(n => {{const r = document.createRange(); r.selectNode(n);" + (
        "return r.getClientRects().length})"
    )
    assert set(chromium.ask(lines)) == {1}


@pytest.mark.parametrize("name", ["held", "index"])
def test_the_keyboard_reaches_links_commands_and_wide_tables(
    chromium: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    chromium.show(request.getfixturevalue(name), width=390)
    shown = ".map(e => e.tagName + (e.getAttribute('href') || e.innerText).slice(0, 40))"
    wanted = chromium.ask(
        f"[...document.querySelectorAll('a[href], summary, [tabindex]')]"
        f".filter(e => e.checkVisibility()){shown}"
    )
    reached = []
    for _ in wanted:
        for kind in ("keyDown", "keyUp"):
            chromium.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        reached += chromium.ask(f"[document.activeElement]{shown}")
        style = "getComputedStyle(document.activeElement).outlineStyle"
        assert chromium.ask(style) == "solid"
    assert reached == wanted


def test_a_command_breaks_between_its_words_and_is_copied_whole(
    chromium: Browser, held: Path
) -> None:
    chromium.show(held, width=390)
    (accept, *_) = chromium.ask(
        "[...document.querySelectorAll('#next pre')].map(e => {"
        "getSelection().selectAllChildren(e); return getSelection().toString()})"
    )
    root = held.parents[1]
    assert accept.endswith(f"pipelines.runs accept night --output {root}")


def test_paper_has_open_details_on_white(chromium: Browser, page: Path) -> None:
    chromium.show(page, width=760, dark=True)
    closed = chromium.ask("document.documentElement.scrollHeight")
    chromium.print_media()
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert chromium.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert chromium.ask("document.documentElement.scrollWidth") <= 760
    assert chromium.ask("document.querySelector('details table').checkVisibility()")
    assert chromium.ask("document.documentElement.scrollHeight") > closed * 0.8
    assert len(chromium.call("Page.printToPDF")["data"]) > 10_000


def test_hostile_names_are_read_as_text(chromium: Browser, hostile: Path) -> None:
    chromium.show(hostile)
    assert chromium.ask("document.scripts.length") == 0
    assert "<script>alert(1)</script>.csv" in chromium.ask("document.body.innerText")
    assert chromium.ask("document.querySelectorAll('style').length") == 1
