// SPDX-License-Identifier: Apache-2.0
// Small plots over the last 30 minutes, as long as the page is open.

import {byId, duration, make, setText, svg} from "./words.js";

const KEPT_MS = 30 * 60 * 1000;
const EVERY_MS = 5000;
const GAP_MS = 90 * 1000; // longer without a sample is not drawn as a line
const WIDTH = 300, HEIGHT = 60;

const samples = []; // {at, values by name}; values null: nothing is known from here on
let before = null;  // the counters at the last sample

const PLOTS = [
    {title: "Messages per second", digits: 1,
     lines: [["to", "to devices"], ["from", "from devices"]]},
    {title: "Messages waiting", digits: 0, lines: [["queue", "for devices"], ["spool", "for the broker"]]},
    {title: "Awake time of sleepers, ms", digits: 0, lines: [["nap", "from PINGREQ to PINGRESP"]]},
    {title: "Devices", digits: 0, lines: [["awake", "active or awake"], ["asleep", "asleep"]]},
];

function gauges(status) {
    const sessions = status.sessions ?? {};

    return {queue: status.queue?.messages ?? 0, spool: status.spool?.messages ?? 0,
            awake: (sessions.active ?? 0) + (sessions.awake ?? 0), asleep: sessions.asleep ?? 0};
}

/** Called with each status, and again while nothing changes. Returns whether it took a sample; in
 *  between, the last one only follows. */
export function addSample(status, now) {
    const last = samples.at(-1);

    if (last?.values && now - last.at < EVERY_MS - 200) {
        Object.assign(last.values, gauges(status));
        return false;
    }
    const counters = {at: now, to: status.queue?.delivered ?? 0, from: status.spool?.accepted ?? 0,
                      periods: status.awake?.periods ?? 0, ms: status.awake?.ms ?? 0};
    const goesOn = before !== null && now - before.at < GAP_MS &&
        counters.to >= before.to && counters.from >= before.from; // else it was started again
    const rate = (name) => goesOn ? (counters[name] - before[name]) * 1000 / (now - before.at) : 0;

    const periods = goesOn ? counters.periods - before.periods : 0;
    // The mean of those that ended since; as before while none did.
    const nap = periods > 0 ? (counters.ms - before.ms) / periods : last?.values?.nap ?? 0;

    samples.push({at: now, values: {to: rate("to"), from: rate("from"), nap, ...gauges(status)}});
    before = counters;
    while (samples.length > 0 && samples[0].at < now - KEPT_MS)
        samples.shift();
    return true;
}

export function addGap(now) {
    if (samples.at(-1)?.values)
        samples.push({at: now, values: null});
    before = null;
}

const plainNumber = (value, digits) => value.toLocaleString(
    "en", {minimumFractionDigits: digits, maximumFractionDigits: digits});

function pathOf(name, start, span, top) {
    let path = "", pen = "M", last = -Infinity;

    for (const {at, values} of samples) {
        if (values === null || at - last > GAP_MS)
            pen = "M";
        last = at;
        if (values === null)
            continue;
        const x = (at - start) / span * WIDTH;
        const y = HEIGHT - 2 - values[name] / top * (HEIGHT - 6);
        path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        if (pen === "M")
            path += "h0.1"; // a single sample is a dot
        pen = "L";
    }
    return path;
}

function build(plot) {
    const image = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
                              role: "img", class: "plot"});

    image.append(svg("path", {d: `M0 ${HEIGHT - 2}H${WIDTH}`, class: "axis"}));
    plot.paths = plot.lines.map((_, i) => image.appendChild(svg("path", {class: `line${i + 1}`})));
    plot.image = image;
    plot.legends = plot.lines.map(() => make("b"));
    const legend = make("p", "legend");
    plot.lines.forEach(([, words], i) => {
        const sample = svg("svg", {class: "key", viewBox: "0 0 24 8", "aria-hidden": "true"});
        sample.append(svg("path", {d: "M0 4H24", class: `line${i + 1}`}));
        legend.append(make("span", "", sample, " ", plot.legends[i], ` ${words}`));
    });
    plot.top = make("span");
    plot.since = make("span");
    byId("plots").append(make("figure", "", make("figcaption", "", plot.title), legend, image,
                              make("p", "quiet scale", plot.since, plot.top)));
}

export function drawPlots(now) {
    const first = samples[0]?.at ?? now;
    const span = Math.min(KEPT_MS, Math.max(2 * 60 * 1000, now - first));
    const values = samples.filter((sample) => sample.values).map((sample) => sample.values);

    for (const plot of PLOTS) {
        if (!plot.image)
            build(plot);
        const highest = values.reduce(
            (top, one) => Math.max(top, ...plot.lines.map(([name]) => one[name])), 0);
        const current = samples.at(-1)?.values;
        const words = [];
        plot.lines.forEach(([name, what], i) => {
            const text = current ? plainNumber(current[name], plot.digits) : "–";
            plot.paths[i].setAttribute("d", pathOf(name, now - span, span, highest || 1));
            setText(plot.legends[i], text);
            words.push(`${what} ${text}`);
        });
        setText(plot.top, `highest ${plainNumber(highest, plot.digits)}`);
        setText(plot.since, `last ${duration(span).replace(" 00 s", "")}`);
        plot.image.setAttribute("aria-label", `${plot.title} over time, now ${words.join(", ")}; ` +
                                `highest ${plainNumber(highest, plot.digits)}`);
    }
}
