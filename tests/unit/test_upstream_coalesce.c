/* SPDX-License-Identifier: Apache-2.0 */
/* When reading pauses, on a clock of the test; and a stream that does so: nothing is lost, nothing
 * waits for more. */
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "steady_clock.h"
#include "unit.h"
#include "upstream_coalesce.h"
#include "upstream_stream.h"

enum { ENOUGH = COALESCE_PACKETS, FEW = COALESCE_PACKETS - 1 };

/* ---- the decision ---- */

/* The time goes on by this much before each read. */
static unsigned
pauses(struct coalescing *coalescing, uint64_t *now_us, uint64_t step_us, unsigned reads,
       uint64_t packets)
{
    unsigned count = 0;

    for (unsigned i = 0; i < reads; i++) {
        *now_us += step_us;
        count += coalesce_after_read(coalescing, *now_us, packets);
    }
    return count;
}

static void
a_pause_comes_after_some_reads_that_brought_enough(void)
{
    struct coalescing coalescing = {0};

    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, 5000000, ENOUGH)); /* one read has them all */
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, 5000001, 0));
    CU_ASSERT_TRUE(coalesce_after_read(&coalescing, 5000002, 0));
    coalescing = (struct coalescing){0};
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, 5000000, 1));
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, 5000100, 1));
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, 5000200, ENOUGH - 3));
    CU_ASSERT_TRUE(coalesce_after_read(&coalescing, 5000249, 1));
}

/* One packet after the other, as one device causes them, or a burst now and then. */
static void
who_sends_little_never_waits(void)
{
    struct coalescing coalescing = {0};
    uint64_t now_us = 5000000;

    CU_ASSERT_EQUAL(pauses(&coalescing, &now_us, 25, 10000, 1), 0);
    CU_ASSERT_EQUAL(pauses(&coalescing, &now_us, COALESCE_PAUSE_US, 10000, 1000), 0);
}

static void
pauses_follow_each_other_while_they_pay(void)
{
    struct coalescing coalescing = {0};
    uint64_t now_us = 5000000;

    CU_ASSERT_EQUAL(pauses(&coalescing, &now_us, 1, 3, 4), 1);
    CU_ASSERT_EQUAL(pauses(&coalescing, &now_us, COALESCE_PAUSE_US, 1000, ENOUGH), 1000);
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, now_us += COALESCE_PAUSE_US, FEW));
}

/* Ten devices that wait for their answers never send more than ten packets in a pause. */
static void
pauses_that_do_not_pay_become_rare(void)
{
    struct coalescing coalescing = {0};
    uint64_t now_us = 5000000;
    unsigned pause_count = 0;

    while (now_us < 6000000) {
        bool pause = coalesce_after_read(&coalescing, now_us, FEW);
        pause_count += pause;
        now_us += pause ? COALESCE_PAUSE_US : 50;
    }
    CU_ASSERT(pause_count >= 1000000 / (COALESCE_BACKOFF_US + 1000)); /* it is tried again */
    CU_ASSERT(pause_count <= 1000000 / COALESCE_BACKOFF_US + 8);
    /* One that pays, and the next one that does not is forgiven at once. */
    while (!coalesce_after_read(&coalescing, now_us, FEW))
        now_us += 50;
    CU_ASSERT_TRUE(coalesce_after_read(&coalescing, now_us += COALESCE_PAUSE_US, ENOUGH));
    CU_ASSERT_FALSE(coalesce_after_read(&coalescing, now_us += COALESCE_PAUSE_US, FEW));
    CU_ASSERT_EQUAL(pauses(&coalescing, &now_us, COALESCE_PAUSE_US / 4, 4, FEW), 1);
}

/* ---- a stream ---- */

struct world {
    struct event_base *base;
    struct stream *stream;
    struct stream_counters counters;
    int broker;
    uint16_t next_id; /* of the next PUBACK expected */
    bool ended;
};

static void
note_octets(void *ctx)
{
    (void)ctx;
}

static bool
note_connack(void *ctx, const struct mqtt_packet *packet, enum mqtt_version version)
{
    (void)ctx;
    (void)packet;
    (void)version;
    return true;
}

static bool
note_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct world *world = ctx;

    CU_ASSERT_EQUAL(packet->type, MQTT_PUBACK);
    CU_ASSERT_EQUAL(packet->packet_id, world->next_id);
    world->next_id++;
    return true;
}

