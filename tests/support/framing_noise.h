/* SPDX-License-Identifier: Apache-2.0 */
/* The noise simulation of the serial reference, section 2. */
#ifndef DORMOUSE_TESTS_FRAMING_NOISE_H
#define DORMOUSE_TESTS_FRAMING_NOISE_H

#include <stdio.h>
#include <string.h>

#include "framing_sink.h"
#include "random.h"
#include "unit.h"

#define NOISE_MESSAGES 3000
#define NOISE_OCTET_US 1042 /* 9600 baud, 10 bits an octet */
#define NOISE_IDLE_US 60000
#define NOISE_DATA_MAX 60u   /* of a PUBLISH; less where the mtu is small */
#define NOISE_BEFORE_MAX 20u /* octets before a frame */

struct noise_message {
    uint8_t octets[80];
    size_t len;
    bool arrived;
};

struct noise_run {
    struct noise_message sent[NOISE_MESSAGES];
    unsigned intact;
    unsigned corrupted; /* delivered, but never sent */
};

static inline void
on_noisy_event(void *ctx, const struct framing_event *event)
{
    struct noise_run *run = ctx;
    bool was_sent = false;

    if (event->type != FRAMING_MESSAGE)
        return;
    size_t len = event->octets.len;
    const uint8_t *message = event->octets.data;

    for (size_t i = 0; i < NOISE_MESSAGES; i++) {
        if (run->sent[i].len != len || memcmp(run->sent[i].octets, message, len) != 0)
            continue;
        was_sent = true;
        if (!run->sent[i].arrived) {
            run->sent[i].arrived = true;
            run->intact++;
            return;
        }
    }
    if (!was_sent)
        run->corrupted++;
}

/* 60 % PUBLISH, 20 % PINGREQ, 10 % CONNECT, 10 % REGISTER. */
static inline void
make_noise_message(struct random_source *source, size_t mtu, struct noise_message *message)
{
    static const uint8_t publish_flags[] = {0x00, 0x20, 0x62};
    uint8_t *octets = message->octets;
    unsigned kind = random_below(source, 10);
    unsigned data_max = mtu - 7 < NOISE_DATA_MAX ? (unsigned)(mtu - 7) : NOISE_DATA_MAX;

    message->arrived = false;
    if (kind < 6) {
        message->len = 7 + 4 + random_below(source, data_max - 3);
        octets[1] = 0x0C;
        octets[2] = publish_flags[random_below(source, 3)];
        random_fill(source, octets + 3, message->len - 3);
    } else if (kind < 8) {
        char id[8];
        int len = snprintf(id, sizeof id, "node%u", 1 + random_below(source, 99));
        message->len = 2 + (size_t)len;
        octets[1] = 0x16;
        memcpy(octets + 2, id, (size_t)len);
    } else if (kind < 9) {
        message->len = 12;
        memcpy(octets + 1, "\x04\x04\x01\x00\x3Cnode", 9);
        octets[10] = (uint8_t)('0' + random_below(source, 10));
        octets[11] = (uint8_t)('0' + random_below(source, 10));
    } else {
        message->len = 16;
        memcpy(octets + 1, "\x0A\x00\x00", 3);
        random_fill(source, octets + 4, 2);
        for (size_t i = 6; i < 16; i++)
            octets[i] = (uint8_t)('a' + random_below(source, 26));
    }
    octets[0] = (uint8_t)message->len;
}

/* One bit flipped, one octet lost, one inserted, or 1 to 20 octets before: equally likely. */
static inline size_t
damage(struct random_source *source, uint8_t *frame, size_t len)
{
    size_t at = random_below(source, (unsigned)len);
    size_t before = 1 + random_below(source, NOISE_BEFORE_MAX);

    switch (random_below(source, 4)) {
    case 0:
        frame[at] ^= (uint8_t)(1u << random_below(source, 8));
        return len;
    case 1:
        memmove(frame + at, frame + at + 1, len - at - 1);
        return len - 1;
    case 2:
        memmove(frame + at + 1, frame + at, len - at);
        frame[at] = (uint8_t)random_next(source);
        return len + 1;
    default:
        memmove(frame + before, frame, len);
        random_fill(source, frame, before);
        return len + before;
    }
}

/* Writes the frame in which a radio brings this message, the `number`th; the result is its length.
 */
typedef size_t noise_frame(const struct framing *framing, size_t number, struct dm_span message,
                           uint8_t *frame, size_t size);

/* Percentages of 100; octets arrive one by one in the time the line needs. Frees the framing. */
static inline struct noise_run *
run_noise(struct framing *framing, size_t mtu, noise_frame *make, unsigned noise, bool burst)
{
    struct random_source source = random_start(framing_traits(framing)->name, 3);
    struct noise_run *run = calloc(1, sizeof *run);
    uint64_t now_us = 1000000;

    CU_ASSERT_TRUE_FATAL(run != NULL && framing != NULL);
    for (size_t i = 0; i < NOISE_MESSAGES; i++)
        make_noise_message(&source, mtu, &run->sent[i]);
    for (size_t i = 0; i < NOISE_MESSAGES; i++) {
        uint8_t frame[256];
        size_t len = make(framing, i, dm_span(run->sent[i].octets, run->sent[i].len), frame,
                          sizeof frame - NOISE_BEFORE_MAX);
        if (random_below(&source, 100) < noise)
            len = damage(&source, frame, len);
        for (size_t at = 0; at < len; at++) {
            now_us += NOISE_OCTET_US;
            framing_feed(framing, frame + at, 1, now_us / 1000, on_noisy_event, run);
        }
        if (!burst || random_below(&source, 100) >= 70)
            now_us += NOISE_IDLE_US;
    }
    framing_free(framing);
    return run;
}

#endif
