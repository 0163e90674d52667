// SPDX-License-Identifier: Apache-2.0
// The page of one device: facts, what waits for it, what happened, and what the operator may do.

import {ageOf, contactText, findSession, sleepText} from "./devices.js";
import {byId, count, counted, duration, foreign, make, octets, setShape, setText, shape, signal,
        stateShape} from "./words.js";

const DETAIL_EVERY_MS = 2000;
const QUEUE_SHOWN = 100; // messages
const ACTIONS = [
    {path: "disconnect", words: "Disconnect",
     text: "The device is told to connect again. What waits for it is kept."},
    {path: "drop-queue", words: "Drop the queue",
     text: "What waits for the device is thrown away and cannot be brought back."},
    {path: "forget", words: "Forget the device",
     text: "Its session, subscriptions and all that waits for it are removed and cannot be " +
           "brought back. If it connects again it is new."},
];

let id = null;     // of the device that is shown, null: none
let parts = null;  // elements
let detail = null; // the last answer, {} while there is none
let asked = -Infinity, asking = false;

const sessionPath = (client_id, action = "") =>
    `api/v1/sessions/${encodeURIComponent(client_id)}${action && `/${action}`}`;

function build(access) {
    const back = make("a", "", "← All devices");
    const heading = make("h2");

    back.href = "#/";
    heading.id = "device-id";
    heading.tabIndex = -1;
    heading.append(foreign(id));
    parts = {
        heading, shape: shape("warn"), state: make("span"), facts: new Map(),
        list: make("dl", "facts"), note: make("p", "quiet"), result: make("p"),
        buttons: make("div", "buttons"), queue: make("tbody"), log: make("tbody"),
        queueNote: make("p", "quiet"), logNote: make("p", "quiet"), errors: make("tbody"),
        errorTitle: make("h2", "", "What went wrong last"), refused: false,
    };
    parts.result.setAttribute("role", "status");
    for (const action of ACTIONS) {
        const button = make("button", "", `${action.words}…`);
        button.type = "button";
        button.addEventListener("click", () => act(action, access));
        parts.buttons.append(button);
    }
    parts.queueTable = logTable(["Topic", "Size", "QoS", "Where it stands", "Age"], parts.queue);
    parts.logTable = logTable(["When", "What"], parts.log);
    parts.errorTable = logTable(["When", "What"], parts.errors);
    byId("device").replaceChildren(
        make("p", "", back), heading, make("p", "headline", parts.shape, " ", parts.state),
        parts.list, parts.note, parts.buttons, parts.result,
        make("h2", "", "Queue"), parts.queueNote, parts.queueTable,
        parts.errorTitle, parts.errorTable, make("h2", "", "History"), parts.logNote, parts.logTable);
}

function logTable(titles, body) {
    const cells = titles.map((title) => {
        const cell = make("th", "", title);
        cell.scope = "col";
        return cell;
    });

    return make("table", "log", make("thead", "", make("tr", "", ...cells)), body);
}

/** value: text, or an array of foreign texts. Written in place. */
function setFact(name, value) {
    let fact = parts.facts.get(name);

    if (!fact) {
        fact = {title: make("dt", "", name), body: make("dd"), key: null};
        parts.facts.set(name, fact);
        parts.list.append(fact.title, fact.body);
    }
    const key = Array.isArray(value) ? value.join("\n") : value;
    if (key === fact.key)
        return;
    fact.key = key;
    if (!Array.isArray(value))
        setText(fact.body, value);
    else if (value.length === 0)
        setText(fact.body, "none");
    else
        fact.body.replaceChildren(make("ul", "", ...value.map((text) => make("li", "", foreign(text)))));
}

function subscriptionText(one) {
    if (typeof one === "string")
        return one;
    return `${one.filter ?? one.topic ?? "?"}${"qos" in one ? ` (QoS ${one.qos})` : ""}`;
}

