/* SPDX-License-Identifier: Apache-2.0 */
/* The turns of a random life: what the engine did, what may leave, the disk and the clock. */
#include "engine_life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

unsigned
life_below(struct life *l, unsigned limit)
{
    return random_below(&l->source, limit);
}

bool
life_one_in(struct life *l, unsigned n)
{
    return life_below(l, n) == 0;
}

void
life_broken(const struct life *l, const char *what, const char *detail)
{
    printf("\nstep %u: %s: %s\n", l->step, what, detail);
    CU_FAIL_FATAL("a promise is broken");
}

uint32_t
life_new_payload(struct life *l)
{
    if (++l->last_payload >= l->fact_count)
        abort(); /* at most one a step */
    return l->last_payload;
}

/* ---- reading lines and rows ---- */

uint32_t
life_number(const char *line, const char *word)
{
    const char *at = strstr(line, word);

    return at != NULL ? (uint32_t)strtoul(at + strlen(word), NULL, 10) : 0;
}

uint64_t
life_key(const struct store_record *record)
{
    switch (record->op) {
    case STORE_RECEIVED_PUT:
    case STORE_RECEIVED_DELETE:
        return record->msg_id;
    case STORE_INBOUND_PUT:
    case STORE_INBOUND_DELETE:
    case STORE_RELEASE_PUT:
    case STORE_RELEASE_DELETE:
        return record->packet_id;
    case STORE_MESSAGE_PUT:
    case STORE_MESSAGE_DELETE:
        return record->message;
    case STORE_DELIVERY_PUT:
    case STORE_DELIVERY_DELETE:
    case STORE_SPOOL_PUT:
    case STORE_SPOOL_DELETE:
        return record->order;
    default:
        return 0;
    }
}

const struct store_record *
life_row(const struct engine_disk *disk, enum store_op put, uint64_t session, uint64_t key)
{
    for (size_t i = 0; i < disk->rows.count; i++) {
        const struct store_record *row = &disk->rows.items[i].record;

        if (row->op == put && (session == 0 || row->session == session) && life_key(row) == key)
            return row;
    }
    return NULL;
}

uint32_t
life_payload(const struct store_record *record, char kind)
{
    char text[16];

    if (record == NULL || record->payload.len < 2 || record->payload.len >= sizeof text ||
        record->payload.data[0] != (uint8_t)kind)
        return 0;
    memcpy(text, record->payload.data, record->payload.len);
    text[record->payload.len] = '\0';
    return (uint32_t)strtoul(text + 1, NULL, 10);
}

unsigned
life_client(const struct life *l, uint64_t session)
{
    unsigned c = 0;

    while (c < LIFE_CLIENTS && !(l->seen[c].there && l->seen[c].number == session) &&
           !(l->before[c].there && l->before[c].number == session))
        c++;
    return c;
}

bool
life_is_talking(const struct life_seen *seen)
{
    return seen->there && seen->bound && seen->state != ENGINE_DISCONNECTED &&
           seen->state != ENGINE_LOST;
}

/* ---- looking at the engine ---- */

static uint64_t
session_number(const struct life *l, struct dm_span client_id)
{
    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op == STORE_SESSION_PUT && dm_span_equal(row->client_id, client_id))
            return row->session;
    }
    life_broken(l, "a session without a record", "");
    return 0;
}

static void
see(void *ctx, const struct engine_session_status *session)
{
    struct life *l = ctx;
    unsigned letter = session->client_id.data[0];
    unsigned c = letter == 'z' ? LIFE_CLIENTS - 1 : letter - 'a';

    if (c >= LIFE_CLIENTS)
        abort();
    l->seen[c] = (struct life_seen){.there = true,
                                    .bound = session->has_address,
                                    .will = session->will,
                                    .state = session->state,
                                    .address = session->address.octets[0],
                                    .keepalive_s = session->keepalive_s,
                                    .sleep_s = session->sleep_s,
                                    .number = session_number(l, session->client_id),
                                    .dropped = session->dropped,
                                    .queued = session->queued_messages};
}

static void
look(struct life *l)
{
    memset(l->seen, 0, sizeof l->seen);
    engine_each_session(l->rig.engine, l->rig.now_ms, see, l);
}

static void
add_to_latest(struct life *l, const struct disk_row *row)
{
    struct engine_effect effect = {.type = ENGINE_RECORD,
                                   .address = row->address,
                                   .has_address = row->has_address,
                                   .record = row->record};

    engine_disk_append(&l->latest, &effect);
    engine_disk_end_turn(&l->latest);
    engine_disk_commit(&l->latest, l->latest.seq);
}

/* The records of this turn. */
static void
learn(struct life *l)
{
    const struct disk_rows *waiting = &l->rig.disk.waiting;
    size_t i = waiting->count;

    while (i > 0 && waiting->items[i - 1].seq > l->learned)
        i--;
    for (; i < waiting->count; i++) {
        queue_record(l, &waiting->items[i].record);
        promise_record(l, &waiting->items[i]);
        add_to_latest(l, &waiting->items[i]);
        l->learned = waiting->items[i].seq;
    }
    if (l->rig.disk.fault != NULL)
        life_broken(l, "store.h", l->rig.disk.fault);
}

/* ---- effects ---- */

static void
leave(struct life *l, const struct life_line *line)
{
    if (line->text[0] == '^')
        broker_gets(l, line);
    else
        device_gets(l, line);
}

