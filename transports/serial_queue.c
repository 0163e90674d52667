/* SPDX-License-Identifier: Apache-2.0 */
/* Frames behind a serial port: which is next, partial writes, and confirmations. */
#include "serial_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

void
serial_queue_init(struct serial_queue *queue, size_t max)
{
    *queue = (struct serial_queue){.max = max};
}

void
serial_queue_remove(struct serial_queue *queue, struct serial_frame *frame)
{
    if (queue->current == frame) {
        queue->current = NULL;
        queue->written = 0;
    }
    if (frame->out)
        queue->out--;
    else
        queue->count--;
    DL_DELETE(queue->frames, frame);
    free(frame);
}

size_t
serial_queue_clear(struct serial_queue *queue)
{
    size_t waiting = queue->count;

    while (queue->frames != NULL)
        serial_queue_remove(queue, queue->frames);
    return waiting;
}

/* ---- room ---- */

bool
serial_queue_has_room(const struct serial_queue *queue, enum serial_class class)
{
    if (class == SERIAL_REPLY)
        return queue->count < 3 * queue->max;
    return queue->count < (class == SERIAL_CONTROL ? 2 * queue->max : queue->max);
}

bool
serial_queue_make_room(struct serial_queue *queue)
{
    struct serial_frame *frame;

    DL_FOREACH (queue->frames, frame) {
        if (frame->class == SERIAL_BEST_EFFORT && frame != queue->current && !frame->out) {
            serial_queue_remove(queue, frame);
            return true;
        }
    }
    return false;
}

bool
serial_queue_is_congested(const struct serial_queue *queue)
{
    return queue->count >= queue->max + (queue->max + 1) / 2;
}

struct serial_frame *
serial_queue_add(struct serial_queue *queue, enum serial_class class, struct dm_span prefix,
                 struct dm_span octets)
{
    struct serial_frame *frame = calloc(1, sizeof *frame + prefix.len + octets.len);

    if (frame == NULL)
        return NULL;
    frame->class = class;
    frame->len = prefix.len + octets.len;
    if (prefix.len > 0)
        memcpy(frame->octets, prefix.data, prefix.len);
    memcpy(frame->octets + prefix.len, octets.data, octets.len);
    DL_APPEND(queue->frames, frame);
    queue->count++;
    return frame;
}

/* ---- which is next ---- */

/* Another frame for the same node stands before it. */
static bool
would_overtake(const struct serial_queue *queue, const struct serial_frame *frame)
{
    const struct serial_frame *earlier;

    for (earlier = queue->frames; earlier != frame; earlier = earlier->next)
        if (earlier->class != SERIAL_REPLY && dm_address_equal(&earlier->to, &frame->to))
            return true;
    return false;
}

struct serial_frame *
serial_queue_next(struct serial_queue *queue, size_t window)
{
    struct serial_frame *frame;
    struct serial_frame *best = NULL;

    if (queue->current != NULL || queue->count == 0)
        return queue->current;
    DL_FOREACH (queue->frames, frame) {
        if (frame->out || (best != NULL && frame->class >= best->class) ||
            (frame->confirm && window > 0 && queue->out >= window) ||
            (frame->in_order && would_overtake(queue, frame)))
            continue;
        best = frame;
    }
    return best;
}

enum dm_result
serial_queue_write(struct serial_queue *queue, struct serial_frame *frame, int fd, size_t *octets)
{
    queue->current = frame;
    *octets = 0;
    while (queue->written < frame->len) {
        ssize_t taken = write(fd, frame->octets + queue->written, frame->len - queue->written);

        if (taken == 0 || (taken < 0 && (errno == EAGAIN || errno == EINTR)))
            return DM_FULL;
        if (taken < 0)
            return DM_IO;
        *octets += (size_t)taken;
        queue->written += (size_t)taken;
    }
    frame->tries++;
    queue->current = NULL;
    queue->written = 0;
    return DM_OK;
}

/* ---- confirmations ---- */

void
serial_queue_keep(struct serial_queue *queue, struct serial_frame *frame, uint64_t due_ms)
{
    frame->out = true;
    frame->due_ms = due_ms;
    queue->count--;
    queue->out++;
}

void
serial_queue_again(struct serial_queue *queue, struct serial_frame *frame)
{
    frame->out = false;
    queue->count++;
    queue->out--;
}

struct serial_frame *
serial_queue_confirmed(struct serial_queue *queue, uint8_t id)
{
    struct serial_frame *frame;

    DL_FOREACH (queue->frames, frame)
        if (frame->out && (id == 0 || frame->id == id))
            return frame;
    return NULL;
}

struct serial_frame *
serial_queue_overdue(struct serial_queue *queue, uint64_t now_ms)
{
    struct serial_frame *frame;

    DL_FOREACH (queue->frames, frame)
        if (frame->out && frame->due_ms <= now_ms)
            return frame;
    return NULL;
}

uint64_t
serial_queue_due(const struct serial_queue *queue)
{
    const struct serial_frame *frame;
    uint64_t due_ms = UINT64_MAX;

    DL_FOREACH (queue->frames, frame)
        if (frame->out && frame->due_ms < due_ms)
            due_ms = frame->due_ms;
    return due_ms;
}
