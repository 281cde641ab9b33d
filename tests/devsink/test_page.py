"""The live page in a real browser: what a user sees and can do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dataart_mp.devsink import SinkProcess
from dataart_mp.testing import RecordingClient
from tests.devsink.page import opened
from tests.devsink.poster import IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
FLOOD = 100_000
NO_NAME = re.compile(r"^[^\w?]*$")


def rows(page: Page) -> Locator:
    return page.locator("#arrivals button")


def total(page: Page, name: str) -> Locator:
    return page.locator("#totals div").filter(has_text=name).locator("dd")


def fresh(page: Page, count: int) -> Locator:
    """The button that shows new rows. A row with the time 07:04:23.961 contains `1 new`, too."""
    return page.get_by_role("button", name=f"{count} new", exact=True)


def scroll(page: Page, distance: int) -> None:
    """Turn the mouse wheel, and wait until the page has moved as far: browsers scroll smoothly.

    Args:
        page: A page that is not being scrolled.
        distance: In pixels; positive: down. The page stops at its ends.
    """
    goal = page.evaluate(GOAL, distance)
    page.mouse.wheel(0, distance)
    page.wait_for_function("(goal) => Math.abs(scrollY - goal) < 1", arg=goal)


GOAL = """(distance) => {
  const root = document.documentElement;
  return Math.min(Math.max(scrollY + distance, 0), root.scrollHeight - root.clientHeight);
}"""


def copied(page: Page, button: str) -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=button).click()
    expect(page.locator("#announcement")).to_have_text(f"{button}: copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_the_lines_on_the_empty_page_send_a_first_event(page: Page, sink: SinkProcess) -> None:
    expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    lines = page.locator("#first-event").inner_text()
    assert len(lines.strip().splitlines()) == 6
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).filter(has_text="song-played")).to_contain_text("214.5")
    expect(rows(page).filter(has_text="identify")).to_contain_text("free")
    expect(page.locator("#empty")).to_be_hidden()
    assert sink.stats()["actions"] == 1


def test_an_event_is_shown_completely_and_copied_as_sent(page: Page, poster: Poster) -> None:
    metadata = {"big": 9007199254740993, "one": 1.0, "deep": {"list": [True, None, 'q"\n\\é']}}
    sent = action(key="bought", user_key="ann", is_anonymous_user=True, metadata=metadata)
    poster.post(actions(sent))
    row = rows(page).first
    expect(row).to_contain_text("bought")
    expect(row).to_contain_text("anonymous")
    expect(row).to_contain_text("lag")
    row.click()
    detail = page.get_by_role("complementary")
    for text in ("9007199254740993", "1.0", "deep", '"q\\"\\n\\\\é"', sent["timestamp"], "ann"):
        expect(detail).to_contain_text(text)
    detail.locator("summary", has_text="deep").click()
    expect(detail.get_by_text('"q\\"\\n\\\\é"')).to_be_hidden()

    text = copied(page, "Copy JSON")
    assert json.loads(text) == sent
    assert "9007199254740993" in text
    client = RecordingClient()
    call = copied(page, "Copy emit_action")
    assert f'timestamp="{sent["timestamp"]}"' in call  # with all nanoseconds
    exec(call, {"client": client})
    [made] = client.actions
    assert (made.key, made.user_key, made.is_anonymous_user) == ("bought", "ann", True)
    assert made.metadata == metadata
    assert isinstance(made.metadata["one"], float)
    assert made.timestamp == datetime.fromisoformat(sent["timestamp"])

    poster.post(who := identity(user_key="bob"), IDENTITIES)
    rows(page).filter(has_text="bob").click()
    exec(copied(page, "Copy identify"), {"client": client})
    assert [(one.user_key, one.metadata) for one in client.identities] == [tuple(who.values())]


HOSTILE = [
    '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>',
    "</script><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    '"-(window.hacked=1)-"',
    "${window.hacked=1}{{window.hacked=1}}",
    "__proto__",
    "constructor",
    "toString",
    "\u2028window.hacked=1",
    "--hue: red; background: url(//evil.example)",
]


def test_no_content_of_an_event_becomes_html_or_code(page: Page, poster: Poster) -> None:
    for evil in HOSTILE:
        metadata = {evil: evil, "a": {evil: 1}, "b": [{evil: {evil: [evil]}}]}
        poster.post(actions(action(key=evil, user_key=evil, metadata=metadata)))
        poster.post(identity(user_key=evil, metadata=metadata), IDENTITIES)
        poster.post(actions(action(**{evil: 1})))
        poster.post(
            {"timestamp": evil, "actions": []}, headers={"X-Evil": "'\"><b>", "Cookie": "a"}
        )
    expect(rows(page)).to_have_count(2 * len(HOSTILE))
    detail = page.get_by_role("complementary")
    for row in rows(page).all():
        row.click()
        copied(page, "Copy JSON")
        detail.get_by_role("button", name=re.compile("Copy (emit_action|identify)")).click()
    expect(detail).to_contain_text("onerror")
    page.keyboard.press("4")
    for row in page.locator("#rejected button").all():
        row.click()
    expect(detail).to_contain_text("onerror")
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("({}).polluted") is None
    inserted = "main img, main script, main svg, aside img, aside script, nav img, nav script"
    assert page.locator(inserted).count() == 0


# Two characters of each kind, and those that a person would not notice.
INVISIBLE = "\0\x1b\x7f\x9b\r\n\u2028\u202e\u2066\u200f\u061c\u200b\ufeff\u00ad\U000e0041"
FIND_INVISIBLE = r"""() => {
  const lines = /\n/g;  // in the code of the empty page
  const marks = "\u2028\u202e\u2066\u200f\u061c\u200b\ufeff\u00ad\u{e0041}";
  const hidden = new RegExp(`[\\p{Cc}${marks}]`, "u");
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === 3);
    const read = ["title", "aria-label"].map((name) => element.getAttribute(name) ?? "");
    const all = [...texts.map((node) => node.data), ...read].join("").replace(lines, "");
    if (hidden.test(all)) found.push(element.outerHTML);
  }
  return found;
}"""


def test_invisible_characters_are_shown_as_escapes(page: Page, poster: Poster) -> None:
    evil = f"a{INVISIBLE}z"
    sent = action(key=evil, user_key=evil, metadata={evil: evil, "deep": {evil: [evil]}})
    poster.post(actions(sent))
    poster.post(
        actions(action(timestamp=evil)), headers={"X-Evil": "\u0085".encode().decode("latin-1")}
    )
    row = rows(page).first
    for text in ("\\u001b", "\\u202e", "\\u2066", "\\u200b", "\\U000e0041"):
        expect(row.locator(".key")).to_contain_text(text)
        expect(row.locator(".who")).to_contain_text(text)
        expect(page.get_by_role("navigation")).to_contain_text(text)
    row.click()
    detail = page.get_by_role("complementary")
    expect(detail.locator(".tree")).to_contain_text('"a\\u0000\\u001b\\u007f\\u009b\\r\\n\\u2028')
    assert page.evaluate(FIND_INVISIBLE) == []

    text = copied(page, "Copy JSON")
    assert json.loads(text) == sent
    call = copied(page, "Copy emit_action")
    for code in (text, call):
        assert code.replace("\n", "").isprintable()
    client = RecordingClient()
    exec(call, {"client": client})
    [made] = client.actions
    assert (made.key, made.user_key, made.metadata) == (evil, evil, sent["metadata"])

    page.keyboard.press("4")
    page.locator("#rejected button").click()
    assert page.evaluate(FIND_INVISIBLE) == []


def test_integers_beyond_64_bits_are_shown_with_all_digits(page: Page, poster: Poster) -> None:
    numbers = [2**53 + 1, 2**64 + 1, -(2**63) - 1, 10**25 + 1]
    poster.post(actions(action(metadata={"n": 2**64 + 1, "all": numbers})))
    expect(rows(page).first).to_contain_text(str(2**64 + 1))
    rows(page).first.click()
    detail = page.get_by_role("complementary")
    for number in numbers:
        expect(detail.locator(".number", has_text=re.compile(f"^{number}$")).first).to_be_visible()
    assert json.loads(copied(page, "Copy JSON"))["metadata"]["all"] == numbers


def test_a_search_that_takes_too_long_is_reported_on_the_page(
    browser: Any, console: list[str]
) -> None:
    with SinkProcess("--search-seconds", "0.000001") as sink:
        poster = Poster(sink.url)
        poster.post(actions(*(action(metadata={"t": "a" * 20_000}) for _ in range(500))))
        poster.close()
        context = browser.new_context()
        page = opened(context, sink, console)
        expect(rows(page).first).to_be_visible()
        page.get_by_role("searchbox", name="Text in keys").fill("a" * 63 + "b")
        expect(page.locator("#notice")).to_contain_text("took longer than")
        page.get_by_role("searchbox", name="Text in keys").fill("")
        expect(rows(page).first).to_be_visible()
        context.close()


def test_a_search_finds_kept_and_new_items(page: Page, poster: Poster) -> None:
    poster.post(actions(*(action(user_key=f"user-{number}") for number in range(600))))
    poster.post(actions(action(key="bought", user_key="ann", metadata={"Needle": "x"})))
    expect(rows(page).nth(50)).to_be_visible()  # an empty page has no search box to type into
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(rows(page)).to_have_count(1)
    poster.post(actions(action(), action(user_key="bob", metadata={"is": "a NEEDLE"})))
    expect(rows(page)).to_have_count(2)
    page.get_by_role("searchbox", name="User").fill("bob")
    expect(rows(page)).to_have_count(1)
    page.reload()  # the filter is in the address
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(rows(page).nth(50)).to_be_visible()
    page.get_by_role("searchbox", name="User").fill("user-17")
    expect(rows(page)).to_have_count(1)  # an old item, found in the store
    page.get_by_role("searchbox", name="User").fill("")
    page.get_by_role("navigation").get_by_role("button", name="bought").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("searchbox", name="User").fill("nobody")
    expect(page.get_by_role("heading", name="No matching arrivals")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(rows(page).nth(50)).to_be_visible()


def test_a_paused_page_does_not_change_and_counts_what_it_misses(
    page: Page, poster: Poster
) -> None:
    poster.post(actions(action(key="before")))
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Space")
    expect(page.locator("#connection")).to_have_text("paused")
    poster.post(actions(action(key="meanwhile"), action(key="meanwhile")))
    expect(page.locator("#notice")).to_contain_text("2 arrived since")
    expect(total(page, "Events")).to_have_text("3")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Resume").first.click()
    expect(rows(page)).to_have_count(3)
    expect(page.locator("#connection")).to_have_text("live")


def test_rejections_show_field_and_reason_and_duplicates_are_marked(
    page: Page, poster: Poster
) -> None:
    twice = actions(action())
    poster.post(twice, headers={"Idempotency-Key": "1"})
    poster.post(twice, headers={"Idempotency-Key": "1"})
    poster.post(twice)
    expect(rows(page).nth(0)).to_contain_text("duplicate, unexplained")
    expect(rows(page).nth(1)).to_contain_text("duplicate, explained")
    expect(total(page, "Duplicates")).to_have_text("2")
    poster.post(actions(action(), action(timestamp="yesterday")))
    page.get_by_text("Rejected 1").click()
    row = page.locator("#rejected button")
    expect(row).to_contain_text("400")
    expect(row).to_contain_text("actions[1].timestamp")
    expect(row).to_contain_text("is not RFC 3339 with an offset")
    row.click()
    expect(page.get_by_role("complementary")).to_contain_text("user-agent")
    expect(page.get_by_role("complementary")).not_to_contain_text("x-api-key")


def test_a_rejected_request_shows_all_that_is_wrong_and_its_body(
    page: Page, poster: Poster
) -> None:
    wrong = action(key="", timestamp="yesterday", more={"a": [1]})
    missing = action()
    del missing["metadata"]
    body = actions(*(action() for _ in range(150)), wrong, missing)
    poster.post(body)
    page.get_by_text("Rejected 1").click()
    row = page.locator("#rejected button")
    expect(row).to_contain_text("actions[150].key")
    expect(row).to_contain_text("+3 more")
    row.click()
    detail = page.get_by_role("complementary")
    for text in (
        "actions[150].key must not be empty",
        "actions[150].timestamp 'yesterday' is not RFC 3339",
        "actions[150].more is unknown to the protocol",
        "actions[151].metadata is missing",
    ):
        expect(detail.locator(".problems li").filter(has_text=text)).to_have_count(1)
    # In the body, the wrong fields are visible among 150 valid actions, which are closed.
    expect(detail.locator(".tree .wrong").filter(has_text="must not be empty")).to_be_visible()
    expect(detail.locator(".tree .wrong").filter(has_text="is missing")).to_contain_text("metadata")
    expect(detail.get_by_text('"yesterday"')).to_be_visible()
    expect(detail.locator(".tree .wrong").filter(has_text="unknown")).to_contain_text("more")
    # The actions, two of them, and the field that is unknown.
    expect(detail.locator(".tree details[open]")).to_have_count(4)
    assert json.loads(copied(page, "Copy body")) == body


def test_a_rejected_body_that_is_not_json_is_shown_as_text(page: Page, poster: Poster) -> None:
    poster.post(b"key=<b>\x1b\nuser=ann", headers={"X-API-Key": None})
    poster.post(b"")
    expect(page.get_by_text("2 requests were rejected: see why.")).to_be_visible()
    page.get_by_role("button", name="see why").click()
    page.locator("#rejected button").nth(1).click()
    detail = page.get_by_role("complementary")
    expect(detail.locator(".raw")).to_have_text("key=<b>\\u001b\nuser=ann")
    expect(detail.locator(".problems")).to_contain_text("header X-API-Key is missing")
    page.locator("#rejected button").nth(0).click()
    expect(detail).to_contain_text("Empty, or not read.")
    expect(detail.get_by_role("button", name="Copy body")).to_be_hidden()


def test_the_count_of_duplicates_leads_to_them(page: Page, poster: Poster) -> None:
    retried, twice = action(key="retried"), action(key="twice")
    for _ in range(3):
        poster.post(actions(retried), headers={"Idempotency-Key": "1"})
    poster.post(actions(twice, twice))
    for _ in range(2):
        poster.post({"user_key": "ann", "metadata": {}}, IDENTITIES)  # on purpose
    expect(total(page, "Duplicates")).to_have_text("3")
    page.get_by_role("button", name="2 explained", exact=True).click()
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("retried")
    expect(page.locator("#matches")).to_have_text("2 matches")
    expect(page.get_by_role("button", name="1 unexplained")).to_be_visible()
    page.get_by_role("button", name="1 unexplained", exact=True).click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("twice")
    poster.post(actions(retried), headers={"Idempotency-Key": "1"})
    poster.post(actions(retried), headers={"Idempotency-Key": "2"})
    expect(rows(page)).to_have_count(2)  # the new unexplained one
    page.get_by_role("button", name="duplicates: show them").focus()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(5)
    page.reload()  # the filter is in the address
    expect(page.get_by_role("button", name="Only duplicates: remove")).to_be_visible()
    expect(rows(page)).to_have_count(5)
    page.get_by_role("button", name="Only duplicates: remove").click()
    expect(rows(page)).to_have_count(9)


def test_a_search_counts_its_matches_and_marks_them(page: Page, poster: Poster) -> None:
    many = [action(metadata={"origin": "JFK", "dest": "SFO"}) for _ in range(250)]
    poster.post(actions(*many, action(metadata={"origin": "SFO", "dest": "LAX", "flight": 15})))
    deep = {"a": 1, "leg": [{"dest": "sfo-2"}], "flight": 1545}
    poster.post(actions(action(key="sfo-key", user_key="SFO", metadata=deep)))
    expect(rows(page).nth(50)).to_be_visible()
    search = page.get_by_role("searchbox", name="Text in keys")
    search.fill("dest:SFO")
    expect(page.locator("#matches")).to_have_text("251 matches, the newest 200 are shown")
    expect(page.locator("#announcement")).to_contain_text("251 matches")
    # The field that was found comes first, and only its value is marked.
    expect(rows(page).first.locator(".preview")).to_contain_text('leg.dest "sfo-2"')
    expect(rows(page).first.locator("mark")).to_have_text(["sfo"])
    expect(rows(page).nth(1).locator("mark")).to_have_text(["SFO"])
    poster.post(actions(action(metadata={"dest": "SFO"}), action()))
    expect(page.locator("#matches")).to_contain_text("252 matches")
    search.fill("sfo")
    expect(page.locator("#matches")).to_contain_text("253 matches")
    expect(rows(page).nth(1).locator("mark")).to_have_text(["sfo", "SFO", "sfo"])
    rows(page).nth(1).click()
    detail = page.get_by_role("complementary")
    expect(detail.locator(".tree mark")).to_have_text("sfo")
    search.fill("flight:15")
    expect(page.locator("#matches")).to_have_text("1 match")
    expect(rows(page).locator("mark")).to_have_text(["15"])
    search.fill('<b>"')
    expect(page.locator("#matches")).to_have_text("0 matches")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#result")).to_be_hidden()
    expect(rows(page).locator("mark")).to_have_count(0)


def test_the_controls_stay_visible_and_new_rows_wait_for_a_user_who_has_scrolled(
    page: Page, poster: Poster
) -> None:
    poster.post(actions(*(action(key=f"old-{number}") for number in range(100))))
    expect(rows(page)).to_have_count(100)
    page.mouse.move(700, 600)
    scroll(page, 2000)
    reading = rows(page).nth(50)
    expect(reading).to_be_in_viewport()
    place = reading.bounding_box()
    poster.post(actions(action(key="new-1"), action(key="new-2")))
    expect(fresh(page, 2)).to_be_in_viewport()
    poster.post(actions(action(key="new-3")))
    expect(fresh(page, 3)).to_be_in_viewport()
    assert reading.bounding_box() == place
    for control in (
        page.get_by_role("button", name="Pause"),
        page.get_by_role("searchbox", name="Text in keys"),
        page.get_by_role("radio", name="Rejected"),
    ):
        expect(control).to_be_in_viewport()
    fresh(page, 3).click()
    expect(rows(page)).to_have_count(103)
    expect(rows(page).first).to_contain_text("new-3")
    expect(rows(page).first).to_be_in_viewport(ratio=1)
    assert page.evaluate(IS_COVERED) is False
    expect(page.locator("#fresh")).to_be_hidden()

    scroll(page, 2000)
    expect(rows(page).nth(58)).to_be_in_viewport()
    poster.post(actions(action(key="new-4")))
    expect(fresh(page, 1)).to_be_in_viewport()
    page.keyboard.press("n")
    expect(rows(page).first).to_contain_text("new-4")
    scroll(page, 2000)
    expect(rows(page).nth(58)).to_be_in_viewport()
    poster.post(actions(action(key="new-5")))
    expect(fresh(page, 1)).to_be_in_viewport()
    scroll(page, -5000)
    expect(rows(page).first).to_contain_text("new-5")
    expect(page.locator("#fresh")).to_be_hidden()


IS_COVERED = """() => {
  const box = document.querySelector("#arrivals button").getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + 3);
  return !top.closest("#arrivals");
}"""


def test_rows_reached_by_keyboard_are_not_behind_the_controls(page: Page, poster: Poster) -> None:
    poster.post(actions(*(action() for _ in range(60))))
    expect(rows(page)).to_have_count(60)
    for _ in range(40):
        page.keyboard.press("j")
    for _ in range(30):
        page.keyboard.press("k")
    covered = """() => {
      const box = document.activeElement.getBoundingClientRect();
      return box.top < document.getElementById("controls").getBoundingClientRect().bottom - 1;
    }"""
    expect(rows(page).nth(9)).to_be_focused()
    assert page.evaluate(covered) is False


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_key_has_the_colour_of_an_error(
    open_page: Callable[..., Page], poster: Poster, scheme: str
) -> None:
    page = open_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    poster.post(actions(*(action(key=f"key-{number}") for number in range(200))))
    expect(rows(page)).to_have_count(200)
    hues = page.evaluate(
        """() => {
          const keys = [...document.querySelectorAll("#arrivals .key")];
          return keys.map((key) => Number(key.style.getPropertyValue("--hue")));
        }"""
    )
    assert len(set(hues)) > 50, "keys have different colours"
    error = 25  # the hue of --bad in OKLCH, as of any pure red
    assert min(min(abs(hue - error), 360 - abs(hue - error)) for hue in hues) > 55


def test_faults_can_be_added_and_removed_on_the_page(
    page: Page, poster: Poster, sink: SinkProcess
) -> None:
    page.keyboard.press("f")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Retry-After").fill("7")
    dialog.get_by_label("Maximum number of times").fill("1")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("listitem")).to_contain_text("503")
    response = poster.post(actions(action()))
    assert (response.status, response.headers["Retry-After"]) == (503, "7")
    expect(dialog.get_by_role("listitem")).to_contain_text("expired, fired 1 time")

    dialog.get_by_label("Kind of fault").select_option("refuse")
    dialog.get_by_label("Events with these fields").fill('{"key": "bad", }')
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("JSON")
    dialog.get_by_label("Events with these fields").fill('{"key": "bad"}')
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#fault-count")).to_have_text("1")
    assert poster.post(actions(action(key="bad"))).status == 422
    assert poster.post(actions(action())).status == 200

    for kind in ("latency", "hang", "disconnect", "ack_lost", "refuse_bytes"):
        dialog.get_by_label("Kind of fault").select_option(kind)
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_role("alert")).to_be_empty()
    expect(dialog.get_by_role("listitem")).to_have_count(7)
    assert [rule["kind"] for rule in sink.faults()][-2:] == ["ack_lost", "refuse_bytes"]
    dialog.get_by_role("button", name="Remove", exact=True).nth(2).click()
    expect(dialog.get_by_role("listitem")).to_have_count(6)
    assert "latency" not in [rule["kind"] for rule in sink.faults()]
    dialog.get_by_role("button", name="Remove all").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    expect(dialog.get_by_role("listitem")).to_contain_text("None")
    assert sink.faults() == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_everything_is_deleted_only_after_confirmation(
    page: Page, poster: Poster, sink: SinkProcess
) -> None:
    poster.post(actions(action()))
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("c")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert sink.stats()["actions"] == 1
    page.keyboard.press("c")
    page.get_by_role("dialog").get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    expect(total(page, "Events")).to_have_text("0")
    assert sink.stats()["actions"] == 0
    poster.post(actions(action(key="after")))
    expect(rows(page)).to_have_count(1)


def test_the_page_can_be_used_with_the_keyboard_only(page: Page, poster: Poster) -> None:
    poster.post(actions(*(action(key=f"key-{number}") for number in range(5))))
    expect(rows(page)).to_have_count(5)
    for key in ("j", "ArrowDown", "k"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    detail = page.get_by_role("complementary")
    expect(detail).to_contain_text("key-4")
    page.keyboard.press("j")
    expect(detail).to_contain_text("key-3")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(rows(page).nth(1)).to_be_focused()
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="Users")).to_be_checked()
    page.keyboard.press("1")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("j f c")  # text, not shortcuts
    expect(page.get_by_role("searchbox", name="Text in keys")).to_have_value("j f c")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_page_stays_usable_while_a_hundred_thousand_events_arrive(
    page: Page, poster: Poster
) -> None:
    template = json.dumps(action(user_key="u%d"))
    whole = b'{"timestamp": "2021-05-04T10:11:12Z", "actions": [%b]}'

    def flood() -> None:
        for start in range(0, FLOOD, 200):
            items = ",".join(template % number for number in range(start, start + 200))
            poster.post(whole % items.encode())

    flow = threading.Thread(target=flood)
    flow.start()
    expect(page.locator("#notice")).to_contain_text("Sampled:")
    page.get_by_role("searchbox", name="User").fill("u77777")
    expect(rows(page)).to_have_count(1, timeout=60_000)
    page.get_by_role("searchbox", name="User").fill("")
    flow.join()
    expect(total(page, "Events")).to_have_text(f"{FLOOD:,}")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(r"peak [1-9]"))
    assert 0 < rows(page).count() <= 500
    page.keyboard.press("Escape")  # leaves the field
    page.keyboard.press("Space")
    expect(rows(page)).to_have_count(500)  # the newest, without sampling
    expect(rows(page).first).to_contain_text(f"u{FLOOD - 1}")
    page.get_by_role("button", name="Show older").click()
    expect(rows(page)).to_have_count(1000)


def test_a_page_reconnects_to_a_restarted_sink(browser: Any, poster: Poster) -> None:
    with SinkProcess() as sink:
        context = browser.new_context()
        page = context.new_page()
        page.goto(sink.url)
        client = Poster(sink.url)
        client.post(actions(action()))
        expect(rows(page)).to_have_count(1)
        sink.kill()
        expect(page.locator("#connection")).to_have_text("the sink is unreachable")
        sink.start()
        expect(page.locator("#connection")).to_have_text("live")
        expect(rows(page)).to_have_count(0)
        client.post(actions(action(), action()))
        expect(rows(page)).to_have_count(2)
        client.close()
        context.close()


def test_the_page_is_readable_on_a_phone(open_page: Callable[..., Page], poster: Poster) -> None:
    page = open_page(**PHONE)
    expect(page.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    poster.post(actions(action(key="a-rather-long-key-" * 9, metadata={"long": "word" * 99})))
    poster.post(actions(action(timestamp="x" * 300)))
    rows(page).first.tap()
    detail = page.get_by_role("complementary")
    expect(detail).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    detail.get_by_role("button", name="Close").tap()
    page.get_by_text("Rejected 1").tap()
    expect(page.locator("#rejected button")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_text("All", exact=True).tap()
    poster.post(actions(*(action() for _ in range(40))))
    expect(rows(page)).to_have_count(41)
    page.evaluate("scrollTo(0, 2000)")
    for control in ("Pause", "Faults", "Clear"):
        expect(page.get_by_role("button", name=control)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("searchbox", name="Text in keys")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


CONTRAST = """() => {
  const luminance = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(colour)) return colour;
    }
    return "white";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !element.checkVisibility() || element.closest("[hidden]")) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.className} ${element.textContent} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast_in_light_and_dark(
    open_page: Callable[..., Page], poster: Poster, scheme: str
) -> None:
    page = open_page(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    twice = action(is_anonymous_user=True)
    poster.post(actions(twice, twice, *(action(key=f"key {number}") for number in range(30))))
    poster.post(actions(action(timestamp="x")))
    poster.post(identity(), IDENTITIES)
    rows(page).last.click()
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("searchbox", name="Text in keys").fill("key")
    expect(rows(page).locator("mark").first).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="duplicates: show them").click()
    expect(page.locator("#only")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.keyboard.press("4")
    page.locator("#rejected button").click()
    expect(page.locator(".tree .why")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    page.keyboard.press("t")
    if scheme == "light":
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert page.evaluate(CONTRAST) == []


def test_every_control_has_an_accessible_name(page: Page, poster: Poster) -> None:
    poster.post(actions(action()))
    rows(page).first.click()
    for dialog in ("f", "?"):
        page.keyboard.press(dialog)
        for role in ("button", "searchbox", "combobox", "spinbutton", "textbox", "radio", "link"):
            assert page.get_by_role(role, name=NO_NAME).count() == 0
        page.keyboard.press("Escape")
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    page.evaluate("document.body.append(document.createElement('button'))")
    assert page.get_by_role("button", name=NO_NAME).count() == 1, "one without a name is found"