/** When the gateway gives up on it. */
function supervisionText(session, waited) {
    const left = detail.timers?.supervision_ms;

    if (typeof left !== "number")
        return "–";
    return `${["disconnected", "lost"].includes(session.state) ? "removed" : "counts as lost"} in ` +
        duration(left - waited);
}

/** Its connection to the broker, if it has one of its own. */
function ownText(session) {
    const own = detail.own && typeof detail.own === "object" ? detail.own : null;
    const words = [`own connection: ${session.own.replace("_", " ")}`];

    if (own)
        words.push(`messages wait at the ${own.hold}`);
    if (own?.error)
        words.push(own.error);
    return words;
}

function drawFacts(session, now) {
    const age = ageOf(session, now);
    const will = detail.will && typeof detail.will === "object" ? detail.will : null;

    setShape(parts.shape, stateShape(session.state));
    setText(parts.state, session.state);
    setFact("Last contact", contactText(session, age));
    setFact("Sleep", sleepText(session, age));
    setFact("Keep alive", session.keepalive_s > 0 ?
        duration(session.keepalive_s * 1000).replace(/ 00 (s|min)$/, "") : "none");
    if (detail.answered)
        setFact("Supervision", supervisionText(session, now - detail.answered));
    setFact("Session", session.clean ? "clean: ends with the connection" :
        "persistent: kept while the device is away");
    if (session.own && session.own !== "shared")
        setFact("Broker", ownText(session));
    setFact("Address", session.address ? [session.address] : "unknown");
    setFact("Signal", signal(session) || "not told by its radio");
    setFact("Queue", `${counted(session.queued, "message")}, ${octets(session.queued_octets)}`);
    setFact("Delivered", counted(session.delivered, "message"));
    setFact("Dropped", counted(session.dropped, "message"));
    setFact("Will", will?.topic ? [will.topic] : session.will ? "yes" : "none");
    setFact("Subscriptions", (detail.subscriptions ?? session.subscriptions ?? []).map(subscriptionText));
    setFact("Topic ids", Array.isArray(detail.topics) ?
        detail.topics.map((topic) => typeof topic === "string" ? topic :
            `${topic.id ?? "?"}: ${topic.name ?? topic.topic ?? "?"}`) : count(session.topics));
}

const ageText = (ms, waited) => typeof ms === "number" ? duration(ms + waited) : "–";

function drawQueue(session, waited) {
    const queue = detail.messages ?? [];
    const text = session.queued === 0 ? "Nothing waits." :
        queue.length === 0 ? `${counted(session.queued, "message")} waiting.` :
        queue.length > QUEUE_SHOWN ? `The first ${QUEUE_SHOWN} of ${count(queue.length)}:` : "";

    setText(parts.queueNote, text);
    parts.queueTable.hidden = queue.length === 0;
    parts.queue.replaceChildren(...queue.slice(0, QUEUE_SHOWN).map((message) => make(
        "tr", "", make("td", "", foreign(message.topic ?? "?")), make("td", "", octets(message.octets)),
        make("td", "", count(message.qos)), make("td", "", progressText(message)),
        make("td", "", ageText(message.age_ms, waited)))));
}

const PROGRESS = {waiting: "waiting", suback: "waiting for its subscription", disk: "being written",
                  sent: "sent, no answer yet", received: "received, not confirmed"};

function progressText(message) {
    return [PROGRESS[message.progress] ?? message.progress ?? "waiting",
            message.retain && "retained", message.stored && "on disk"].filter(Boolean).join(", ");
}

const KNOWN = ["event", "kind", "text", "age_ms", "at_ms", "time", "client_id"];

function eventText(event) {
    if (typeof event === "string")
        return event;
    const name = event.text ?? event.event ?? event.kind ?? "?";
    const more = event.text ? [] : Object.entries(event)
        .filter(([key, value]) => !KNOWN.includes(key) && value !== null && typeof value !== "object")
        .map(([key, value]) => `${key.replace(/_/g, " ")} ${value}`);
    return [name, ...more].join(", ");
}

