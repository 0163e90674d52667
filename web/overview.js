// SPDX-License-Identifier: Apache-2.0
// The gateway at a glance: broker, store, queues, drops, and the ports with their nodes.

import {byId, count, counted, duration, foreign, make, octets, setShape, setText, shape, signal,
        stateShape} from "./words.js";

const cards = new Map();
const TITLES = {Queue: "Queue for devices", Spool: "Spool for the broker"};

/** lines: [text or element...]; the card is only written if its text is another. */
function setCard(name, mark, headline, lines) {
    let card = cards.get(name);

    if (!card) {
        card = {shape: shape(mark), head: make("span"), body: make("div"), key: null};
        cards.set(name, card);
        const title = make("h2", "", TITLES[name] ?? name);
        const box = make("section", "card", title,
                         make("p", "headline", card.shape, " ", card.head), card.body);
        box.dataset.card = name;
        byId("cards").append(box);
    }
    setShape(card.shape, mark);
    setText(card.head, headline);
    const key = lines.map((line) => line.textContent ?? line).join("\n");
    if (key !== card.key) {
        card.key = key;
        card.body.replaceChildren(...lines.map((line) => make("p", "", line)));
    }
}

function brokerCard(broker, own) {
    const marks = {connected: "good", connecting: "warn"};
    const lines = [foreign(broker.url ?? "")];

    if (broker.error)
        lines.push(foreign(broker.error));
    lines.push(`MQTT ${broker.version ?? "?"}, ${counted(broker.connects, "connect")}`);
    if (broker.tls)
        lines.push(foreign(`${broker.tls.version}, certificate ends ${broker.tls.certificate_ends}`));
    for (const other of broker.urls ?? [])
        if (other.url !== broker.url)
            lines.push(foreign(`also ${other.url}${other.error ? `: ${other.error}` : ""}`));
    const devices = (own.connected ?? 0) + (own.connecting ?? 0);
    if (devices > 0)
        lines.push(`${own.connected} of ${counted(devices, "own connection")} of devices`);
    for (const [name, what] of [["refused", "refused"], ["taken_over", "taken over"]])
        if (own[name] > 0)
            lines.push(`${counted(own[name], "device")} ${what}`);
    lines.push(`${octets(broker.rx_octets)} in, ${octets(broker.tx_octets)} out`);
    setCard("Broker", marks[broker.state] ?? "bad",
            broker.state === "waiting" ? "not connected" : broker.state ?? "unknown", lines);
}

function storeCard(store) {
    const lines = [];

    if (store.error)
        lines.push(foreign(store.error));
    lines.push(`file of ${octets(store.file_octets)}, ${octets(store.free_octets)} of it free`);
    lines.push(`${counted(store.rows, "row")}, ${counted(store.commits, "commit")}`);
    if (typeof store.last_commit_us === "number")
        lines.push(`commit ${(store.last_commit_us / 1000).toFixed(1)} ms, ` +
                   `longest ${(store.max_commit_us / 1000).toFixed(1)} ms`);
    setCard("Store", store.degraded ? "bad" : "good",
            store.degraded ? "not writing" : "writing", lines);
}

function stateLine(state, number) {
    return make("span", "state", shape(stateShape(state)), ` ${count(number)} ${state}`);
}

function devicesCard(sessions) {
    const names = ["active", "awake", "asleep", "lost", "disconnected"];
    const states = names.filter((name) => name in sessions);

    setCard("Devices", sessions.lost > 0 ? "warn" : "good", counted(sessions.total, "session"),
            [make("span", "states", ...states.map((state) => stateLine(state, sessions[state])))]);
}

const DROPS = {
    overflow: "queue full", too_long: "too long for the device", refused: "refused by the device",
    qos0_offline: "QoS 0 while away", expired: "expired",
};

function dropsCard(status) {
    const lines = [];
    let total = 0;
    const add = (number, words) => {
        if (number > 0) {
            total += number;
            lines.push(`${count(number)} ${words}`);
        }
    };

    for (const [name, number] of Object.entries(status.queue?.dropped ?? {}))
        add(number, DROPS[name] ?? name);
    add(status.spool?.dropped, "for the broker");
    const messages = total;
    const noise = (status.input?.malformed ?? 0) + (status.input?.unsupported ?? 0);
    if (status.spool?.refused > 0)
        lines.push(`${count(status.spool.refused)} not accepted, the device was told`);
    if (noise > 0)
        lines.push(`${count(noise)} unreadable packets`);
    if (lines.length === 0)
        lines.push("nothing was lost since the start");
    setCard("Drops", messages > 0 ? "warn" : "good", counted(messages, "message"), lines);
}

