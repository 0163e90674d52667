// SPDX-License-Identifier: Apache-2.0
// The page against a stand-in for the gateway: what cannot be had from a real one at will.

import assert from "node:assert/strict";
import {after, before, beforeEach, afterEach, test} from "node:test";

import {session, sessions, status} from "./samples.mjs";
import {Helper, launch, open, picture, row, sees} from "./support.mjs";

let browser, mock, url, opened;

before(async () => {
    browser = await launch();
});
after(() => browser?.close());

beforeEach(async () => {
    mock = new Helper("mock.py");
    url = `http://127.0.0.1:${await mock.greeting}/`;
});

afterEach(async () => {
    const complaints = opened?.complaints ?? [];

    await opened?.close();
    opened = null;
    await mock.close();
    assert.deepEqual(complaints, []);
});

async function show(list, options, more = {}) {
    await mock.tell({sessions: list, status: status(list, more)});
    opened = await open(browser, url, options);
    await sees(opened.page.locator("#about"), "version 0.1.0");
    return opened.page;
}

const WIDTHS = [[1280, 900, "light"], [360, 740, "dark"]];

for (const number of [0, 3, 2000])
    for (const [width, height, colorScheme] of WIDTHS)
        test(`${number} devices at ${width} pixels fit the window`, async () => {
            const page = await show(sessions(number), {viewport: {width, height}, colorScheme});
            await sees(page.locator("#shown"), number.toLocaleString("en"));
            assert.equal(await page.locator("#none").isVisible(), number === 0);
            const overflow = await page.evaluate(
                () => document.documentElement.scrollWidth - window.innerWidth);
            assert.ok(overflow <= 0, `${overflow} pixels stand out`);
            await picture(page, `${number}-devices-${width}`);
            await page.locator("#devices").scrollIntoViewIfNeeded();
            await page.evaluate(() => window.scrollTo(0, document.getElementById("devices").offsetTop));
            await page.waitForTimeout(200);
            await picture(page, `${number}-devices-${width}-table`);
            await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
            await page.waitForTimeout(200);
            await picture(page, `${number}-devices-${width}-end`);
        });

test("plots follow the counters: rates, and the mean awake time of those that woke", async () => {
    const list = sessions(3);
    const page = await show(list);
    const plot = (title) => page.locator("#plots figure", {hasText: title});

    await sees(plot("Awake time of sleepers"), "0 from PINGREQ to PINGRESP");
    await sees(plot("Messages waiting"), "3 for devices");
    const later = status(list);
    later.awake = {periods: later.awake.periods + 10, ms: later.awake.ms + 470};
    later.queue.delivered += 1000;
    await mock.tell({status: later});
    await sees(plot("Awake time of sleepers"), "47 from PINGREQ to PINGRESP");
    await sees(plot("Messages per second"), /[1-9][0-9.]* to devices/);
    later.queue.delivered += 1;
    await mock.tell({status: {...later}});
    await sees(plot("Messages per second"), /0\.[0-9] to devices/);
    await sees(plot("Awake time of sleepers"), "47 from"); // none woke since
    await picture(page, "plots");
});

test("of 2,000 devices only the rows in view exist, and updates are quick", async () => {
    const list = sessions(2000);
    const page = await show(list);

    await sees(page.locator("#shown"), "2,000");
    assert.ok(await page.locator("#rows tr").count() < 80);
    await page.evaluate(() => {
        const place = document.getElementById("devices").offsetTop;
        window.scrollTo(0, place + 30000);
    });
    const shown = () => page.locator("#rows tr[data-id]").evaluateAll((rows) => {
        const inside = rows.map((one) => one.getBoundingClientRect())
            .filter((box) => box.bottom > 0 && box.top < window.innerHeight);
        return inside.reduce((sum, box) => sum + box.height, 0);
    });
    await page.waitForFunction(() => document.querySelector("#rows tr[data-id]")
        .getAttribute("aria-rowindex") > 500);
    assert.ok(await shown() >= 900, "the window is full of rows");
    // One event a second must leave most of the second: parsing, sorting and drawing together.
    const busy = await page.evaluate(async (data) => {
        const {setSessions, arrange, drawRows} = await import("./devices.js");
        const before = performance.now();
        for (let i = 0; i < 10; i++) {
            setSessions(JSON.parse(data), performance.now());
            arrange(performance.now());
            drawRows(performance.now());
        }
        return (performance.now() - before) / 10;
    }, JSON.stringify(list));
    assert.ok(busy < 200, `an update takes ${busy} ms`);
    await page.locator("#search").fill("sensor-1999");
    await sees(page.locator("#shown"), "1 of 2,000");
    assert.ok(await row(page, "sensor-1999").isVisible());
});