function eventWhen(event, waited) {
    if (typeof event.age_ms === "number")
        return `${duration(event.age_ms + waited)} ago`;
    return typeof event.time === "string" ? event.time : "–";
}

const listOf = (value) => Array.isArray(value) ? value : null;

function logRows(events, waited) {
    return events.map((event) => make("tr", "", make("td", "when", eventWhen(event, waited)),
                                      make("td", "", foreign(eventText(event)))));
}

function drawLog(waited) {
    const log = listOf(detail.history), errors = listOf(detail.errors) ?? [];

    setText(parts.logNote, !log ? "This gateway keeps no history." :
        log.length === 0 ? "Nothing has happened since the gateway started." : "");
    parts.logTable.hidden = !(log?.length > 0);
    parts.log.replaceChildren(...logRows(log ?? [], waited));
    parts.errorTitle.hidden = parts.errorTable.hidden = errors.length === 0;
    parts.errors.replaceChildren(...logRows(errors, waited));
}

/** Also each second, for what counts. `gone`: the connection is lost, nothing is asked. */
export function drawDevice(now, gone, access) {
    if (id === null)
        return;
    if (parts === null)
        build(access);
    const session = findSession(id);
    parts.buttons.hidden = !session || !access.unlocked();
    setText(parts.note, !session || access.unlocked() ? "" :
        "Read-only: unlock with the token of the configuration to change anything.");
    if (parts.refused && access.unlocked()) {
        parts.refused = false;
        setText(parts.result, "");
    }
    parts.list.hidden = !session;
    parts.shape.toggleAttribute("hidden", !session);
    if (!session) {
        setText(parts.state, "There is no session with this client id.");
        return;
    }
    if (!gone && !asking && now - asked >= DETAIL_EVERY_MS)
        ask(now, access);
    drawFacts(session, now);
    if (detail.answered) {
        drawQueue(session, now - detail.answered);
        drawLog(now - detail.answered);
    }
}

/** {} if the gateway does not have it. */
async function fetchObject(path) {
    const answer = await fetch(path, {signal: AbortSignal.timeout(10000)});

    return answer.ok ? answer.json() : {};
}

async function ask(now, access) {
    const wanted = id;

    asking = true;
    asked = now;
    try {
        const shown = await fetchObject(sessionPath(wanted));
        const queue = await fetchObject(sessionPath(wanted, "queue"));
        if (wanted === id) {
            detail = {...shown, messages: listOf(queue.messages) ?? [], answered: access.clock()};
            drawDevice(access.clock(), false, access);
        }
    } catch {
        // The connection is watched elsewhere; this is asked again.
    }
    asking = false;
}

async function act(action, access) {
    const wanted = id;

    if (!await access.confirm(`${action.words}: ${wanted}`, action.text, action.words))
        return;
    const say = (text) => wanted === id && setText(parts.result, text);
    say("…");
    try {
        const answer = await fetch(sessionPath(wanted, action.path), {
            method: "POST", headers: {Authorization: `Bearer ${access.token()}`},
            signal: AbortSignal.timeout(10000),
        });
        const body = await answer.json().catch(() => ({}));
        if (answer.status === 401) {
            access.lock();
            parts.refused = true;
            say("The gateway does not accept this token.");
        } else {
            say(answer.ok && !body.error ? `${action.words}: done.` :
                `Not done: ${body.error ?? `status ${answer.status}`}`);
        }
    } catch {
        say("Not known whether it was done: the gateway did not answer.");
    }
    asked = -Infinity;
    drawDevice(access.clock(), false, access);
}

/** null: no device. */
export function openDevice(client_id) {
    if (client_id === id)
        return;
    id = client_id;
    parts = null;
    detail = {};
    asked = -Infinity;
    byId("device").replaceChildren();
}

export const focusDevice = () => parts?.heading.focus({preventScroll: true});
