// SPDX-License-Identifier: Apache-2.0
// How numbers, times and foreign text are written, and the elements that carry them.

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

/** Client ids and topics are the devices' own. What has no shape or turns the text around is spelt
 *  out, so that two different ids never look the same. */
export function visible(text) {
    return String(text).replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function count(value) {
    return typeof value === "number" ? value.toLocaleString("en") : "–";
}

export function counted(value, one, many = `${one}s`) {
    return `${count(value)} ${value === 1 ? one : many}`;
}

export function octets(value) {
    if (typeof value !== "number")
        return "–";
    let unit = 0;
    const units = ["B", "kB", "MB", "GB", "TB"];
    while (value >= 1000 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const two = (n) => String(n).padStart(2, "0");

    if (s < 60)
        return `${s} s`;
    if (s < 3600)
        return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400)
        return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

/** What the radio said of the last message. */
export function signal(of) {
    const parts = [];

    if (typeof of.rssi === "number")
        parts.push(`${of.rssi} dBm`);
    if (typeof of.snr === "number")
        parts.push(`SNR ${of.snr} dB`);
    if (typeof of.lqi === "number")
        parts.push(`LQI ${of.lqi}`);
    return parts.join(", ");
}

export const byId = (id) => document.getElementById(id);

/** make("p", "quiet", "text", child...): strings become text, never markup. */
export function make(tag, classes = "", ...children) {
    const element = document.createElement(tag);

    if (classes)
        element.className = classes;
    element.append(...children);
    return element;
}

/** Foreign text: its direction does not leak into what stands around it. */
export function foreign(text) {
    return make("bdi", "foreign", visible(text));
}

/** Writes only what changed, so that an unchanged page costs no layout. */
export function setText(element, text) {
    if (element.firstChild?.data !== text || element.childNodes.length !== 1)
        element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}) {
    const element = document.createElementNS(SVG, tag);

    for (const [name, value] of Object.entries(attributes))
        element.setAttribute(name, value);
    return element;
}

/** A shape of its own for each state: colour only adds to it. The word stands beside it. */
export function shape(name) {
    const image = svg("svg", {class: `shape ${name}`, viewBox: "0 0 16 16", "aria-hidden": "true"});

    image.append(svg("use", {href: `#shape-${name}`}));
    return image;
}

export function setShape(image, name) {
    if (image.dataset.name !== name) {
        image.dataset.name = name;
        image.setAttribute("class", `shape ${name}`);
        image.firstChild.setAttribute("href", `#shape-${name}`);
    }
}

const STATES = ["active", "awake", "asleep", "disconnected", "lost"];
export const stateShape = (state) => STATES.includes(state) ? state : "warn";
