/* SPDX-License-Identifier: Apache-2.0 */
/* The transmit queue of a serial port: who is next, room, partial writes and confirmations. */
#include "serial_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define MAX 4
#define LONG_LEN 6000 /* more than the pipe of the test takes at once */
#define PIPE_LEN 4096

/* A frame of one octet, `name`, for the node of that number. */
static struct serial_frame *
add(struct serial_queue *queue, enum serial_class class, uint8_t node, char name)
{
    const uint8_t octet = (uint8_t)name;
    struct serial_frame *frame =
        serial_queue_add(queue, class, dm_span(NULL, 0), dm_span(&octet, 1));

    CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
    frame->to = (struct dm_address){.len = 1, .octets = {node}};
    return frame;
}

static struct serial_frame *
add_in_order(struct serial_queue *queue, uint8_t node, char name)
{
    struct serial_frame *frame = add(queue, SERIAL_CONTROL, node, name);

    frame->in_order = true;
    return frame;
}

static struct serial_frame *
add_to_confirm(struct serial_queue *queue, uint8_t id, char name)
{
    struct serial_frame *frame = add(queue, SERIAL_RELIABLE, id, name);

    frame->confirm = true;
    frame->id = id;
    return frame;
}

/* Removes frames as they come next, until none may leave; their names. */
static const char *
order(struct serial_queue *queue, size_t window)
{
    static char names[32];
    size_t count = 0;
    struct serial_frame *frame;

    while ((frame = serial_queue_next(queue, window)) != NULL && count < sizeof names - 1) {
        names[count++] = (char)frame->octets[0];
        serial_queue_remove(queue, frame);
    }
    names[count] = '\0';
    return names;
}

static void
frames_leave_by_class_and_in_order_of_arrival(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    add(&queue, SERIAL_BEST_EFFORT, 1, 'g');
    add(&queue, SERIAL_RELIABLE, 1, 'e');
    add(&queue, SERIAL_BEST_EFFORT, 1, 'h');
    add(&queue, SERIAL_CONTROL, 1, 'c');
    add(&queue, SERIAL_REPLY, 1, 'a');
    add(&queue, SERIAL_RELIABLE, 1, 'f');
    add(&queue, SERIAL_CONTROL, 1, 'd');
    add(&queue, SERIAL_REPLY, 1, 'b');
    CU_ASSERT_EQUAL(queue.count, 8);
    CU_ASSERT_STRING_EQUAL(order(&queue, 0), "abcdefgh");
    CU_ASSERT_EQUAL(queue.count, 0);
    CU_ASSERT_PTR_NULL(serial_queue_next(&queue, 0));
}

static void
in_order_overtakes_only_what_is_for_others(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    add(&queue, SERIAL_BEST_EFFORT, 1, 'c');
    add(&queue, SERIAL_RELIABLE, 2, 'b');
    add_in_order(&queue, 1, 'd');
    add_in_order(&queue, 3, 'a');
    CU_ASSERT_STRING_EQUAL(order(&queue, 0), "abcd");

    /* The radio's own replies are for no node: one that was cut short lets it pass. */
    struct serial_frame *reply = add(&queue, SERIAL_REPLY, 1, 'r');
    struct serial_frame *pingresp = add_in_order(&queue, 1, 'l');
    serial_queue_keep(&queue, reply, 100);
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 0), pingresp);
    serial_queue_clear(&queue);
}

static void
in_order_waits_for_the_confirmation_of_what_went_before(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    struct serial_frame *publish = add_to_confirm(&queue, 1, 'p');
    struct serial_frame *pingresp = add_in_order(&queue, 1, 'l');
    serial_queue_keep(&queue, publish, 100);
    CU_ASSERT_PTR_NULL(serial_queue_next(&queue, 4));
    serial_queue_remove(&queue, publish);
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 4), pingresp);
    serial_queue_clear(&queue);
}

static void
prefix_goes_before_the_octets(void)
{
    static const uint8_t prefix[] = {1, 2}, octets[] = {3, 4, 5};
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    const struct serial_frame *frame =
        serial_queue_add(&queue, SERIAL_CONTROL, dm_span(prefix, 2), dm_span(octets, 3));
    CU_ASSERT_EQUAL(frame->len, 5);
    CU_ASSERT_EQUAL(memcmp(frame->octets, (uint8_t[]){1, 2, 3, 4, 5}, 5), 0);
    CU_ASSERT_EQUAL(serial_queue_clear(&queue), 1);
}

