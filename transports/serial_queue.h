/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmit queue of a serial port: frames that wait, the one that is being written, and those
 * that the radio has not confirmed. Urgent ones first: what the radio itself is owed, then the
 * protocol's control messages, then PUBLISH of QoS 1 and 2, then of QoS 0. What refers to what was
 * sent before (PUBREL), or ends a device's listening (PINGRESP), overtakes nothing that is for the
 * same node.
 */
#ifndef DORMOUSE_SERIAL_QUEUE_H
#define DORMOUSE_SERIAL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/address.h>
#include <dormouse/result.h>
#include <dormouse/span.h>

enum serial_class {
    SERIAL_REPLY,   /* of the framing: no message */
    SERIAL_CONTROL, /* all but PUBLISH */
    SERIAL_RELIABLE,
    SERIAL_BEST_EFFORT, /* QoS 0 and -1 */
};

struct serial_frame {
    struct serial_frame *prev, *next;
    enum serial_class class;
    bool in_order;   /* it overtakes nothing for the same node */
    bool exchange;   /* an answer is awaited: who sent it wants to know when it leaves */
    bool told_late;  /* the sender was told that it waits */
    bool out;        /* written, and to be confirmed */
    bool confirm;    /* it will be */
    uint8_t id;      /* for the confirmation */
    uint8_t tries;   /* times it was written */
    uint64_t due_ms; /* while out: given up, or sent again, at this time */
    struct dm_address to;
    size_t len;
    uint8_t octets[];
};

/* Caller's storage; fields are private but for the counts. */
struct serial_queue {
    struct serial_frame *frames;  /* in order of arrival */
    struct serial_frame *current; /* partly written */
    size_t written;               /* octets of it that the kernel has */
    size_t count;                 /* frames that are not completely written */
    size_t out;                   /* frames that wait for their confirmation */
    size_t max;                   /* PUBLISH; control messages find room for as many more */
};

void serial_queue_init(struct serial_queue *queue, size_t max);
/* Frees all frames; how many of them had not left. */
size_t serial_queue_clear(struct serial_queue *queue);

/* A message of this class finds room, or would after serial_queue_make_room. */
bool serial_queue_has_room(const struct serial_queue *queue, enum serial_class class);
/* Gives up the oldest QoS 0 message for a control message. False: there is none. */
bool serial_queue_make_room(struct serial_queue *queue);
/* NULL: no memory. Copies the octets; `prefix` goes first. */
struct serial_frame *serial_queue_add(struct serial_queue *queue, enum serial_class class,
                                      struct dm_span prefix, struct dm_span octets);
/* So many control messages wait that new requests should not be taken. */
bool serial_queue_is_congested(const struct serial_queue *queue);

/* The frame to be written next; NULL: none may. `window`: frames that may be out; 0: any. */
struct serial_frame *serial_queue_next(struct serial_queue *queue, size_t window);
/* Writes the frame to `fd`, from where it stopped. DM_OK: complete; the caller removes it, or keeps
 * it by serial_queue_keep. DM_FULL: the kernel takes no more now. DM_IO: see errno. */
enum dm_result serial_queue_write(struct serial_queue *queue, struct serial_frame *frame, int fd,
                                  size_t *octets);
/* It is written and waits for its confirmation until `due_ms`. */
void serial_queue_keep(struct serial_queue *queue, struct serial_frame *frame, uint64_t due_ms);
/* It is to be written again, before those that came later. */
void serial_queue_again(struct serial_queue *queue, struct serial_frame *frame);
/* The frame that this confirms; id 0: the oldest that is out. NULL: none. */
struct serial_frame *serial_queue_confirmed(struct serial_queue *queue, uint8_t id);
/* A frame whose confirmation is overdue; NULL: none. */
struct serial_frame *serial_queue_overdue(struct serial_queue *queue, uint64_t now_ms);
/* When the next becomes overdue; UINT64_MAX: none is out. */
uint64_t serial_queue_due(const struct serial_queue *queue);
void serial_queue_remove(struct serial_queue *queue, struct serial_frame *frame);

#endif
