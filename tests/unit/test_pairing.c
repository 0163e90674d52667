/* SPDX-License-Identifier: Apache-2.0 */
/* New nodes may join for a while: which links can, and that it ends. */
#include "unit.h"

#include <string.h>

#include <event2/event.h>

#include "log_capture.h"
#include "pairing.h"

#define SHORT_MS 20

/* A link that notes what it is told. */
struct radio {
    struct transport base;
    enum dm_result answer;
    unsigned on, off;
    bool pairs;
};

static enum dm_result
radio_pair(struct transport *transport, bool on)
{
    struct radio *radio = (struct radio *)transport;

    if (radio->answer != DM_OK && on)
        return radio->answer;
    radio->pairs = on;
    radio->on += on;
    radio->off += !on;
    return DM_OK;
}

static const struct transport_ops radio_ops = {.pair = radio_pair};
static const struct transport_ops other_ops = {0};

struct rig {
    struct event_base *base;
    struct radio radio;
    struct transport lan;
    struct transport *transports[2];
    struct pairing *pairing;
};

static void
rig_init(struct rig *rig)
{
    *rig = (struct rig){.base = event_base_new(),
                        .radio.base = {.ops = &radio_ops, .kind = "serial", .name = "barn"},
                        .lan = {.ops = &other_ops, .kind = "udp", .name = "lan"}};
    rig->transports[0] = &rig->lan;
    rig->transports[1] = &rig->radio.base;
    rig->pairing = pairing_new(rig->base, rig->transports, 2, SHORT_MS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rig->pairing);
}

/* Runs until no timer is left. */
static void
rig_run(const struct rig *rig)
{
    event_base_dispatch(rig->base);
}

static void
rig_fini(struct rig *rig)
{
    pairing_free(rig->pairing);
    event_base_free(rig->base);
}

static void
pairing_ends_by_itself_and_both_is_logged(void)
{
    struct rig rig;
    char log[512];

    rig_init(&rig);
    log_capture_start();
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", true), DM_OK);
    CU_ASSERT_TRUE(rig.radio.pairs);
    rig_run(&rig);
    log_capture_finish(log, sizeof log);
    CU_ASSERT_EQUAL(rig.radio.off, 1);
    CU_ASSERT_FALSE(rig.radio.pairs);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "serial:barn: new nodes may join"));
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "serial:barn: no new node may join any more: the time"));
    rig_fini(&rig);
}

static void
pairing_off_ends_it_at_once(void)
{
    struct rig rig;

    rig_init(&rig);
    (void)pairing_set(rig.pairing, "barn", true);
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", false), DM_OK);
    CU_ASSERT_FALSE(rig.radio.pairs);
    rig_run(&rig);
    CU_ASSERT_EQUAL(rig.radio.off, 1); /* the timer is gone */
    rig_fini(&rig);
}

static void
pairing_again_still_ends_once(void)
{
    struct rig rig;

    rig_init(&rig);
    (void)pairing_set(rig.pairing, "barn", true);
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", true), DM_OK);
    CU_ASSERT_EQUAL(rig.radio.on, 2);
    rig_run(&rig);
    CU_ASSERT_EQUAL(rig.radio.off, 1);
    rig_fini(&rig);
}

static void
pairing_of_a_link_that_cannot_is_refused(void)
{
    struct rig rig;

    rig_init(&rig);
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "attic", true), DM_NOT_FOUND);
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "lan", true), DM_UNSUPPORTED);
    rig.radio.answer = DM_UNSUPPORTED;
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", true), DM_UNSUPPORTED);
    rig.radio.answer = DM_IO;
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", true), DM_IO);
    rig_run(&rig);
    CU_ASSERT_EQUAL(rig.radio.off, 0); /* what did not begin does not end */
    rig_fini(&rig);
}

/* The radio is unplugged, and somebody asks again: when it is back, the door must not stay open. */
static void
pairing_that_is_refused_does_not_stop_an_earlier_end(void)
{
    struct rig rig;

    rig_init(&rig);
    (void)pairing_set(rig.pairing, "barn", true);
    rig.radio.answer = DM_IO;
    CU_ASSERT_EQUAL(pairing_set(rig.pairing, "barn", true), DM_IO);
    rig_run(&rig);
    CU_ASSERT_FALSE(rig.radio.pairs);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(pairing_ends_by_itself_and_both_is_logged),
    UNIT_TEST(pairing_off_ends_it_at_once),
    UNIT_TEST(pairing_again_still_ends_once),
    UNIT_TEST(pairing_of_a_link_that_cannot_is_refused),
    UNIT_TEST(pairing_that_is_refused_does_not_stop_an_earlier_end),
};

UNIT_MAIN("pairing", tests)
