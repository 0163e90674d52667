/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded ring of encoded frames behind a serial port, and its partial writes. */
#include "serial_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum dm_result
serial_queue_init(struct serial_queue *queue, size_t frame_max)
{
    memset(queue, 0, sizeof *queue);
    queue->frame_max = frame_max;
    queue->frames = calloc(SERIAL_QUEUE_FRAMES, frame_max);
    return queue->frames != NULL ? DM_OK : DM_NO_MEMORY;
}

void
serial_queue_fini(struct serial_queue *queue)
{
    free(queue->frames);
    memset(queue, 0, sizeof *queue);
}

static size_t
next_slot(const struct serial_queue *queue)
{
    return (queue->first + queue->count) % SERIAL_QUEUE_FRAMES;
}

uint8_t *
serial_queue_room(struct serial_queue *queue)
{
    if (queue->count == SERIAL_QUEUE_FRAMES)
        return NULL;
    return queue->frames + next_slot(queue) * queue->frame_max;
}

void
serial_queue_add(struct serial_queue *queue, size_t len)
{
    assert(queue->count < SERIAL_QUEUE_FRAMES && len <= queue->frame_max);
    queue->lens[next_slot(queue)] = len;
    queue->count++;
}

enum dm_result
serial_queue_write(struct serial_queue *queue, int fd, size_t *frames, size_t *octets)
{
    *frames = 0;
    *octets = 0;
    while (queue->count > 0) {
        const uint8_t *frame = queue->frames + queue->first * queue->frame_max;
        size_t len = queue->lens[queue->first];
        ssize_t taken = write(fd, frame + queue->written, len - queue->written);

        if (taken == 0 || (taken < 0 && (errno == EAGAIN || errno == EINTR)))
            return DM_FULL;
        if (taken < 0)
            return DM_IO;
        *octets += (size_t)taken;
        queue->written += (size_t)taken;
        if (queue->written < len)
            continue;
        (*frames)++;
        queue->written = 0;
        queue->first = (queue->first + 1) % SERIAL_QUEUE_FRAMES;
        queue->count--;
    }
    return DM_OK;
}

size_t
serial_queue_clear(struct serial_queue *queue)
{
    size_t dropped = queue->count;

    queue->count = 0;
    queue->first = 0;
    queue->written = 0;
    return dropped;
}
