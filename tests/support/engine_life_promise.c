/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises about messages of devices and wills: what was acknowledged reaches the broker, QoS 2
 * once; a device that is lost has one will published, no other has; and no step of QoS 2 is taken
 * before the record it depends on is durable.
 */
#include "engine_life.h"

#include <stdio.h>
#include <string.h>

static void
broken(const struct life *l, const char *what, uint32_t payload)
{
    char detail[32];

    snprintf(detail, sizeof detail, "d%u or w%u", (unsigned)payload, (unsigned)payload);
    life_broken(l, what, detail);
}

/* ---- messages of devices ---- */

void
promise_to_device(struct life *l, uint32_t payload)
{
    l->facts[payload].promised = true;
    l->uplinks++;
}

void
promise_reached(struct life *l, uint32_t payload)
{
    l->facts[payload].reached = true;
}

/* A new session of the broker whose record is not durable is taken for the old one, and a message
 * whose PUBREC came in that for one that is complete: what the broker acknowledged is its own. */
void
promise_crash(struct life *l)
{
    const struct disk_rows *waiting = &l->rig.disk.waiting;
    const struct disk_rows *rows = &l->rig.disk.rows;
    bool new_session = false;

    for (size_t i = 0; i < waiting->count; i++)
        new_session = new_session || waiting->items[i].record.op == STORE_BROKER_PUT;
    for (size_t i = 0; i < rows->count && new_session; i++) {
        const struct store_record *row = &rows->items[i].record;

        if (row->op == STORE_SPOOL_PUT && row->qos == 2 &&
            life_row(&l->rig.disk, STORE_RELEASE_PUT, 0, row->packet_id) != NULL)
            promise_reached(l, life_payload(row, 'd') + life_payload(row, 'w'));
    }
}

void
promise_taken(struct life *l, const struct life_packet *packet)
{
    struct life_fact *fact = &l->facts[packet->id];

    if (packet->id == 0)
        return; /* nonsense */
    if (!fact->seen && !fact->will && fact->sessions == l->devices[fact->device].sessions) {
        if (packet->id < l->last_uplink[fact->device])
            broken(l, "overtaken by a later message", packet->id);
        l->last_uplink[fact->device] = packet->id;
    }
    fact->seen = true;
    if (fact->epoch != l->broker.epoch) /* what the last session took may be lost with it */
        fact->taken = 0;
    fact->epoch = l->broker.epoch;
    fact->taken++;
    if (packet->qos == 2 && fact->taken > fact->allowed)
        broken(l, "QoS 2, and taken twice in one session of the broker", packet->id);
}

void
promise_check_all(struct life *l)
{
    for (uint32_t i = 1; i <= l->last_payload; i++)
        if (l->facts[i].promised && !l->facts[i].reached)
            broken(l, "promised, and never reached the broker", i);
}

/* ---- wills ---- */

void
promise_record(struct life *l, const struct disk_row *row)
{
    const struct store_record *r = &row->record;
    unsigned c = life_client(l, r->session);

    if (r->op == STORE_SESSION_DELETE && c < LIFE_DEVICES) { /* and with it what the device did */
        l->devices[c].armed = false;
        l->devices[c].phase = LIFE_IDLE;
        l->devices[c].sessions++;
        l->last_uplink[c] = 0;
    }
    /* A will is a spooled message without a MsgId. */
    if (r->op != STORE_SPOOL_PUT || r->msg_id != 0 ||
        life_row(&l->latest, STORE_SPOOL_PUT, 0, r->order) != NULL)
        return;
    if (l->will_count == LIFE_SPOOLED_MAX || l->spooled_count == LIFE_SPOOLED_MAX)
        abort();
    struct life_will will = {r->session, row->seq, life_payload(r, 'w'), r->qos};

    l->wills[l->will_count++] = will;
    l->spooled[l->spooled_count++] = will;
}