static struct life_line
line_of(const struct life *l, const char *text)
{
    struct life_line line = {.needs = 0};
    const char *mark = strstr(text, " !");
    unsigned d = (unsigned)(text[0] - 'A');

    snprintf(line.text, sizeof line.text, "%s", text);
    line.needs = mark != NULL ? strtoull(mark + 2, NULL, 10) : 0;
    for (unsigned c = 0; c < LIFE_CLIENTS; c++)
        if (l->seen[c].bound && l->seen[c].address == (uint8_t)text[0])
            line.session = l->seen[c].number;
    if (d < LIFE_DEVICES) {
        line.boot = l->devices[d].boot;
        if (l->stepping == (uint8_t)text[0] && !l->nonsense)
            line.attempt = l->devices[d].attempt.number;
    }
    return line;
}

void
life_withdraw(struct life *l, char address)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->held_count; i++)
        if (l->held[i].text[0] != address)
            l->held[kept++] = l->held[i];
    l->held_count = kept;
}

static void
read_effects(struct life *l)
{
    char *save = NULL;

    for (char *text = strtok_r(l->rig.text, "\n", &save); text != NULL;
         text = strtok_r(NULL, "\n", &save)) {
        struct life_line line = line_of(l, text);

        if (text[0] == '*') /* GWINFO, to nobody in particular */
            continue;
        if (strcmp(text + 1, "> WITHDRAW") == 0) {
            life_withdraw(l, text[0]);
            continue;
        }
        queue_line(l, &line);
        promise_line(l, &line);
        if (line.needs <= l->committed) {
            leave(l, &line);
            continue;
        }
        if (l->held_count == LIFE_HELD_MAX)
            abort();
        l->held[l->held_count++] = line;
    }
    rig_clear(&l->rig);
}

void
life_turn(struct life *l)
{
    engine_disk_end_turn(&l->rig.disk);
    memset(l->missing, 0, sizeof l->missing);
    l->will_count = 0;
    learn(l);
    look(l);
    queue_turn(l);
    promise_turn(l);
    read_effects(l);
    memcpy(l->before, l->seen, sizeof l->before);
    l->stepping = 0;
    l->nonsense = false;
    l->elapsing = false;
}

void
life_datagram(struct life *l, char from, const struct mqttsn_packet *packet)
{
    l->stepping = (uint8_t)from;
    l->stepping_type = packet->type;
    rig_send(&l->rig, from, packet);
    life_turn(l);
}

/* ---- the disk and the clock ---- */

void
life_commit(struct life *l, uint64_t seq)
{
    size_t kept = 0;

    l->committed = engine_disk_commit(&l->rig.disk, seq);
    promise_committed(l);
    for (size_t i = 0; i < l->held_count; i++) {
        if (l->held[i].needs <= l->committed)
            leave(l, &l->held[i]);
        else
            l->held[kept++] = l->held[i];
    }
    l->held_count = kept;
    engine_committed(l->rig.engine, l->rig.now_ms, l->committed);
    life_turn(l);
}

void
life_wait(struct life *l, uint64_t ms)
{
    uint64_t end = l->rig.now_ms + ms;

    for (;;) {
        l->elapsing = true;
        engine_time(l->rig.engine, l->rig.now_ms);
        life_turn(l);
        uint64_t due = engine_next_deadline(l->rig.engine);

        if (due <= l->rig.now_ms)
            life_broken(l, "a deadline in the past", "the loop would spin");
        if (due > end)
            break;
        l->rig.now_ms = due;
    }
    l->rig.now_ms = end;
}

/* The store gives back what was committed. */
static void
load_latest(struct life *l)
{
    engine_disk_fini(&l->latest);
    engine_disk_init(&l->latest);
    for (size_t i = 0; i < l->rig.disk.rows.count; i++)
        add_to_latest(l, &l->rig.disk.rows.items[i]);
}

void
life_crash(struct life *l)
{
    broker_loses_connection(l);
    promise_crash(l);
    l->held_count = 0;
    l->answer_count = 0;
    l->rig.full = false;
    l->rig.link.up = l->link_up;
    load_latest(l);
    l->committed = 0;
    l->learned = 0;
    l->restarts++;
    queue_restarted(l);
    promise_restarted(l);
    rig_restart(&l->rig);
    look(l); /* what the new engine sends, it sends by the rows */
    memcpy(l->before, l->seen, sizeof l->before);
    life_turn(l);
}

void
life_restart(struct life *l)
{
    engine_shutdown(l->rig.engine, l->rig.now_ms);
    life_turn(l);
    life_commit(l, l->rig.disk.seq);
    life_crash(l);
}

void
life_init(struct life *l, unsigned steps)
{
    memset(l, 0, sizeof *l);
    l->source = random_start("engine_random", 1);
    l->fact_count = steps + 1000;
    l->facts = calloc(l->fact_count, sizeof *l->facts);
    if (l->facts == NULL)
        abort();
    rig_init(&l->rig);
    l->rig.commits_late = true;
    l->rig.log_withdrawals = true;
    l->rig.options.queue_messages = 40;
    l->link_up = true;
    engine_disk_init(&l->latest);
}

void
life_fini(struct life *l)
{
    rig_fini(&l->rig);
    engine_disk_fini(&l->latest);
    free(l->facts);
}
