// SPDX-License-Identifier: Apache-2.0
// The page as the real daemon serves it, with a real broker and devices; nothing is ever reloaded.

import assert from "node:assert/strict";
import {after, before, beforeEach, afterEach, test} from "node:test";

import {Helper, launch, open, picture, row, sees} from "./support.mjs";

const TOKEN = "squirrel-with-a-long-tail";
let browser, world, opened, page;

before(async () => {
    browser = await launch();
});
after(() => browser?.close());

beforeEach(async () => {
    world = new Helper("world.py");
    opened = await open(browser, await world.greeting);
    page = opened.page;
    await sees(page.locator("[data-card=Broker]"), "connected");
});

afterEach(async () => {
    await opened.close();
    await world.close();
    assert.deepEqual(opened.complaints, []);
    assert.equal(world.process.exitCode, 0, "the daemon ended in order");
});

const tell = (...command) => world.tell(command);

test("a device appears, falls asleep, its queue grows, it wakes and the queue is empty", async () => {
    await sees(page.locator("#none"), "No device has connected yet.");
    await tell("connect", "node");
    await sees(row(page, "node").locator(".state"), "active");
    await sees(row(page, "node").locator(".clean"), "persistent");
    await tell("subscribe", "node", "cmd/node");
    await tell("sleep", "node", 300);
    await sees(row(page, "node").locator(".state"), "asleep");
    await sees(row(page, "node").locator(".sleep"), /wakes in (5 min 00|4 min 5\d) s/);
    for (let i = 1; i <= 3; i++) {
        await tell("publish", "cmd/node", String(i));
        await sees(row(page, "node").locator(".queued"), String(i));
    }
    await sees(page.locator("[data-card=Queue]"), "3 messages");
    await sees(page.locator("[data-card=Devices]"), "1 asleep");
    await picture(page, "gateway");
    assert.equal(await tell("wake", "node"), 3);
    await sees(row(page, "node").locator(".queued"), /^0$/);
    await sees(row(page, "node").locator(".contact"), /^[0-3] s ago$/);
    await sees(page.locator("[data-card=Queue]"), "3 delivered");
    await sees(page.locator(".legend").first(), /0\.[1-9] to devices|[1-9]\.\d to devices/);
});

test("the page of a device follows it, and the operator can drop its queue and forget it", async () => {
    await tell("connect", "node");
    await tell("subscribe", "node", "cmd/<b>node</b>");
    await tell("sleep", "node", 300);
    await tell("publish", "cmd/<b>node</b>", "1");
    await sees(row(page, "node").locator(".queued"), "1");
    await row(page, "node").locator("a").click();
    await sees(page.locator("#device .facts"), /asleep|wakes in/);
    await sees(page.locator("#device .facts"), "cmd/<b>node</b>");
    await sees(page.locator("#device .facts"), "1 message,");
    await page.getByRole("button", {name: "Unlock…"}).click();
    await page.locator("#token").fill("not the token");
    await page.keyboard.press("Enter");
    const act = async (name) => {
        await page.getByRole("button", {name}).click();
        await page.locator("#dialog-yes").click();
    };
    await act("Forget the device…");
    await sees(page.locator("#device [role=status]"), "does not accept this token");
    assert.deepEqual(await tell("known"), ["node"]);
    await page.getByRole("button", {name: "Unlock…"}).click();
    await page.locator("#token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await picture(page, "gateway-device");
    await act("Forget the device…");
    await sees(page.locator("#device"), "There is no session with this client id.");
    assert.deepEqual(await tell("known"), []);
});

test("the page of a device shows what waits and what happened", async (t) => {
    await tell("connect", "node");
    await tell("subscribe", "node", "cmd/node");
    await tell("sleep", "node", 300);
    await tell("publish", "cmd/node", "hello");
    await sees(row(page, "node").locator(".queued"), "1");
    await row(page, "node").locator("a").click();
    await sees(page.locator("#device h2").last(), "History");
    const answer = await page.request.get(`${await world.greeting}api/v1/sessions/node`);
    if (!answer.ok())
        return t.diagnostic("not tested: this daemon cannot show a session"); // skip() skips afterEach
    await sees(page.locator("#device .log").first(), /cmd\/node.*5 B/);
    await sees(page.locator("#device .log").last(), /asleep|sleep/);
    await sees(page.locator("#device .facts"), "cmd/node (QoS 1)");
    await sees(page.locator("#device .facts"), "counts as lost in");
    await picture(page, "gateway-history");
    await page.getByRole("button", {name: "Unlock…"}).click();
    await page.locator("#token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByRole("button", {name: "Drop the queue…"}).click();
    await page.locator("#dialog-yes").click();
    await sees(page.locator("#device [role=status]"), "Drop the queue: done.");
    await sees(page.locator("#device .facts"), "0 messages, 0 B");
    await sees(page.locator("#device"), "Nothing waits.");
    assert.equal(await tell("wake", "node"), 0);
});

const HOSTILE = ["<img src=x>", "<script>1</script>", "a/b?c#d e%2e", "\u202egnp.exe", "עברית", "🐭\"'&"];

test("hostile client ids of real devices are text, on the list and on their pages", async () => {
    for (const id of HOSTILE) {
        await tell("connect", id);
        await tell("subscribe", id, "t/<i>x</i>");
    }
    await sees(page.locator("#shown"), String(HOSTILE.length));
    assert.equal(await page.locator("main img, main script, main i").count(), 0);
    for (const id of HOSTILE) {
        await page.evaluate((hash) => {
            location.hash = hash;
        }, `#/device/${encodeURIComponent(id)}`);
        await sees(page.locator("#device .facts"), "t/<i>x</i>");
        assert.equal(await page.locator("main img, main script, main i").count(), 0);
    }
});

test("the gateway dies and comes back, and so does the page", async () => {
    await tell("connect", "node");
    await tell("sleep", "node", 300);
    await sees(row(page, "node").locator(".state"), "asleep");
    await tell("stop_gateway");
    await sees(page.getByRole("alert"), "Connection to the gateway lost");
    await tell("start_gateway");
    await sees(page.getByRole("alert"), /^$/);
    await sees(row(page, "node").locator(".contact"), "not since the start");
    await tell("stop_broker");
    await sees(page.locator("[data-card=Broker]"), /not connected|connecting/);
    await tell("start_broker");
    await sees(page.locator("[data-card=Broker]"), /(^| )connected/);
});

test("2,000 devices are there, and a change is seen at once", async () => {
    await tell("connect_many", 2000);
    await sees(page.locator("#shown"), "2,000");
    await picture(page, "gateway-2000");
    await tell("connect", "sensor-1999");
    await page.locator("#search").fill("sensor-1999");
    const start = Date.now();
    await sees(row(page, "sensor-1999").locator(".state"), "active");
    assert.ok(Date.now() - start < 8000, "within a few seconds");
});