static void
open_pipe(int ends[2])
{
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    CU_ASSERT_EQUAL_FATAL(fcntl(ends[1], F_SETPIPE_SZ, PIPE_LEN), PIPE_LEN);
}

static void
close_pipe(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void
partly_written_frame_is_finished_before_urgent_ones(void)
{
    static uint8_t octets[LONG_LEN];
    static uint8_t got[LONG_LEN];
    struct serial_queue queue;
    int ends[2];
    size_t taken;

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i % 251);
    open_pipe(ends);
    serial_queue_init(&queue, MAX);
    struct serial_frame *frame = serial_queue_add(&queue, SERIAL_BEST_EFFORT, dm_span(NULL, 0),
                                                  dm_span(octets, sizeof octets));
    CU_ASSERT_EQUAL(serial_queue_write(&queue, frame, ends[1], &taken), DM_FULL);
    CU_ASSERT_EQUAL(taken, PIPE_LEN);
    add(&queue, SERIAL_REPLY, 1, 'u');
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 0), frame);
    CU_ASSERT_EQUAL(frame->tries, 0);
    CU_ASSERT_EQUAL(serial_queue_write(&queue, frame, ends[1], &taken), DM_FULL);
    CU_ASSERT_EQUAL(taken, 0);
    CU_ASSERT_EQUAL(read(ends[0], got, sizeof got), PIPE_LEN);
    CU_ASSERT_EQUAL(serial_queue_write(&queue, frame, ends[1], &taken), DM_OK);
    CU_ASSERT_EQUAL(taken, LONG_LEN - PIPE_LEN);
    CU_ASSERT_EQUAL(frame->tries, 1);
    CU_ASSERT_EQUAL(read(ends[0], got + PIPE_LEN, LONG_LEN - PIPE_LEN), LONG_LEN - PIPE_LEN);
    CU_ASSERT_EQUAL(memcmp(got, octets, sizeof octets), 0);
    serial_queue_remove(&queue, frame);
    CU_ASSERT_STRING_EQUAL(order(&queue, 0), "u");
    close_pipe(ends);
}

/* The queue is cleared in the middle of a frame: the next one is written from its beginning. */
static void
cleared_queue_has_forgotten_the_partly_written_frame(void)
{
    static const uint8_t octets[LONG_LEN];
    struct serial_queue queue;
    int ends[2];
    size_t taken;

    open_pipe(ends);
    serial_queue_init(&queue, MAX);
    struct serial_frame *frame = serial_queue_add(&queue, SERIAL_BEST_EFFORT, dm_span(NULL, 0),
                                                  dm_span(octets, sizeof octets));
    CU_ASSERT_EQUAL(serial_queue_write(&queue, frame, ends[1], &taken), DM_FULL);
    struct serial_frame *out = add_to_confirm(&queue, 1, 'o');
    serial_queue_keep(&queue, out, 1);
    CU_ASSERT_EQUAL(serial_queue_clear(&queue), 1); /* what is out has left */
    CU_ASSERT_EQUAL(queue.count + queue.out + queue.written, 0);
    CU_ASSERT_PTR_NULL(queue.current);
    CU_ASSERT_PTR_NULL(queue.frames);
    close_pipe(ends);
}

static void
write_into_a_broken_port_is_an_error(void)
{
    struct serial_queue queue;
    int ends[2];
    size_t taken;

    signal(SIGPIPE, SIG_IGN);
    open_pipe(ends);
    serial_queue_init(&queue, MAX);
    struct serial_frame *frame = add(&queue, SERIAL_CONTROL, 1, 'a');
    close(ends[0]);
    CU_ASSERT_EQUAL(serial_queue_write(&queue, frame, ends[1], &taken), DM_IO);
    CU_ASSERT_EQUAL(errno, EPIPE);
    CU_ASSERT_EQUAL(taken, 0);
    CU_ASSERT_EQUAL(frame->tries, 0);
    serial_queue_clear(&queue);
    close(ends[1]);
}

static void
fill(struct serial_queue *queue, enum serial_class class, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_TRUE(serial_queue_has_room(queue, class));
        add(queue, class, 1, (char)('a' + i));
    }
}

