/* SPDX-License-Identifier: Apache-2.0 */
/* The transmit queue of a serial port: encoded frames that the kernel has not taken yet. */
#ifndef DORMOUSE_SERIAL_QUEUE_H
#define DORMOUSE_SERIAL_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>

#define SERIAL_QUEUE_FRAMES 16

/* Caller's storage; fields are private but for count and frame_max. */
struct serial_queue {
    size_t frame_max; /* octets of the largest frame */
    size_t count;     /* frames that are not completely written */
    size_t first;     /* slot of the oldest */
    size_t written;   /* octets of the oldest that the kernel has */
    size_t lens[SERIAL_QUEUE_FRAMES];
    uint8_t *frames; /* SERIAL_QUEUE_FRAMES slots of frame_max octets */
};

enum dm_result serial_queue_init(struct serial_queue *queue, size_t frame_max);
void serial_queue_fini(struct serial_queue *queue);

/* Room for one frame of up to frame_max octets, or NULL if the queue is full. What is put there
 * counts once serial_queue_add is called. */
uint8_t *serial_queue_room(struct serial_queue *queue);
void serial_queue_add(struct serial_queue *queue, size_t len);

/* Writes to `fd` what it takes; *frames and *octets get what left. DM_OK: all is written. DM_FULL:
 * the kernel takes no more now. DM_IO: see errno. */
enum dm_result serial_queue_write(struct serial_queue *queue, int fd, size_t *frames,
                                  size_t *octets);

/* Forgets everything; the number of frames that were waiting. */
size_t serial_queue_clear(struct serial_queue *queue);

#endif
