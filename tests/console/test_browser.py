"""The console in a browser as people use it: every page, every button, keyboard, phone, dark; nothing asked elsewhere."""

from collections.abc import Iterator

import pytest

from chromium import Tab, browsing
from console_desk import TOKENS, Desk, serve, stores, with_rollout
from control_examples import CANARY_SPLIT
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.controller.door import Door
from driftsonde.controller.problems import Unavailable
from driftsonde.core.control.decisions import ALL_MODELS
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.rollout import RolloutStatus
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Traffic

pytestmark = [pytest.mark.io, pytest.mark.timeout(300)]

PHONE_PX = 390


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, tab: Tab) -> Iterator[tuple[Store, Store]]:
    with stores(tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture
def store(both: tuple[Store, Store]) -> Store:
    return both[0]


@pytest.fixture
def desk() -> Desk:
    return with_rollout()


@pytest.fixture
def console(desk: Desk, store: Store, tab: Tab) -> Iterator[str]:
    """The address of a console, which a browser of ordinary size looks at."""
    door = serve(desk, store)
    tab.look(1280, 900)
    yield address(door)
    door.close()


def address(door: Door) -> str:
    return f"http://127.0.0.1:{door.port}"


def pages_of(desk: Desk) -> tuple[str, ...]:
    return (
        *("/", "/models/fraud", f"/incidents/{desk.incident.id}"),
        *("/rollouts", "/rollouts/fraud", "/decisions", "/controls", "/login", "/models/nobody", "/no/such"),
    )


def test_every_page_can_be_read_on_every_screen(tab: Tab, console: str, desk: Desk) -> None:
    for path in pages_of(desk):
        tab.look(1280, 900)
        tab.open(console + path)
        assert all(url.startswith((console, "data:")) for url in tab.requested())
        expected = ["404"] if path in ("/models/nobody", "/no/such") else []
        assert all(any(code in told for code in expected) for told in tab.told()), (path, tab.told())
        light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert _contrast(tab) >= 4.5, path
        tab.look(PHONE_PX, 844, phone=True, dark=True)
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert _brightness(dark) < 60 < 200 < _brightness(light), path
        assert _contrast(tab) >= 4.5, path
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE_PX, (
            f"{path} is wider than a phone"
        )
        small = "[...document.querySelectorAll('main button')].filter(b => b.offsetHeight < 44).map(b => b.textContent)"
        assert tab.evaluate(small) == [], path


def test_the_keyboard_reaches_and_shows_everything(tab: Tab, console: str) -> None:
    tab.open(console + "/rollouts/fraud")
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    tab.press("Enter")
    assert tab.evaluate("location.hash") == "#main"
    seen = list[str]()
    for _ in range(20):
        tab.press("Tab")
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        seen.append(str(tab.evaluate("document.activeElement.textContent || document.activeElement.name")))
        if "Roll back now" in seen:
            break
    assert {"reason", "Pause", "Next stage", "Promote now", "Roll back now"} <= set(seen)


@pytest.mark.parametrize(
    ("button", "status"),
    [
        ("acknowledge", Status.ACKNOWLEDGED),
        ("snooze", Status.OPEN),
        ("resolve", Status.RESOLVED),
        ("false-alarm", Status.RESOLVED),
        ("approve", Status.OPEN),
        ("reject", Status.OPEN),
    ],
)
def test_every_button_of_an_incident(tab: Tab, console: str, desk: Desk, button: str, status: Status) -> None:
    tab.open(f"{console}/incidents/{desk.incident.id}")
    _pressed(tab, desk, f"button[value={button}]")
    assert desk.incident.status is status
    last = max((r.last for r in desk.state.model("fraud").records.values()), key=lambda d: d.sequence)
    assert last.actor in ("local", "controller")


@pytest.mark.parametrize(
    ("buttons", "status"),
    [
        (("pause",), RolloutStatus.PAUSED),
        (("pause", "resume"), RolloutStatus.RUNNING),
        (("advance",), RolloutStatus.RUNNING),
        (("promote",), RolloutStatus.PROMOTED),
        (("rollback",), RolloutStatus.ROLLED_BACK),
        (("rollback", "start"), RolloutStatus.RUNNING),
    ],
)
def test_every_button_of_a_rollout(
    tab: Tab, console: str, desk: Desk, buttons: tuple[str, ...], status: RolloutStatus
) -> None:
    for button in buttons:
        tab.open(f"{console}/rollouts/fraud")
        if button in ("advance", "promote"):  # against the evidence: it asks first
            tab.submit(f"button[value={button}]")
            tab.click("input[name=reason]")
            tab.write("we know why")
        _pressed(tab, desk, f"button[value={button}]")
        desk.now_ms += 1
    rollout = desk.state.model("fraud").rollout
    assert rollout is not None
    assert rollout.status is status
    word = {"running": "under way", "rolled-back": "taken back", "promoted": "champion"}.get(status, status)
    tab.wait_until(f"document.querySelector('.verdict strong').textContent === '{word}'")


def test_a_canary_set_by_hand_is_taken_back_with_one_click(tab: Tab, store: Store) -> None:
    desk = Desk(with_traffic(State(), Traffic("fraud", CANARY_SPLIT, 3, "d0")))
    door = serve(desk, store)
    tab.look(PHONE_PX, 844, phone=True)
    tab.open(f"{address(door)}/rollouts")
    assert "Canary at 10 %, set by hand. Requests now: version 1 (90 %), version 2 (10 %)." in tab.text()
    assert "since when is not known any more" in tab.text()
    tab.open(f"{address(door)}/rollouts/fraud")
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE_PX
    _pressed(tab, desk, "button[value=end]")
    traffic = desk.state.model("fraud").traffic
    assert traffic is not None
    assert [share.version for share in traffic.split] == ["1"]
    assert "No version of this model is on its way" in tab.text()
    door.close()


def test_decisions_tell_the_story_first_and_the_steps_on_demand(tab: Tab, console: str, desk: Desk) -> None:
    tab.open(f"{console}/decisions")
    told = tab.text()
    assert desk.incident.id not in told
    assert "suppressed" not in told
    tab.click("details summary")
    tab.wait_until("document.querySelector('details[open] code')")
    assert "proposed" in tab.evaluate("document.querySelector('details[open]').innerText")


def test_an_error_page_leads_on_and_one_for_now_mends_itself(tab: Tab, desk: Desk, store: Store) -> None:
    away = [True]

    def state() -> State:
        if away[0]:
            raise Unavailable("another instance leads")
        return desk.state

    door = serve(desk, store, state=state)
    tab.look(1280, 900)
    tab.open(f"{address(door)}/decisions")
    assert "another instance leads" in tab.text()
    away[0] = False
    tab.wait_until("document.querySelector('.stories')")
    tab.open(f"{address(door)}/no/such/page")
    assert "There is no such page" in tab.text()
    tab.submit("main a[href='/']")
    assert tab.evaluate("location.pathname") == "/"
    door.close()


def test_an_incident_says_its_cause_at_once_and_the_rest_on_demand(
    tab: Tab, console: str, desk: Desk
) -> None:
    tab.open(f"{console}/incidents/{desk.incident.id}")
    text = tab.text()
    assert "amount has moved up: typical value" in text
    assert "Accuracy not affected so far" in text
    assert "Numbers past their limits" not in text
    assert tab.evaluate("document.querySelectorAll('.limit-mark').length") == 3
    tab.evaluate("document.querySelector('details.card > summary').focus()")
    tab.press("Enter")
    assert "Numbers past their limits" in tab.text()


def test_a_models_page_leads_to_its_incidents_with_the_verdict_of_the_first_page(
    tab: Tab, console: str, desk: Desk
) -> None:
    tab.open(f"{console}/")
    first = tab.evaluate("document.querySelector('.verdict').className")
    tab.open(f"{console}/models/fraud")
    assert tab.evaluate("document.querySelector('.verdict').className") == first
    assert "1 incident is open" in tab.text()
    tab.click(f"a[href='/incidents/{desk.incident.id}']")
    tab.wait_until("document.querySelector('#changed-title')", f"{console}/incidents/{desk.incident.id}")
    tab.submit("button[value=resolve]")
    tab.open(f"{console}/models/fraud")
    assert tab.evaluate(f"!!document.querySelector(\"a[href='/incidents/{desk.incident.id}']\")")


def test_every_control(tab: Tab, console: str, desk: Desk) -> None:
    tab.open(f"{console}/controls")
    tab.click("input[name=reason]")
    tab.write("a look at the data")
    tab.submit("button[value=stop]")
    assert tab.evaluate("document.querySelectorAll('.notice').length") == 1
    assert desk.state.stopped(ALL_MODELS) == "local: a look at the data"
    tab.open(f"{console}/")
    assert "Automation is stopped for all models by local: a look at the data" in tab.text()
    tab.open(f"{console}/controls")
    tab.submit("button[value=run]")
    tab.submit("button[value=announce]")
    assert "Maintenance of" in tab.text()
    tab.submit("button[value=end]")
    assert not desk.state.stopped(ALL_MODELS)


def test_an_open_page_follows_what_happens(tab: Tab, console: str, desk: Desk) -> None:
    tab.open(f"{console}/rollouts/fraud")
    before = desk.state
    tab.evaluate("window.stayed = true")
    done = tab.evaluate(
        f"fetch('{console}/rollouts/fraud', {{method: 'POST', body: new URLSearchParams({{action: 'pause'}})}}).then(answer => answer.ok)"
    )
    assert done
    assert desk.state is not before
    tab.wait_until("document.querySelector('button[value=resume]')")
    assert tab.evaluate("window.stayed") is True


def test_a_page_that_can_not_be_kept_current_says_so(tab: Tab, desk: Desk, store: Store) -> None:
    door = serve(desk, store)
    tab.look(1280, 900)
    tab.open(f"{address(door)}/rollouts")
    door.close()
    tab.wait_until("document.body.innerText.includes('answer. Trying again')")
    assert _contrast(tab) >= 4.5
    assert "fraud" in tab.text()


def test_signing_in_and_out(tab: Tab, desk: Desk, store: Store) -> None:
    door = serve(desk, store, TOKENS)
    tab.open(f"{address(door)}/login?next=/rollouts/fraud")
    tab.write("token-of-viewer")  # the field has the focus
    tab.press("Enter")
    tab.wait_until("document.body.innerText.includes('the viewer')", f"{address(door)}/rollouts/fraud")
    assert tab.evaluate("document.querySelectorAll('main button').length") == 0
    tab.submit("form[action='/logout'] button")
    assert tab.evaluate("location.pathname") == "/login"
    door.close()


def test_empty_pages_say_what_comes_and_broken_ones_what_to_do(tab: Tab, both: tuple[Store, Store]) -> None:
    empty = serve(Desk(State()), both[1])
    lost = serve(with_rollout(), Store(ClickHouseSettings("127.0.0.1", 1)))
    said = {
        f"{address(empty)}/": "no rows yet: its first window closes 1 h after they come",
        f"{address(empty)}/rollouts": "No version is on its way",
        f"{address(empty)}/decisions": "Nothing was decided",
        f"{address(lost)}/": "The store can't be read now",
        f"{address(lost)}/models/fraud": "driftsonde doctor",
        f"{address(lost)}/rollouts/fraud": "The store can't be read now",
    }
    for url, text in said.items():
        tab.open(url)
        assert text in tab.text()
    empty.close()
    lost.close()


def _pressed(tab: Tab, desk: Desk, selector: str) -> None:
    """A click, and what the writer makes of it."""
    before = desk.state
    tab.submit(selector)
    assert desk.state is not before, tab.text()


def _brightness(color: str) -> float:
    red, green, blue = (int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(tab: Tab) -> float:
    """The least contrast of a text with what lies behind it (WCAG 2), of the elements that have a text of their own."""
    return float(
        tab.evaluate(
            """(() => {
            const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
            const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
            const behind = it => {
                for (; it; it = it.parentElement) {
                    const c = parse(getComputedStyle(it).backgroundColor);
                    if (c.length === 3 || c[3] === 1) return c;
                }
                return [255, 255, 255];
            };
            let least = 21;
            for (const it of document.querySelectorAll("body *")) {
                const own = [...it.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
                if (!own || it.closest("svg, script, style, option") || !it.offsetParent) continue;
                const [a, b] = [light(parse(getComputedStyle(it).color)), light(behind(it))];
                least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
            }
            return least;
        })()"""
        )
    )
