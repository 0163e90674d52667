// SPDX-License-Identifier: Apache-2.0
// The connection to the gateway, which page is shown, and the clock that counts on it.

import {drawDevice, focusDevice, openDevice} from "./device.js";
import {arrange, drawRows, setSessions, startDevices} from "./devices.js";
import {drawOverview, drawUptime} from "./overview.js";
import {addGap, addSample, drawPlots} from "./plots.js";
import {byId, setText, visible} from "./words.js";

const SILENCE_MS = 8000;  // without an event: ask whether anyone is there
const ANSWER_MS = 5000;   // for that answer
const RETRY_MS = 3000;    // until a closed stream is opened again

let status = null, statusAt = 0;
let stream = null;
let heard = 0;         // when anything came
let lostAt = null;     // null: connected
let asking = false;    // whether anyone is there
let token = null;      // in this variable only: a reload forgets it
let fresh = false;     // something came that is not drawn yet
let homeScroll = 0;    // of the overview, while a device is shown

const access = {
    clock,
    token: () => token,
    unlocked: () => token !== null,
    lock: () => setToken(null),
    confirm: (title, text, yes) => askUser(title, text, yes, false),
};

/** Stands still while the connection is lost: nobody knows what the times are then. */
function clock() {
    return lostAt ?? performance.now();
}

// connection --------------------------------------------------------------------------------------

function connect() {
    stream?.close();
    stream = new EventSource("api/v1/events");
    stream.addEventListener("status", (event) => take(event.data, takeStatus));
    stream.addEventListener("sessions", (event) => take(event.data, takeSessions));
    stream.onerror = () => {
        if (stream.readyState !== EventSource.CLOSED) {
            lost(); // it tries again by itself
            return;
        }
        poll(); // refused: too many listen
        setTimeout(connect, RETRY_MS);
    };
}

function take(text, by) {
    let value;

    try {
        value = JSON.parse(text);
    } catch {
        return; // the next one is complete
    }
    heard = performance.now();
    if (lostAt !== null) {
        lostAt = null;
        setText(byId("alarm"), "");
        document.body.classList.remove("stale");
    }
    by(value);
    fresh = true;
    if (!document.hidden)
        requestAnimationFrame(draw);
}

function takeStatus(value) {
    status = value;
    statusAt = performance.now();
    addSample(status, statusAt);
    document.title = `${status.name ? `${visible(status.name)} – ` : ""}dormouse`;
}

function takeSessions(value) {
    const list = value.sessions ?? value;

    if (Array.isArray(list))
        setSessions(list, performance.now());
}

function lost() {
    if (lostAt !== null)
        return;
    lostAt = performance.now();
    addGap(lostAt);
    const time = new Date().toLocaleTimeString();
    setText(byId("alarm"), status ?
        `✕ Connection to the gateway lost at ${time}. What is shown is old. Trying again…` :
        "✕ The gateway does not answer. Trying again…");
    document.body.classList.add("stale");
    document.title = "✕ lost – dormouse";
    draw();
}

async function fetchText(path) {
    const answer = await fetch(path, {signal: AbortSignal.timeout(ANSWER_MS)});

    if (!answer.ok)
        throw new Error(`status ${answer.status}`);
    return answer.text();
}

/** Without the stream. */
async function poll() {
    if (asking)
        return;
    asking = true;
    try {
        const [first, second] = [await fetchText("api/v1/status"), await fetchText("api/v1/sessions")];
        take(first, takeStatus);
        take(second, takeSessions);
    } catch {
        heard = performance.now(); // the next question in a while
        lost();
    }
    asking = false;
}

/** An idle gateway sends nothing, and neither does one that hangs or cannot be reached. */
async function askIfSilent() {
    if (asking || performance.now() - heard < SILENCE_MS)
        return;
    const wasLost = lostAt !== null;
    await poll();
    if (wasLost && lostAt === null)
        connect();
}

// drawing -----------------------------------------------------------------------------------------

function draw() {
    if (status === null)
        return;
    if (fresh && !byId("home").hidden) {
        fresh = false;
        drawOverview(status);
        drawPlots(clock());
        arrange(clock());
    }
    drawUptime(status, status.uptime_ms + clock() - statusAt);
    drawRows(clock());
    drawDevice(clock(), lostAt !== null, access);
}

function route() {
    const found = location.hash.match(/^#\/device\/(.+)$/);
    const place = ["#devices", "#ports"].includes(location.hash) && byId(location.hash.slice(1));
    let id = null;

    try {
        id = found && decodeURIComponent(found[1]);
    } catch {
        // An address that nobody of us wrote: the overview.
    }
    if (!byId("home").hidden)
        homeScroll = window.scrollY;
    openDevice(id);
    byId("home").hidden = id !== null;
    byId("device").hidden = id === null;
    fresh = true;
    draw();
    window.scrollTo(0, id === null ? homeScroll : 0);
    if (id !== null)
        focusDevice();
    else if (place && !history.state?.seen)
        place.focus(); // not on the way back
    history.replaceState({seen: true}, "");
}

// the operator ------------------------------------------------------------------------------------

function setToken(value) {
    token = value;
    setText(byId("lock-state"), token === null ? "Read-only" : "Unlocked");
    setText(byId("lock"), token === null ? "Unlock…" : "Lock");
    drawDevice(clock(), lostAt !== null, access);
}

/** Resolves to true if the user agreed. */
function askUser(title, text, yes, withToken) {
    const dialog = byId("dialog");

    setText(byId("dialog-title"), visible(title));
    setText(byId("dialog-text"), text);
    setText(byId("dialog-yes"), yes);
    byId("token-label").hidden = !withToken;
    byId("token").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener(
        "close", () => resolve(dialog.returnValue === "yes"), {once: true}));
}

async function lockOrUnlock() {
    if (token !== null) {
        setToken(null);
        return;
    }
    const agreed = await askUser("Unlock", "The token stands in the gateway's configuration. " +
        "It is kept until this page is closed or loaded again.", "Unlock", true);
    const value = byId("token").value.trim();
    byId("token").value = "";
    if (agreed && value)
        setToken(value);
}

byId("lock").addEventListener("click", lockOrUnlock);
byId("dialog-no").addEventListener("click", () => byId("dialog").close());
byId("dialog-form").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("dialog").close("yes");
});
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => document.hidden || draw());
history.scrollRestoration = "manual";
startDevices(clock);
setInterval(() => {
    askIfSilent();
    if (status !== null && lostAt === null && addSample(status, performance.now()))
        fresh = true;
    if (!document.hidden)
        draw();
}, 1000);
route();
connect();