static void
control_finds_room_beyond_the_limit_of_publish(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    fill(&queue, SERIAL_BEST_EFFORT, MAX);
    CU_ASSERT_FALSE(serial_queue_has_room(&queue, SERIAL_BEST_EFFORT));
    CU_ASSERT_FALSE(serial_queue_has_room(&queue, SERIAL_RELIABLE));
    fill(&queue, SERIAL_CONTROL, MAX);
    CU_ASSERT_FALSE(serial_queue_has_room(&queue, SERIAL_CONTROL));
    fill(&queue, SERIAL_REPLY, MAX);
    CU_ASSERT_FALSE(serial_queue_has_room(&queue, SERIAL_REPLY));
    CU_ASSERT_EQUAL(serial_queue_clear(&queue), 3 * MAX);
    CU_ASSERT_TRUE(serial_queue_has_room(&queue, SERIAL_BEST_EFFORT));
}

static void
frames_that_are_out_take_no_room(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, 1);
    struct serial_frame *frame = add_to_confirm(&queue, 1, 'a');
    CU_ASSERT_FALSE(serial_queue_has_room(&queue, SERIAL_RELIABLE));
    serial_queue_keep(&queue, frame, 1);
    CU_ASSERT_TRUE(serial_queue_has_room(&queue, SERIAL_RELIABLE));
    CU_ASSERT_EQUAL(serial_queue_clear(&queue), 0);
}

static void
oldest_message_of_qos_0_gives_way(void)
{
    struct serial_queue queue;
    int ends[2];
    size_t taken;
    static const uint8_t octets[LONG_LEN] = {'a'};

    open_pipe(ends);
    serial_queue_init(&queue, MAX);
    struct serial_frame *current = serial_queue_add(&queue, SERIAL_BEST_EFFORT, dm_span(NULL, 0),
                                                    dm_span(octets, sizeof octets));
    CU_ASSERT_EQUAL(serial_queue_write(&queue, current, ends[1], &taken), DM_FULL);
    add(&queue, SERIAL_RELIABLE, 1, 'c');
    struct serial_frame *out = add(&queue, SERIAL_BEST_EFFORT, 1, 'o');
    serial_queue_keep(&queue, out, 1);
    add(&queue, SERIAL_BEST_EFFORT, 1, 'x');
    add(&queue, SERIAL_BEST_EFFORT, 1, 'y');
    add(&queue, SERIAL_CONTROL, 1, 'b');
    CU_ASSERT_TRUE(serial_queue_make_room(&queue)); /* x */
    CU_ASSERT_EQUAL(queue.count, 4);
    CU_ASSERT_STRING_EQUAL(order(&queue, 0), "abcy");
    CU_ASSERT_EQUAL(queue.out, 1);
    CU_ASSERT_FALSE(serial_queue_make_room(&queue)); /* what has left does not count */
    serial_queue_clear(&queue);
    close_pipe(ends);
}

static void
room_is_not_made_of_control_and_reliable(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    add(&queue, SERIAL_REPLY, 1, 'a');
    add(&queue, SERIAL_CONTROL, 1, 'b');
    add(&queue, SERIAL_RELIABLE, 1, 'c');
    CU_ASSERT_FALSE(serial_queue_make_room(&queue));
    CU_ASSERT_STRING_EQUAL(order(&queue, 0), "abc");
}

static void
queue_is_congested_when_half_the_room_of_control_is_used(void)
{
    static const struct {
        size_t max, threshold;
    } cases[] = {{1, 2}, {2, 3}, {3, 5}, {16, 24}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct serial_queue queue;

        serial_queue_init(&queue, cases[i].max);
        fill(&queue, SERIAL_CONTROL, cases[i].threshold - 1);
        CU_ASSERT_FALSE(serial_queue_is_congested(&queue));
        fill(&queue, SERIAL_CONTROL, 1);
        CU_ASSERT_TRUE(serial_queue_is_congested(&queue));
        serial_queue_remove(&queue, queue.frames);
        CU_ASSERT_FALSE(serial_queue_is_congested(&queue));
        serial_queue_clear(&queue);
    }
}

static void
window_limits_the_frames_that_are_out(void)
{
    struct serial_queue queue;
    struct serial_frame *frames[3];

    serial_queue_init(&queue, MAX);
    for (uint8_t i = 0; i < 3; i++)
        frames[i] = add_to_confirm(&queue, (uint8_t)(i + 1), (char)('a' + i));
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 2), frames[i]);
        serial_queue_keep(&queue, frames[i], 100);
    }
    CU_ASSERT_PTR_NULL(serial_queue_next(&queue, 2));
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 3), frames[2]);
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 0), frames[2]);
    /* What is not confirmed need not wait. */
    struct serial_frame *broadcast = add(&queue, SERIAL_BEST_EFFORT, 9, 'x');
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 2), broadcast);
    serial_queue_remove(&queue, serial_queue_confirmed(&queue, 2));
    CU_ASSERT_PTR_EQUAL(serial_queue_next(&queue, 2), frames[2]);
    serial_queue_clear(&queue);
}

