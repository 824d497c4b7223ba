"""The page in a real browser, of a real pair: it follows what happens, fits a phone, and asks nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from browser import PROGRAM, Browser
from frozen_thread import frozen
from lab import Lab
from story import LIMIT, MakeLab, await_service, begin
from switch import Switch
from test_told import get, refused, rewrite

URL = "http://127.0.0.1:9477/"
WITH_PAGE: Mapping[str, Any] = {"metrics": {"page": True}, "restore": {"mode": "manual"}}


@contextmanager
def browser(pair: Lab, switch: Switch) -> Iterator[Browser]:
    """Start a browser on that switch."""
    if PROGRAM is None:
        pytest.skip("chromium is not installed")
    with Browser(pair.network.entering(switch.node), pair.directory) as started:
        yield started


def text(seen: Browser) -> str:
    """Return the words that are on the page now."""
    drawn = "[...document.querySelectorAll('svg')].map(each => each.textContent)"
    words: str = seen.evaluate(f"document.body.innerText + ' ' + {drawn}")
    return words


def test_the_page_is_off_unless_it_is_turned_on(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.wait_until(lambda: get(pair.sw1, "/healthz")[0] == 200, LIMIT, "it answers")
    assert get(pair.sw1, "/")[0] == 404
    rewrite(pair.sw1, metrics={"page": True})
    pair.sw1.agent.kill(1)
    pair.wait_until(lambda: get(pair.sw1, "/")[0] == 200, LIMIT, "the page is on")


def test_the_page_follows_a_failover_without_being_loaded_again(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab, overrides=WITH_PAGE)
    seen = stack.enter_context(browser(pair, pair.sw2))
    pair.wait_until(lambda: get(pair.sw2, "/")[0] == 200, LIMIT, "there is a page")
    pair.wait_until(lambda: "In sync" in get(pair.sw2, "/")[1], LIMIT, "the pair is in sync")
    for width, height in ((390, 844), (1280, 800)):
        for dark in (False, True):
            seen.open(URL, width, height, dark)
            assert seen.evaluate("document.documentElement.scrollWidth") == width, "nothing sticks out"
            assert overflowing(seen) == []
    assert "ACTIVE" in text(seen)
    assert "backup" in text(seen)

    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.wait_until(lambda: "ovsdb-server on sw1 is not running" in text(seen), LIMIT, "the page says so")
    pair.wait_until(lambda: "failover: sw1 → sw2" in text(seen), LIMIT, "and that the service has moved")
    assert seen.errors == [], "nothing is forbidden by the page's own policy, and nothing fails"
    assert set(seen.requests) == {URL}, "it asks for itself only"


def overflowing(seen: Browser) -> list[str]:
    """Return the words in the picture that are cut by its edge, or run out of the box they are in."""
    found: list[str] = seen.evaluate(
        """
        (() => {
          const out = [], picture = document.querySelector('svg.picture'), all = picture.getBoundingClientRect();
          for (const words of picture.querySelectorAll('text')) {
            const box = words.getBoundingClientRect(), group = words.closest('g');
            const card = group ? group.querySelector('rect.card').getBoundingClientRect() : all;
            if (box.left < card.left || box.right > card.right || box.top < all.top || box.bottom > all.bottom) {
              out.push(words.textContent);
            }
          }
          return out;
        })()
        """
    )
    return found


def test_an_agent_that_does_not_answer_any_more_is_said_by_the_page_itself(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab, overrides=WITH_PAGE)
    seen = stack.enter_context(browser(pair, pair.sw1))
    pair.wait_until(lambda: get(pair.sw1, "/")[0] == 200, LIMIT, "there is a page")
    seen.open(URL, 390, 844)
    assert pair.sw1.agent.pid is not None
    with frozen(pair.sw1.agent.pid):
        pair.wait_until(lambda: "The agent's loop has not turned for" in text(seen), LIMIT, "the loop is stuck")
    pair.wait_until(lambda: "has not turned" not in text(seen), LIMIT, "it turns again")
    pair.sw1.agent.kill()
    assert refused(pair.sw1)
    pair.wait_until(lambda: "The agent has not answered since" in text(seen), LIMIT, "the agent is gone")
    pair.sw1.agent.start()
    shown = "getComputedStyle(document.getElementById('gone')).display"
    pair.wait_until(lambda: seen.evaluate(shown) == "none", LIMIT, "it is back")


def test_a_page_of_another_origin_is_not_told(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab, overrides=WITH_PAGE)
    seen = stack.enter_context(browser(pair, pair.sw1))
    pair.wait_until(lambda: get(pair.sw1, "/")[0] == 200, LIMIT, "there is a page")
    seen.open("data:text/html,<body>", 390, 844)
    asked = f"fetch('{URL}').then(() => document.title = 'told', () => document.title = 'refused')"
    seen.evaluate(asked)
    pair.wait_until(lambda: seen.evaluate("document.title"), LIMIT, "the browser has decided")
    assert seen.evaluate("document.title") == "refused"