void
promise_committed(struct life *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->spooled_count; i++) {
        const struct life_will *will = &l->spooled[i];
        struct life_fact *fact = &l->facts[will->payload];

        if (will->seq > l->committed) {
            l->spooled[kept++] = *will;
            continue;
        }
        fact->allowed++;
        if (will->payload == 0 || will->qos == 0) /* QoS 0 may get lost with the connection */
            continue;
        fact->promised = true;
        fact->reached = false;
    }
    l->spooled_count = kept;
}

void
promise_restarted(struct life *l)
{
    l->spooled_count = 0;
}

static bool
is_lost(const struct life *l, unsigned c)
{
    const struct life_seen *was = &l->before[c];
    const struct life_seen *is = &l->seen[c];

    if (!was->there || was->state == ENGINE_DISCONNECTED || was->state == ENGINE_LOST)
        return false;
    if (!is->there) /* time ends only clean sessions */
        return l->elapsing;
    return is->number == was->number && is->state == ENGINE_LOST;
}

/* R74, R92: not before keep-alive or sleep duration, times the tolerance. */
static void
check_silence(const struct life *l, unsigned c)
{
    const struct life_seen *was = &l->before[c];
    uint64_t period = was->state == ENGINE_ACTIVE ? was->keepalive_s : was->sleep_s;
    char detail[32];

    snprintf(detail, sizeof detail, "session %u", (unsigned)was->number);
    if (c < LIFE_DEVICES &&
        l->rig.now_ms - l->devices[c].heard_ms < period * 10 * l->rig.options.tolerance_percent)
        life_broken(l, "lost, and was heard in time", detail);
}

/* Exactly one will for each that is lost with one, in the same turn: that is one batch. Returns how
 * many there are. */
static unsigned
check_will(struct life *l, unsigned c, bool lost)
{
    const struct life_seen *was = &l->before[c];
    unsigned expected = lost && was->will;
    unsigned found = 0;
    char detail[80];

    for (size_t i = 0; i < l->will_count; i++) {
        if (!was->there || l->wills[i].session != was->number)
            continue;
        found++;
        if (c < LIFE_DEVICES && l->wills[i].payload != 0 &&
            l->wills[i].payload < l->devices[c].will_since)
            broken(l, "a will that was replaced", l->wills[i].payload);
    }
    snprintf(detail, sizeof detail, "session %u: %u instead of %u", (unsigned)was->number, found,
             expected);
    if (found != expected)
        life_broken(l, "wills published", detail);
    return found;
}

/* The turn's datagram was a sign of life (R76). */
static void
note_contact(struct life *l, unsigned c)
{
    const struct life_seen *was = &l->before[c];
    const struct life_seen *is = &l->seen[c];
    bool connects = l->stepping_type == MQTTSN_CONNECT;

    if (l->stepping == 0 || l->nonsense || !is->bound || is->address != l->stepping)
        return;
    if (connects ? is->state == ENGINE_ACTIVE &&
                       (was->number != is->number || was->state != ENGINE_ACTIVE)
                 : life_is_talking(was) && was->number == is->number && was->address == l->stepping)
        l->devices[c].heard_ms = l->rig.now_ms;
}

static void
check_kept_will(const struct life *l, unsigned c)
{
    char detail[32];

    snprintf(detail, sizeof detail, "session %u", (unsigned)l->seen[c].number);
    if (l->devices[c].armed && l->seen[c].there && !l->seen[c].will)
        life_broken(l, "a will that was acknowledged is not there", detail);
}

void
promise_turn(struct life *l)
{
    unsigned wills = 0;

    for (unsigned c = 0; c < LIFE_CLIENTS; c++) {
        bool lost = is_lost(l, c);

        if (lost)
            check_silence(l, c);
        wills += check_will(l, c, lost);
        if (c >= LIFE_DEVICES)
            continue;
        check_kept_will(l, c);
        note_contact(l, c);
    }
    if (wills != l->will_count)
        broken(l, "a will of nobody", l->wills[0].payload);
    l->wills_lost += wills;
}

/* ---- what must be durable before a step of QoS 2 ---- */