export function drawOverview(status) {
    setText(byId("name"), visibleName(status.name));
    brokerCard(status.broker ?? {}, status.own ?? {});
    storeCard(status.store ?? {});
    devicesCard(status.sessions ?? {});
    const queue = status.queue ?? {}, spool = status.spool ?? {};
    setCard("Queue", "good", counted(queue.messages, "message"),
            [octets(queue.octets), `${count(queue.delivered)} delivered since the start`]);
    setCard("Spool", spool.messages > 0 && status.broker?.state !== "connected" ? "warn" : "good",
            counted(spool.messages, "message"),
            [octets(spool.octets), `${count(spool.accepted)} accepted since the start`]);
    dropsCard(status);
    drawPorts(status.links ?? []);
}

const visibleName = (name) => name ? `· ${name}` : "";

export function drawUptime(status, ms) {
    setText(byId("about"), `version ${status.version ?? "?"}, up ${duration(ms)}`);
}

// ports -------------------------------------------------------------------------------------------

const TROUBLE = {
    rx_dropped: "received and dropped", rx_garbage: "unreadable", tx_dropped: "not sent",
    rx_crc_errors: "checksum errors", rx_oversize: "too long", rx_gap_resets: "broken by a pause",
    tx_repeats: "sent again", tx_unconfirmed: "not confirmed",
    line_frame_errors: "framing errors", line_parity_errors: "parity errors",
    line_overruns: "overruns", line_breaks: "breaks", nodes_refused: "nodes refused",
    reopens: "opened again",
};
const ports = new Map();

function newPort(link) {
    const port = {
        shape: shape("good"), state: make("span"), text: make("div"),
        details: make("details"), summary: make("summary"), body: make("tbody"), key: null,
    };
    const columns = ["Node", "Messages", "Unconfirmed", "Signal"].map((words) => {
        const cell = make("th", "", words);
        cell.scope = "col";
        return cell;
    });

    port.details.append(port.summary, make("table", "nodes",
                                           make("thead", "", make("tr", "", ...columns)), port.body));
    port.details.addEventListener("toggle", () => drawNodes(port));
    port.box = make("section", "card port",
                    make("h3", "", foreign(link.name), make("span", "quiet", ` ${link.kind}`)),
                    make("p", "headline", port.shape, " ", port.state), port.text, port.details);
    return port;
}

/** Without the name of the port, which stands above. */
function nodeText(port, node) {
    const text = node.address ?? "?";

    return text.startsWith(port.prefix) ? text.slice(port.prefix.length) : text;
}

function drawNodes(port) {
    if (port.details.open)
        port.body.replaceChildren(...port.nodes.map((node) => make(
            "tr", "", make("td", "", foreign(nodeText(port, node))),
            make("td", "number", count(node.messages)), make("td", "number", count(node.unconfirmed)),
            make("td", "", signal(node) || "–"))));
}

function drawPort(port, link) {
    setShape(port.shape, link.up ? "good" : "bad");
    setText(port.state, link.up ? "up" : "down");
    const lines = [];
    if (link.device)
        lines.push(foreign(link.device));
    if (link.groups)
        lines.push(foreign(`groups ${link.groups}`));
    if (link.error)
        lines.push(make("strong", "", foreign(link.error)));
    lines.push(`${count(link.rx_datagrams)} messages in (${octets(link.rx_octets)}), ` +
               `${count(link.tx_datagrams)} out (${octets(link.tx_octets)})`);
    if (link.tx_waiting > 0)
        lines.push(`${count(link.tx_waiting)} wait for the radio`);
    const trouble = Object.entries(TROUBLE).filter(([name]) => link[name] > 0)
        .map(([name, words]) => `${count(link[name])} ${words}`);
    lines.push(trouble.length > 0 ? trouble.join(", ") : "no errors");
    port.text.replaceChildren(...lines.map((line) => make("p", "", line)));
    port.nodes = link.nodes ?? [];
    port.prefix = `${link.kind}:${link.name}:`;
    port.details.hidden = !("nodes" in link);
    setText(port.summary, counted(port.nodes.length, "node"));
    drawNodes(port);
}

function drawPorts(links) {
    const gone = new Set(ports.keys());

    for (const link of links) {
        const name = `${link.kind}:${link.name}`;
        gone.delete(name);
        if (!ports.has(name)) {
            ports.set(name, newPort(link));
            byId("port-list").append(ports.get(name).box);
        }
        const port = ports.get(name), key = JSON.stringify(link);
        if (key !== port.key) {
            port.key = key;
            drawPort(port, link);
        }
    }
    for (const name of gone) {
        ports.get(name).box.remove();
        ports.delete(name);
    }
}