static void
note_end(void *ctx, uint8_t reason, const char *error)
{
    struct world *world = ctx;

    (void)error;
    CU_ASSERT_EQUAL(reason, 0);
    world->ended = true;
    stream_close(world->stream);
    world->stream = NULL;
}

static void
broker_sends(struct world *world, uint16_t first, uint16_t count)
{
    for (uint16_t id = first; id < first + count; id++) {
        uint8_t puback[] = {0x40, 2, (uint8_t)(id >> 8), (uint8_t)id};
        CU_ASSERT_EQUAL(write(world->broker, puback, sizeof puback), sizeof puback);
    }
}

/* The clock stands still, so all reads are in the same moment; pauses end in real time. */
static void
begin(struct world *world)
{
    static const uint8_t connack[] = {0x20, 3, 0, 0, 0};
    int ends[2];

    steady_clock_freeze();
    *world = (struct world){.base = event_base_new(), .next_id = 1};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    world->broker = ends[1];
    struct stream_options options = {.fd = ends[0], .version = MQTT_5, .maximum = 1000};
    struct stream_events events = {.ctx = world,
                                   .on_octets = note_octets,
                                   .on_connack = note_connack,
                                   .on_packet = note_packet,
                                   .on_end = note_end};
    world->stream = stream_open(world->base, &options, &events, &world->counters);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world->stream);
    CU_ASSERT_EQUAL(write(world->broker, connack, sizeof connack), sizeof connack);
    event_base_loop(world->base, EVLOOP_ONCE);
}

static void
end(struct world *world)
{
    steady_clock_release();
    if (world->stream != NULL)
        stream_close(world->stream);
    close(world->broker);
    event_base_free(world->base);
}

/* CONNACK was the first read. */
static void
make_busy(struct world *world)
{
    uint16_t each = ENOUGH / (COALESCE_READS - 1);

    for (uint16_t read = 1; read < COALESCE_READS; read++) {
        broker_sends(world, world->next_id, each);
        event_base_loop(world->base, EVLOOP_ONCE);
        CU_ASSERT_EQUAL(world->next_id, 1 + read * each);
    }
    CU_ASSERT_EQUAL_FATAL(world->next_id, 1 + ENOUGH);
}

static void
a_busy_stream_reads_on_after_the_pause_without_more_to_come(void)
{
    struct world world;

    begin(&world);
    make_busy(&world);
    CU_ASSERT_EQUAL(world.counters.rx_packets, 1 + ENOUGH);
    event_base_loop(world.base, EVLOOP_ONCE); /* the end of the pause is all there is */
    CU_ASSERT_EQUAL(world.next_id, 1 + ENOUGH);
    broker_sends(&world, world.next_id, 1);
    event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.next_id, 2 + ENOUGH);
    end(&world);
}

static void
what_comes_in_the_pause_is_read_together(void)
{
    struct world world;

    begin(&world);
    make_busy(&world);
    broker_sends(&world, world.next_id, 3);
    event_base_loop(world.base, EVLOOP_ONCE); /* nothing but the end of the pause */
    CU_ASSERT_EQUAL(world.next_id, 1 + ENOUGH);
    event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.next_id, 4 + ENOUGH);
    end(&world);
}

static void
a_stream_ends_in_a_pause_and_is_closed_in_one(void)
{
    struct world world;

    begin(&world);
    make_busy(&world);
    CU_ASSERT_EQUAL(shutdown(world.broker, SHUT_WR), 0);
    while (!world.ended)
        event_base_loop(world.base, EVLOOP_ONCE);
    end(&world);

    begin(&world);
    make_busy(&world);
    broker_sends(&world, world.next_id, 1);
    stream_close(world.stream);
    world.stream = NULL;
    CU_ASSERT_EQUAL(event_base_loop(world.base, EVLOOP_NONBLOCK), 1); /* no event is left */
    end(&world);
}

static const struct unit_test tests[] = {
    UNIT_TEST(a_pause_comes_after_some_reads_that_brought_enough),
    UNIT_TEST(who_sends_little_never_waits),
    UNIT_TEST(pauses_follow_each_other_while_they_pay),
    UNIT_TEST(pauses_that_do_not_pay_become_rare),
    UNIT_TEST(a_busy_stream_reads_on_after_the_pause_without_more_to_come),
    UNIT_TEST(what_comes_in_the_pause_is_read_together),
    UNIT_TEST(a_stream_ends_in_a_pause_and_is_closed_in_one),
};

UNIT_MAIN("upstream_coalesce", tests)
