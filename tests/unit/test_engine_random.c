/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine under a long random life, in which the promises of design 1 must hold all along;
 * tests/support/engine_life.h says what lives there. DORMOUSE_SEED repeats a run, DORMOUSE_STEPS
 * changes its length.
 */
#include "unit.h"

#include <stdio.h>

#include <dormouse/log.h>

#include "engine_life.h"

enum { STEPS = 150000, SETTLE_ROUNDS = 4000 };

static void
link_step(struct life *l)
{
    l->link_up = !life_one_in(l, 8);
    engine_link(l->rig.engine, l->rig.now_ms, 0, l->link_up);
    life_turn(l);
}

static void
room_step(struct life *l)
{
    l->rig.full = life_one_in(l, 4);
    if (l->rig.full)
        return;
    engine_link_room(l->rig.engine, l->rig.now_ms, 0);
    life_turn(l);
}

static void
disk_step(struct life *l)
{
    uint64_t waiting = l->rig.disk.seq - l->committed;

    if (l->slow_until > l->step)
        return;
    life_commit(l, l->committed +
                       (life_one_in(l, 3) ? life_below(l, (unsigned)waiting + 1) : waiting));
    if (life_one_in(l, 50))
        l->slow_until = l->step + life_below(l, 100);
}

static void
operator_step(struct life *l)
{
    if (life_one_in(l, 60)) {
        engine_forget(l->rig.engine, l->rig.now_ms, dm_span_text("bb"));
        life_turn(l);
    } else if (life_one_in(l, 10)) {
        life_restart(l);
    }
}

static void
world_step(struct life *l)
{
    unsigned what = life_below(l, 32);

    if (what < 1)
        life_wait(l, life_one_in(l, 40) ? 200000 : 1 + life_below(l, 40000));
    else if (what < 3)
        life_wait(l, 1 + life_below(l, 900));
    else if (what < 4)
        (life_one_in(l, 8) ? broker_down : broker_up)(l);
    else if (what < 6)
        broker_up(l);
    else if (what < 7)
        link_step(l);
    else if (what < 8)
        room_step(l);
    else if (what < 9)
        engine_store_degraded(l->rig.engine, life_one_in(l, 10));
    else if (what < 11)
        broker_release(l);
    else if (what < 12)
        operator_step(l);
    else if (what < 15)
        broker_publish(l);
    else if (what < 20)
        disk_step(l);
    else if (what < 21)
        stranger_step(l);
    else
        broker_read(l);
}

static void
step(struct life *l)
{
    l->step++;
    if (life_one_in(l, 1000))
        life_crash(l);
    else if (!life_one_in(l, 3) && device_answers(l))
        ;
    else if (life_one_in(l, 2))
        world_step(l);
    else
        device_step(l);
    life_wait(l, 0);
}

/* Everything comes back: devices get what they are owed, the broker what is promised. */
static void
settle(struct life *l)
{
    l->calm = true;
    l->rig.full = false;
    engine_store_degraded(l->rig.engine, false);
    l->link_up = true;
    engine_link(l->rig.engine, l->rig.now_ms, 0, true);
    life_turn(l);
    broker_up(l);
    for (unsigned i = 0; i < SETTLE_ROUNDS; i++) {
        if (i % 20 == 0)
            devices_connect_and_ping(l);
        while (device_answers(l)) {
        }
        life_commit(l, l->rig.disk.seq);
        broker_read(l);
        broker_release(l);
        life_wait(l, 500);
    }
    promise_check_all(l);
    queue_check_all(l);
}

static void
promises_hold_through_a_long_random_life(void)
{
    static struct life l;
    const char *wanted = getenv("DORMOUSE_STEPS");
    unsigned steps = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : STEPS;

    life_init(&l, steps);
    log_set_level(LOG_LEVEL_ERROR);
    while (l.step < steps)
        step(&l);
    settle(&l);
    printf("[%u steps, %u restarts, %u delivered, %u of them exactly once, %u uplinks, %u wills, "
           "%u dropped] ",
           steps, l.restarts, l.deliveries, l.exactly_once, l.uplinks, l.wills_lost, l.gone);
    /* The run means something. */
    CU_ASSERT_TRUE(l.restarts > steps / 10000);
    CU_ASSERT_TRUE(l.deliveries > steps / 1000);
    CU_ASSERT_TRUE(l.exactly_once > steps / 1000);
    CU_ASSERT_TRUE(l.uplinks > steps / 1000);
    CU_ASSERT_TRUE(l.wills_lost > steps / 10000);
    life_fini(&l);
}

static const struct unit_test tests[] = {
    UNIT_TEST(promises_hold_through_a_long_random_life),
};

UNIT_MAIN("engine_random", tests)
