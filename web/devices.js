// SPDX-License-Identifier: Apache-2.0
// The table of devices. Only the rows in view exist, so that 2,000 devices cost what 30 do.

import {byId, count, duration, make, setShape, setText, shape, signal, stateShape, visible}
    from "./words.js";

const SPARE = 8; // rows beyond each edge of the window, so that the tab key finds the next ones
const order = new Intl.Collator("en", {numeric: true}).compare;
const STATE_ORDER = ["awake", "active", "asleep", "lost", "disconnected"];

/** value: what is sorted by; text: what is shown; both get (session, age_ms or null). */
const COLUMNS = [
    {name: "state", title: "State", value: (s) => STATE_ORDER.indexOf(s.state)},
    {name: "client_id", title: "Device"},
    {name: "contact", title: "Last contact", value: (s, age) => age ?? Infinity, text: contactText},
    {name: "sleep", title: "Sleep", value: (s, age) => sleepLeft(s, age) ?? Infinity,
     text: sleepText},
    {name: "queued", title: "Queue", number: true, value: (s) => -s.queued,
     text: (s) => count(s.queued)},
    {name: "signal", title: "Signal", value: (s) => -(s.rssi ?? s.lqi ?? -Infinity),
     text: (s) => signal(s) || "–"},
    {name: "dropped", title: "Drops", number: true, value: (s) => -s.dropped,
     text: (s) => count(s.dropped)},
    {name: "clean", title: "Session", value: (s) => s.clean ? 1 : 0,
     text: (s) => s.clean ? "clean" : "persistent"},
];

let sessions = [];  // all
let wanted = [];    // those that are shown, in order
let received = 0;   // when they came, by the caller's clock
let sort = {by: "client_id", down: false};
let rowHeight = 40; // until one could be measured
const rows = new Map(); // those that exist, by client id
const above = spacer(), below = spacer();

function spacer() {
    const cell = make("td"), row = make("tr", "spacer", cell);

    cell.colSpan = COLUMNS.length;
    row.setAttribute("aria-hidden", "true");
    return row;
}

/** Milliseconds since the device was heard, null if not since the gateway started. */
export function ageOf(session, now) {
    return typeof session.last_contact_ms === "number" ?
        session.last_contact_ms + now - received : null;
}

function sleepLeft(session, age) {
    return session.state === "asleep" && age !== null ? session.sleep_s * 1000 - age : null;
}

export function contactText(session, age) {
    return age === null ? "not since the start" : `${duration(age)} ago`;
}

export function sleepText(session, age) {
    const left = sleepLeft(session, age);

    if (session.state !== "asleep")
        return "–";
    if (left === null)
        return `for ${duration(session.sleep_s * 1000)}`;
    // Rounded up: a countdown ends at 1 s, not at 0 s.
    return left > 0 ? `wakes in ${duration(left + 999)}` : `overdue ${duration(-left)}`;
}

export function findSession(id) {
    return sessions.find((session) => session.client_id === id);
}

function haystack(session) {
    return [session.client_id, visible(session.client_id), session.address ?? "",
            ...(session.subscriptions ?? [])].join("\n").toLowerCase();
}

export function setSessions(list, now) {
    sessions = list;
    received = now;
}

/** Which rows, in which order; after new sessions, another search or another sorting. */
export function arrange(now) {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = byId("state").value;
    const value = COLUMNS.find((column) => column.name === sort.by).value;
    const sign = sort.down ? -1 : 1;

    wanted = sessions.filter((session) => {
        if (state && session.state !== state)
            return false;
        const text = words.length > 0 ? haystack(session) : "";
        return words.every((word) => text.includes(word));
    }).map((session) => ({session, key: value ? value(session, ageOf(session, now)) : 0}));
    wanted.sort((a, b) => {
        const difference = a.key === b.key ? 0 : (a.key < b.key ? -1 : 1);
        return sign * (difference || order(a.session.client_id, b.session.client_id));
    });
    setText(byId("shown"), wanted.length === sessions.length ? `${count(sessions.length)}` :
        `${count(wanted.length)} of ${count(sessions.length)}`);
    byId("none").hidden = wanted.length > 0;
    byId("table").hidden = wanted.length === 0;
    setText(byId("none"), sessions.length > 0 ? "No device is like that." :
        "No device has connected yet. It appears here as soon as it does.");
    byId("table").setAttribute("aria-rowcount", wanted.length + 1);
}

export const deviceHash = (id) => `#/device/${encodeURIComponent(id)}`;

