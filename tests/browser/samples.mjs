// SPDX-License-Identifier: Apache-2.0
// Objects as the gateway serves them.

const STATES = ["asleep", "asleep", "asleep", "active", "awake", "lost", "disconnected"];

export function session(client_id, more = {}) {
    return {client_id, clean: false, will: false, state: "active", address: "udp:lan:192.0.2.7:1884",
            last_contact_ms: 1500, keepalive_s: 60, sleep_s: 0, subscriptions: [`cmd/${client_id}`],
            topics: 1, queued: 0, queued_octets: 0, delivered: 12, dropped: 0, ...more};
}

/** The same ones each time. */
export function sessions(number) {
    return Array.from({length: number}, (_, i) => {
        const state = STATES[i % STATES.length];
        return session(`sensor-${i + 1}`, {
            state, clean: i % 5 === 4, sleep_s: state === "asleep" ? 60 + i % 900 : 0,
            last_contact_ms: i % 11 === 10 ? null : (i * 7919) % 70000,
            queued: state === "asleep" ? i % 4 : 0, queued_octets: state === "asleep" ? i % 4 * 20 : 0,
            dropped: i % 9 === 8 ? 2 : 0,
            ...(i % 3 === 1 ? {address: `serial:barn:00:${i}`, rssi: -60 - i % 40} : {}),
        });
    });
}

const UDP = {kind: "udp", name: "lan", up: true, device: "0.0.0.0:1884", error: "", groups: "",
             rx_datagrams: 5023, rx_octets: 120332, rx_dropped: 0, rx_garbage: 0,
             tx_datagrams: 4981, tx_octets: 88210, tx_dropped: 0, reopens: 0};

const SERIAL = {...UDP, kind: "serial", name: "barn", device: "/dev/dormouse/barn", mtu: 100,
                rx_crc_errors: 3, rx_oversize: 0, rx_gap_resets: 0, tx_repeats: 5, tx_unconfirmed: 1,
                tx_waiting: 0, line_frame_errors: 0, line_parity_errors: 0, line_overruns: 0,
                line_breaks: 0, nodes_refused: 0,
                nodes: [{address: "serial:barn:00:1", messages: 120, unconfirmed: 1, rssi: -71},
                        {address: "serial:barn:00:2", messages: 77, unconfirmed: 0, lqi: 200}]};

export function status(list = [], more = {}) {
    const states = {disconnected: 0, active: 0, asleep: 0, lost: 0, awake: 0};

    for (const one of list)
        states[one.state]++;
    const sum = (name) => list.reduce((total, one) => total + one[name], 0);
    return {
        version: "0.1.0", pid: 77, name: "farm", gateway_id: 7, uptime_ms: 93784000,
        broker: {url: "mqtt://broker.example:1883", state: "connected", version: "5", error: "",
                 connects: 2, rx_packets: 900, tx_packets: 950, rx_octets: 40213, tx_octets: 1204433},
        links: [UDP, SERIAL],
        store: {path: "/var/lib/dormouse/dormouse.db", degraded: false, error: "",
                file_octets: 409600, free_octets: 40960, written_octets: 1203944, commits: 841,
                rows: 3 * list.length, annihilated: 12, appended: 2, committed: 44,
                last_commit_us: 8120, max_commit_us: 90233},
        sessions: {...states, total: list.length},
        queue: {messages: sum("queued"), octets: sum("queued_octets"), delivered: 800,
                dropped: {overflow: sum("dropped"), too_long: 0, refused: 0, qos0_offline: 0,
                          expired: 0}},
        spool: {messages: 0, octets: 0, accepted: 7120, dropped: 0, refused: 0},
        wills: {kept: 0, octets: 0, published: 0, handshakes: 0},
        awake: {periods: 40, ms: 1200},
        discovery: {advertised: 9, searches: 0, standing_by: false},
        input: {malformed: 0, unsupported: 0, ignored: 1, refused: 0, answers_held: 0,
                answers_dropped: 0},
        ...more,
    };
}
