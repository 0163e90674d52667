/* SPDX-License-Identifier: Apache-2.0 */
/* Wills: one for each device that is lost after it was told that its will is kept; else none. */
#include "world.h"

enum { DUE_MS = 60000 }; /* the longest way of a will to the broker when all is calm */

/* ---- which will is kept ---- */

void
oracle_will_heard(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    struct will_view *will = &w->oracle.views[d].will;

    switch (packet->type) {
    case MQTTSN_CONNECT:
        will->asked = packet->will;
        will->removing = false;
        will->doubtful = will->doubtful || packet->will || packet->clean_session;
        break;
    case MQTTSN_WILLMSG:
    case MQTTSN_WILLMSGUPD:
        will->heard = oracle_number(packet->data);
        if (will->heard > will->high)
            will->high = will->heard;
        if (will->heard < will->low) /* a device that reboots may come with the one of before */
            will->low = will->heard;
        will->doubtful = true;
        break;
    case MQTTSN_WILLTOPICUPD:
        will->removing = packet->topic_name.len == 0;
        will->doubtful = true;
        break;
    default:
        break;
    }
}

void
oracle_will_answered(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    struct view *v = &w->oracle.views[d];
    struct will_view *will = &v->will;

    if (packet->return_code != MQTTSN_ACCEPTED)
        return;
    if (packet->type == MQTTSN_CONNACK) {
        if (!will->asked && !v->asked_clean)
            return; /* a persistent session keeps what it has */
        will->armed = will->asked;
    } else if (will->removing) {
        will->armed = false;
    }
    will->low = will->high = will->heard;
    will->removing = false;
    will->doubtful = false;
}

/* ---- what is to be published ---- */

void
oracle_will_lost(struct world *w, unsigned d, bool certain)
{
    struct oracle *o = &w->oracle;
    const struct will_view *will = &o->views[d].will;

    world_trace(w, "d%02u is lost and has a will", d);
    if (o->due_count == ORACLE_DUES_MAX)
        return;
    o->dues[o->due_count++] = (struct due){.device = (uint8_t)d,
                                           .certain = certain && will->armed && !will->doubtful,
                                           .low = will->low,
                                           .high = will->high,
                                           .seq = disk_appended(w),
                                           .ms = w->now_ms};
}

/* One that surely is due comes before one that perhaps is. `paid`: there is one that had it. */
static struct due *
find_due(struct oracle *o, unsigned d, uint32_t number, bool *paid)
{
    struct due *found = NULL;

    *paid = false;
    for (size_t i = 0; i < o->due_count; i++) {
        struct due *due = &o->dues[i];

        if (due->device != d || number < due->low || number > due->high)
            continue;
        *paid = *paid || due->paid;
        if (!due->paid && (found == NULL || (due->certain && !found->certain)))
            found = due;
    }
    return found;
}

void
oracle_will_published(struct world *w, uint32_t number)
{
    struct fact *fact = oracle_fact(w, number);
    bool paid;
    struct due *due = find_due(&w->oracle, fact->device, number, &paid);

    w->tally->wills++;
    if (due != NULL) {
        due->paid = true;
        fact->allowed++;
        return;
    }
    /* Again: QoS 2 only if the broker lost its session in the middle; the others after a crash,
     * too, since a row is deleted behind. */
    if (!paid || (fact->qos == 2 && fact->published >= fact->allowed))
        world_fail(w, "a will is published once, for a device that is lost", "will %x of d%02u",
                   number, fact->device);
}

/* A loss that is not on disk has not happened. */
void
oracle_will_crashed(struct world *w)
{
    struct oracle *o = &w->oracle;
    size_t kept = 0;

    for (size_t i = 0; i < o->due_count; i++) {
        struct due due = o->dues[i];

        if (!due.paid && due.seq > w->disk.durable)
            continue;
        due.seq = 0;
        o->dues[kept++] = due;
    }
    o->due_count = kept;
}

void
oracle_will_settled(struct world *w)
{
    for (size_t i = 0; i < w->oracle.due_count; i++) {
        const struct due *due = &w->oracle.dues[i];

        if (due->certain && !due->paid && w->now_ms - due->ms > DUE_MS &&
            oracle_fact(w, due->low)->qos > 0 && !oracle_fact(w, due->low)->refused)
            world_fail(w, "the will of a lost device is published", "will %x of d%02u is not",
                       due->low, due->device);
    }
}