function newRow(id) {
    const row = {cells: {}, element: make("tr"), state: make("span"), shape: shape("warn")};
    const link = make("a", "", make("bdi", "", visible(id)));

    row.element.setAttribute("role", "row");
    row.element.dataset.id = id;
    link.href = deviceHash(id);
    link.title = visible(id);
    for (const {name, title, number} of COLUMNS) {
        const cell = make("td", number ? `${name} number` : name);
        cell.setAttribute("role", "cell");
        cell.dataset.label = title;
        row.cells[name] = row.element.appendChild(cell);
    }
    row.cells.state.append(row.shape, " ", row.state);
    row.cells.client_id.append(link);
    return row;
}

function fillRow(row, session, age) {
    setShape(row.shape, stateShape(session.state));
    setText(row.state, session.state);
    for (const {name, text} of COLUMNS)
        if (text) {
            setText(row.cells[name], text(session, age));
            row.cells[name].classList.toggle("unknown", row.cells[name].textContent === "–");
        }
    row.cells.sleep.classList.toggle("alert", row.cells.sleep.textContent.startsWith("overdue"));
    row.cells.dropped.classList.toggle("alert", session.dropped > 0);
    row.cells.queued.classList.toggle("alert", session.queued > 0);
}

/** Brings the rows in view up to date; also on each second and each scroll. */
export function drawRows(now) {
    const body = byId("rows");

    if (byId("home").hidden || wanted.length === 0)
        return;
    if (!above.isConnected)
        body.append(above, below);
    const head = body.getBoundingClientRect().top;
    const total = wanted.length;
    const visibleRows = Math.ceil(window.innerHeight / rowHeight) + 2 * SPARE;
    const first = Math.max(0, Math.min(total - visibleRows, Math.floor(-head / rowHeight) - SPARE));
    const end = Math.min(total, first + visibleRows);
    const keep = new Set();

    for (let i = first; i < end; i++)
        keep.add(wanted[i].session.client_id);
    const focused = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
    for (const [id, row] of rows)
        if (!keep.has(id)) {
            row.element.remove();
            rows.delete(id);
        }
    let behind = above;
    for (let i = first; i < end; i++) {
        const {session} = wanted[i];
        let row = rows.get(session.client_id);
        if (!row) {
            row = newRow(session.client_id);
            rows.set(session.client_id, row);
        }
        fillRow(row, session, ageOf(session, now));
        row.element.setAttribute("aria-rowindex", i + 2);
        row.element.classList.toggle("odd", i % 2 === 1);
        if (behind.nextSibling !== row.element)
            behind.after(row.element);
        behind = row.element;
    }
    if (focused !== undefined && document.activeElement === document.body)
        rows.get(focused)?.element.querySelector("a").focus({preventScroll: true});
    above.firstChild.style.height = `${first * rowHeight}px`;
    below.firstChild.style.height = `${(total - end) * rowHeight}px`;
    above.hidden = first === 0;
    below.hidden = end === total;
    measure(now);
}

function measure(now) {
    const one = rows.values().next().value?.element.getBoundingClientRect().height;

    if (one > 0 && Math.abs(one - rowHeight) > 0.01) {
        rowHeight = one;
        drawRows(now);
    }
}

function showSorting() {
    for (const cell of byId("columns").children) {
        const mine = cell.dataset.name === sort.by;
        if (mine)
            cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
        else
            cell.removeAttribute("aria-sort");
        setText(cell.querySelector("span"), mine ? (sort.down ? " ▼" : " ▲") : "");
    }
    byId("sort").value = sort.by;
    setText(byId("direction"), sort.down ? "▼ reversed" : "▲ in order");
}

/** clock: milliseconds, the same that `setSessions` got. */
export function startDevices(clock) {
    const redraw = () => {
        arrange(clock());
        drawRows(clock());
    };
    const sortBy = (name) => {
        sort = {by: name, down: sort.by === name && !sort.down};
        showSorting();
        redraw();
    };

    for (const {name, title, number} of COLUMNS) {
        const mark = make("span"), button = make("button", "", title, mark);
        const cell = make("th", number ? `${name} number` : name, button);
        button.type = "button";
        mark.setAttribute("aria-hidden", "true");
        cell.scope = "col";
        cell.dataset.name = name;
        cell.setAttribute("role", "columnheader");
        button.addEventListener("click", () => sortBy(name));
        byId("columns").append(cell);
        byId("sort").append(new Option(title, name));
    }
    showSorting();
    byId("sort").addEventListener("change", (event) => {
        sort.by = "";
        sortBy(event.target.value);
    });
    byId("direction").addEventListener("click", () => sortBy(sort.by));
    byId("search").addEventListener("input", redraw);
    byId("state").addEventListener("change", redraw);
    let waiting = false;
    const later = () => {
        if (waiting)
            return;
        waiting = true;
        requestAnimationFrame(() => {
            waiting = false;
            drawRows(clock());
        });
    };
    window.addEventListener("scroll", later, {passive: true});
    window.addEventListener("resize", later, {passive: true});
}