static bool
changes(const struct store_record *record, enum store_op put, uint64_t session, uint64_t key)
{
    /* Each DELETE follows its PUT in enum store_op. */
    return ((int)record->op == (int)put || (int)record->op == (int)put + 1) &&
           (session == 0 || record->session == session) && life_key(record) == key;
}

/* The row is there, or is not, and that is durable when the line leaves. */
static void
require(const struct life *l, const struct life_line *line, enum store_op put, uint64_t session,
        uint64_t key, bool present)
{
    const struct disk_rows *waiting = &l->rig.disk.waiting;
    size_t i = waiting->count;

    if ((life_row(&l->latest, put, session, key) != NULL) != present)
        life_broken(l, present ? "its record is missing" : "its record is still there", line->text);
    while (i > 0 && !changes(&waiting->items[i - 1].record, put, session, key))
        i--;
    if (i > 0 && waiting->items[i - 1].seq > line->needs)
        life_broken(l, "it does not wait for its record", line->text);
}

static const struct store_record *
find_delivery(const struct life *l, uint64_t session, uint64_t msg_id)
{
    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op == STORE_DELIVERY_PUT && row->session == session && row->msg_id == msg_id)
            return row;
    }
    return NULL;
}

static void
check_upstream(const struct life *l, const struct life_line *line)
{
    const char *text = line->text + 2;
    uint64_t packet_id = life_number(text, " pid ");

    if (strncmp(text, "PUBREC", 6) == 0) {
        require(l, line, STORE_INBOUND_PUT, 0, packet_id, true);
    } else if (strncmp(text, "PUBCOMP", 7) == 0) {
        require(l, line, STORE_INBOUND_PUT, 0, packet_id, false);
    } else if (strncmp(text, "PUBREL", 6) == 0) {
        require(l, line, STORE_RELEASE_PUT, 0, packet_id, true);
    } else if (strncmp(text, "PUBLISH", 7) == 0 && life_number(text, " qos ") == 2) {
        const struct store_record *row = NULL;

        for (size_t i = 0; i < l->latest.rows.count && row == NULL; i++)
            if (l->latest.rows.items[i].record.op == STORE_SPOOL_PUT &&
                l->latest.rows.items[i].record.packet_id == packet_id)
                row = &l->latest.rows.items[i].record;
        if (row == NULL)
            life_broken(l, "its packet id is not recorded", line->text);
        require(l, line, STORE_SPOOL_PUT, 0, row->order, true);
    }
}

static void
check_downstream(const struct life *l, const struct life_line *line)
{
    const char *text = line->text + 3;
    uint64_t msg_id = life_number(text, " msg ");
    const struct store_record *delivery;

    if (strncmp(text, "PUBREC", 6) == 0) {
        require(l, line, STORE_RECEIVED_PUT, line->session, msg_id, true);
    } else if (strncmp(text, "PUBCOMP", 7) == 0) {
        require(l, line, STORE_RECEIVED_PUT, line->session, msg_id, false);
    } else if (strncmp(text, "PUBREL", 6) == 0) {
        delivery = find_delivery(l, line->session, msg_id);
        if (delivery == NULL)
            return; /* R64: the device ends an exchange that is over */
        if (!delivery->released)
            life_broken(l, "PUBREL, and PUBREC is not recorded", line->text);
        require(l, line, STORE_DELIVERY_PUT, line->session, delivery->order, true);
    } else if (strncmp(text, "PUBLISH", 7) == 0 && life_number(text, " qos ") == 2) {
        delivery = find_delivery(l, line->session, msg_id);
        if (delivery == NULL || delivery->released)
            life_broken(l, "QoS 2, and not recorded as to be published", line->text);
        require(l, line, STORE_DELIVERY_PUT, line->session, delivery->order, true);
    }
}

void
promise_line(struct life *l, const struct life_line *line)
{
    if (line->text[0] == '^')
        check_upstream(l, line);
    else if (line->session != 0)
        check_downstream(l, line);
}