static void
confirmation_finds_its_frame_or_the_oldest(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    struct serial_frame *first = add_to_confirm(&queue, 7, 'a');
    struct serial_frame *second = add_to_confirm(&queue, 8, 'b');
    CU_ASSERT_PTR_NULL(serial_queue_confirmed(&queue, 7)); /* not sent yet */
    CU_ASSERT_PTR_NULL(serial_queue_confirmed(&queue, 0));
    serial_queue_keep(&queue, second, 100);
    CU_ASSERT_PTR_EQUAL(serial_queue_confirmed(&queue, 0), second);
    serial_queue_keep(&queue, first, 100);
    CU_ASSERT_PTR_EQUAL(serial_queue_confirmed(&queue, 0), first);
    CU_ASSERT_PTR_EQUAL(serial_queue_confirmed(&queue, 8), second);
    CU_ASSERT_PTR_NULL(serial_queue_confirmed(&queue, 9));
    CU_ASSERT_EQUAL(queue.out, 2);
    serial_queue_clear(&queue);
}

static void
frame_without_confirmation_is_overdue_at_its_time(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    struct serial_frame *late = add_to_confirm(&queue, 1, 'a');
    struct serial_frame *soon = add_to_confirm(&queue, 2, 'b');
    CU_ASSERT_EQUAL(serial_queue_due(&queue), UINT64_MAX);
    CU_ASSERT_PTR_NULL(serial_queue_overdue(&queue, UINT64_MAX));
    serial_queue_keep(&queue, late, 200);
    serial_queue_keep(&queue, soon, 100);
    CU_ASSERT_EQUAL(serial_queue_due(&queue), 100);
    CU_ASSERT_PTR_NULL(serial_queue_overdue(&queue, 99));
    CU_ASSERT_PTR_EQUAL(serial_queue_overdue(&queue, 100), soon);
    serial_queue_remove(&queue, soon);
    CU_ASSERT_PTR_NULL(serial_queue_overdue(&queue, 199));
    CU_ASSERT_PTR_EQUAL(serial_queue_overdue(&queue, 200), late);
    serial_queue_clear(&queue);
}

static void
frame_is_sent_again_before_those_that_came_later(void)
{
    struct serial_queue queue;

    serial_queue_init(&queue, MAX);
    struct serial_frame *first = add_to_confirm(&queue, 1, 'a');
    serial_queue_keep(&queue, first, 100);
    add_to_confirm(&queue, 2, 'b');
    CU_ASSERT_EQUAL(queue.count, 1);
    CU_ASSERT_PTR_NULL(serial_queue_next(&queue, 1));
    serial_queue_again(&queue, first);
    CU_ASSERT_EQUAL(queue.count, 2);
    CU_ASSERT_EQUAL(queue.out, 0);
    CU_ASSERT_EQUAL(serial_queue_due(&queue), UINT64_MAX);
    CU_ASSERT_STRING_EQUAL(order(&queue, 1), "ab");
}

static const struct unit_test tests[] = {
    UNIT_TEST(frames_leave_by_class_and_in_order_of_arrival),
    UNIT_TEST(in_order_overtakes_only_what_is_for_others),
    UNIT_TEST(in_order_waits_for_the_confirmation_of_what_went_before),
    UNIT_TEST(prefix_goes_before_the_octets),
    UNIT_TEST(partly_written_frame_is_finished_before_urgent_ones),
    UNIT_TEST(cleared_queue_has_forgotten_the_partly_written_frame),
    UNIT_TEST(write_into_a_broken_port_is_an_error),
    UNIT_TEST(control_finds_room_beyond_the_limit_of_publish),
    UNIT_TEST(frames_that_are_out_take_no_room),
    UNIT_TEST(oldest_message_of_qos_0_gives_way),
    UNIT_TEST(room_is_not_made_of_control_and_reliable),
    UNIT_TEST(queue_is_congested_when_half_the_room_of_control_is_used),
    UNIT_TEST(window_limits_the_frames_that_are_out),
    UNIT_TEST(confirmation_finds_its_frame_or_the_oldest),
    UNIT_TEST(frame_without_confirmation_is_overdue_at_its_time),
    UNIT_TEST(frame_is_sent_again_before_those_that_came_later),
};

UNIT_MAIN("serial queue", tests)