test("search and state choose devices, columns sort them", async () => {
    const list = [session("b2", {queued: 1}), session("b10", {queued: 5, state: "lost"}),
                  session("a", {address: "serial:barn:00:9", dropped: 3})];
    const page = await show(list);
    const ids = () => page.locator("#rows tr[data-id]").evaluateAll(
        (rows) => rows.map((one) => one.dataset.id));

    assert.deepEqual(await ids(), ["a", "b2", "b10"]);
    await page.getByRole("button", {name: "Queue"}).click();
    assert.deepEqual(await ids(), ["b10", "b2", "a"]);
    assert.equal(await page.locator("th.queued").getAttribute("aria-sort"), "ascending");
    await page.getByRole("button", {name: "Queue"}).click();
    assert.deepEqual(await ids(), ["a", "b2", "b10"]);
    assert.equal(await page.locator("th.queued").getAttribute("aria-sort"), "descending");
    await page.locator("#search").fill("BARN");
    assert.deepEqual(await ids(), ["a"]);
    await page.locator("#search").fill("");
    await page.locator("#state").selectOption("lost");
    assert.deepEqual(await ids(), ["b10"]);
    await page.locator("#search").fill("nothing");
    await sees(page.locator("#none"), "No device is like that.");
});

const HOSTILE = [
    "<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "\"'><b>bold</b>",
    "\u202egnp.exe\u202c", "עברית", "a/b?c#d%2e..", "\u0001bell\u0007", "🐭", "../../status",
    "x".repeat(9000),
];

