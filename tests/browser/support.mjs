// SPDX-License-Identifier: Apache-2.0
// Chromium, and the programs that the page talks to.

import assert from "node:assert/strict";
import {spawn} from "node:child_process";
import {mkdirSync} from "node:fs";
import {createRequire} from "node:module";
import {createInterface} from "node:readline";
import {fileURLToPath} from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const {chromium} = createRequire(`${process.env.PLAYWRIGHT_DIR}/`)("playwright-core");

export const WAIT_MS = 20000; // for what takes moments: only a defect or a dead machine reaches it

/** A Python program that obeys a line of JSON with a line of JSON. */
export class Helper {
    constructor(name) {
        this.process = spawn("python3", ["-B", `${HERE}${name}`],
                             {stdio: ["pipe", "pipe", "inherit"]});
        this.waiting = [];
        createInterface({input: this.process.stdout}).on("line", (line) => {
            this.waiting.shift()?.resolve(JSON.parse(line));
        });
        this.process.on("exit", () => {
            for (const {reject} of this.waiting)
                reject(new Error(`${name} ended`));
        });
        this.greeting = this.answer();
    }

    answer() {
        return new Promise((resolve, reject) => this.waiting.push({resolve, reject}));
    }

    tell(command) {
        const answer = this.answer();

        this.process.stdin.write(`${JSON.stringify(command)}\n`);
        return answer;
    }

    async close() {
        if (this.process.exitCode !== null)
            return;
        const ended = new Promise((resolve) => this.process.on("exit", resolve));
        const late = setTimeout(() => this.process.kill(), 60000);

        this.process.stdin.end();
        await ended;
        clearTimeout(late);
    }
}

export async function launch() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
}

/** A page that must not complain: errors of scripts, the security policy, other hosts. */
export async function open(browser, url, options = {}) {
    const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
    const page = await context.newPage();
    const complaints = [];

    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
        if (message.type() === "error" && !/Failed to load resource/.test(message.text()))
            complaints.push(message.text());
    });
    page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    page.on("request", (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith("data:"))
            complaints.push(`asks ${request.url()}`);
    });
    await page.goto(url);
    return {page, complaints, close: () => context.close()};
}

export const row = (page, id) => page.locator(`#rows tr[data-id="${id.replace(/["\\]/g, "\\$&")}"]`);

/** Waits until the text is there; a page without reload. */
export async function sees(locator, text) {
    const deadline = Date.now() + WAIT_MS;
    let last;

    do {
        last = await locator.textContent({timeout: WAIT_MS}).catch((error) => String(error));
        if (text instanceof RegExp ? text.test(last) : last.includes(text))
            return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    } while (Date.now() < deadline);
    assert.fail(`${locator} shows ${JSON.stringify(last)}, not ${text}`);
}

/** For people to look at; only where SCREENSHOTS names a folder. */
export async function picture(page, name) {
    if (!process.env.SCREENSHOTS)
        return;
    mkdirSync(process.env.SCREENSHOTS, {recursive: true});
    await page.screenshot({path: `${process.env.SCREENSHOTS}/${name}.png`});
}