test("hostile client ids and topics are text", async () => {
    const list = HOSTILE.map((id) => session(id, {subscriptions: [`t/${id}`]}));
    const page = await show(list);

    await sees(page.locator("#shown"), String(HOSTILE.length));
    assert.equal(await page.locator("main img, main script, main b:not(.legend b)").count(), 0);
    await sees(row(page, HOSTILE[0]).locator("a"), HOSTILE[0]);
    await sees(row(page, HOSTILE[3]).locator("a"), "\\u202egnp.exe");
    await picture(page, "hostile");
    const overflow = () => page.evaluate(
        () => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(await overflow() <= 0);
    const heights = await page.locator("#rows tr[data-id]").evaluateAll(
        (rows) => rows.map((one) => one.getBoundingClientRect().height));
    assert.ok(Math.max(...heights) - Math.min(...heights) < 1, "all rows are as high");

    await mock.tell({details: Object.fromEntries(HOSTILE.map((id) => [id, {
        show: {
            client_id: id, subscriptions: [{filter: `t/${id}`, qos: 1}],
            topics: [{id: 1, name: `t/${id}`}],
            history: [{event: "connected", text: `connected <i>${id.slice(0, 50)}</i>`, age_ms: 10}],
        },
        queue: {messages: [{topic: `t/${id}`, octets: 3, qos: 1, age_ms: 1000, progress: "waiting"}]},
    }]))});
    for (const id of HOSTILE) {
        await page.evaluate((hash) => {
            location.hash = hash;
        }, `#/device/${encodeURIComponent(id)}`);
        await sees(page.locator("#device .log").last(), "connected <i>");
        await sees(page.locator("#device"), `t/${id.startsWith("<") ? id : ""}`);
        assert.equal(await page.locator("main img, main script, #device i, #device b").count(), 0);
        assert.ok(await overflow() <= 0, `${id.slice(0, 20)} stands out`);
    }
    await page.setViewportSize({width: 360, height: 740});
    assert.ok(await overflow() <= 0, "the device's page stands out of a small window");

});

test("each state has a shape of its own", async () => {
    const states = ["active", "awake", "asleep", "lost", "disconnected"];
    const page = await show(states.map((state) => session(state, {state})));
    const images = new Set();

    for (const state of states) {
        const image = row(page, state).locator(".shape");
        await image.evaluate((one) => {
            one.style.color = "black"; // told apart without colour
            one.closest("tr").className = "";
        });
        images.add((await image.screenshot()).toString("base64"));
    }
    assert.equal(images.size, states.length);
});

const DETAIL = {
    subscriptions: [{filter: "cmd/pump/#", qos: 1}, {filter: "cmd/all", qos: 0}],
    topics: [{id: 1, name: "cmd/pump/on"}, {id: 2, name: "state/pump"}],
    queue: {messages: 2, octets: 124, stored: 1, qos0: 1, qos1: 1, qos2: 0, waiting: 2},
    timers: {supervision_ms: 449000, exchange: null, retry_ms: null, retries: 0, pause_ms: 0},
    errors: [{event: "dropped", text: "a message was dropped: too long", age_ms: 3600000}],
    history: [{event: "asleep", text: "fell asleep for 300 s", age_ms: 61000},
              {event: "connected", detail: 60, age_ms: 75000}],
};

const QUEUE = {messages: [
    {topic: "cmd/pump/on", octets: 4, qos: 1, stored: true, progress: "sent", age_ms: 4000},
    {topic: "cmd/all", octets: 120, qos: 0, retain: true, progress: "waiting", age_ms: 300},
]};

for (const [width, height, colorScheme] of WIDTHS)
    test(`a device's page tells its queue and history at ${width} pixels`, async () => {
        await mock.tell({details: {pump: {show: DETAIL, queue: QUEUE}}});
        const page = await show(
            [session("pump", {state: "asleep", sleep_s: 300, queued: 2, queued_octets: 124, rssi: -80})],
            {viewport: {width, height}, colorScheme});
        await row(page, "pump").locator("a").click();
        await sees(page.locator("#device"), /cmd\/pump\/on.*on disk.*fell asleep for 300 s/s);
        await sees(page.locator("#device"), "connected, detail 60");
        await sees(page.locator("#device"), /went wrong.*1 h 00 min ago.*too long/);
        await sees(page.locator("#device .facts"), "counts as lost in 7 min");
        await sees(page.locator("#device .facts"), "cmd/pump/# (QoS 1)");
        await picture(page, `device-${width}`);
    });

test("times count by themselves, and a sleeper that does not come is overdue", async () => {
    const page = await show([session("s", {state: "asleep", sleep_s: 12, last_contact_ms: 9000}),
                             session("new", {last_contact_ms: null})]);

    await sees(row(page, "s").locator(".sleep"), "wakes in 2 s");
    await sees(row(page, "s").locator(".contact"), "10 s ago");
    await sees(row(page, "s").locator(".sleep"), "overdue 1 s");
    await sees(row(page, "new").locator(".contact"), "not since the start");
});

test("a lost connection is said, and times stop until it is back", async () => {
    const page = await show([session("one")]);

    await mock.tell({stop: true});
    await sees(page.getByRole("alert"), "Connection to the gateway lost");
    await picture(page, "lost");
    const before = await row(page, "one").locator(".contact").textContent();
    await page.waitForTimeout(2500);
    assert.equal(await row(page, "one").locator(".contact").textContent(), before);
    await mock.tell({start: true, patch: {one: {state: "asleep", sleep_s: 60}}});
    await sees(row(page, "one").locator(".state"), "asleep");
    await sees(page.getByRole("alert"), /^$/);
    await sees(row(page, "one").locator(".sleep"), "wakes in");
});

test("a gateway that hangs is noticed although the connection stands", async () => {
    const page = await show([session("one")]);

    await mock.tell({hang: true});
    await sees(page.getByRole("alert"), "Connection to the gateway lost");
    await mock.tell({hang: false});
    await sees(page.getByRole("alert"), /^$/);
});

test("where too many listen already, the page asks by itself", async () => {
    await mock.tell({full: true});
    const page = await show([session("one")]);

    await sees(row(page, "one").locator(".state"), "active");
    await mock.tell({patch: {one: {state: "lost"}}});
    await sees(row(page, "one").locator(".state"), "lost");
    await sees(page.getByRole("alert"), /^$/);
});

test("trouble of broker, store and ports is written in words", async () => {
    const base = status();
    const page = await show([], {}, {
        broker: {...base.broker, state: "waiting", error: "connection refused"},
        store: {...base.store, degraded: true, error: "disk full"},
        spool: {...base.spool, messages: 9, octets: 900},
        links: [{...base.links[1], up: false, error: "No such file or directory"}],
    });

    await sees(page.locator("[data-card=Broker]"), /not connected.*connection refused/s);
    await sees(page.locator("[data-card=Store]"), /not writing.*disk full/s);
    await sees(page.locator("[data-card=Spool]"), "9 messages");
    await sees(page.locator("#port-list"), /down.*No such file.*3 checksum errors/s);
    await page.locator("#port-list summary").click();
    await sees(page.locator("#port-list .nodes"), /00:1.*-71 dBm/);
    await picture(page, "trouble");
});

test("members that a gateway does not send are no error", async () => {
    await mock.tell({sessions: [{client_id: "bare", state: "dreaming"}], status: {version: "0.1.0"}});
    opened = await open(browser, url);
    await sees(row(opened.page, "bare").locator(".state"), "dreaming");
    await row(opened.page, "bare").locator("a").click();
    await sees(opened.page.locator("#device"), "dreaming");
});

test("everything can be reached by keyboard, and the way back leads to the same place", async () => {
    const page = await show(sessions(300));

    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter"); // the link to the devices
    assert.equal(await page.evaluate(() => document.activeElement.id), "devices");
    const last = () => page.evaluate(() => document.activeElement.closest("tr")?.dataset.id);
    for (let i = 0; i < 14 + 60; i++)
        await page.keyboard.press("Tab");
    await page.waitForFunction(() => document.activeElement.closest("tr[data-id]"));
    const id = await last();
    assert.ok(Number(id.slice(7)) > 40, `${id} is far down`);
    const place = await page.evaluate(() => window.scrollY);
    await page.keyboard.press("Enter");
    await sees(page.locator("#device h2").first(), id);
    assert.equal(await page.evaluate(() => document.activeElement.id), "device-id");
    await page.goBack();
    await page.waitForFunction((y) => Math.abs(window.scrollY - y) < 2, place);
});

test("without a token nothing can be changed, with it what is confirmed is done", async () => {
    const id = "a/b <c>";
    await mock.tell({details: {[id]: {show: {client_id: id, history: []}}}});
    const page = await show([session(id)]);

    await row(page, id).locator("a").click();
    await sees(page.locator("#device"), "Read-only");
    assert.equal(await page.getByRole("button", {name: "Forget"}).isVisible(), false);

    const unlock = async (token) => {
        await page.getByRole("button", {name: "Unlock…"}).click();
        await page.locator("#token").fill(token);
        await page.keyboard.press("Enter");
    };
    await unlock("wrong");
    await page.getByRole("button", {name: "Drop the queue…"}).click();
    await sees(page.locator("#dialog-title"), `Drop the queue: ${id}`);
    await picture(page, "confirm");
    await page.locator("#dialog-yes").click();
    await sees(page.locator("#device [role=status]"), "does not accept this token");
    await unlock("squirrel");
    await page.getByRole("button", {name: "Forget the device…"}).click();
    await page.keyboard.press("Escape");
    await page.getByRole("button", {name: "Disconnect…"}).click();
    await page.locator("#dialog-no").click();
    await page.getByRole("button", {name: "Drop the queue…"}).click();
    await page.locator("#dialog-yes").click();
    await sees(page.locator("#device [role=status]"), "Drop the queue: done.");
    assert.deepEqual(await mock.tell({posts: true}), [[id, "drop-queue"]]);
    assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length,
                                                 document.cookie]), [0, 0, ""]);
    await page.reload();
    await sees(page.locator("#lock-state"), "Read-only");
});
