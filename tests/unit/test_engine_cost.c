/* SPDX-License-Identifier: Apache-2.0 */
/* What a message on the direct way costs the engine: allocations, and records for the disk. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"
#include "failing_memory.h"

enum {
    WARM_UP = 100, /* messages until every pool and table has the size it needs */
    MESSAGES = 1000,
};

/* A is active, knows the id 1 of "up", and has subscribed to "down". */
static void
cost_init(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_connect(rig, 'A', "aaa", false, 60);
    rig_register(rig, 'A', "up", 1);
    rig_subscribe(rig, 'A', "down", 2, 2);
    rig_broker_answer(rig, MQTT_SUBACK, 1, 2);
    rig_commit(rig);
    rig_clear(rig);
}

typedef void exchange(struct rig *rig, uint16_t n);

/* Allocations for MESSAGES exchanges, each complete when `run` returns. */
static unsigned long
allocations(struct rig *rig, exchange *run)
{
    uint64_t records = rig->seq;

    for (uint16_t n = 1; n <= WARM_UP; n++) {
        run(rig, n);
        rig_clear(rig);
    }
    failing_memory = (struct failing_memory){.armed = true};
    for (uint16_t n = 1; n <= MESSAGES; n++) {
        run(rig, n);
        rig_clear(rig);
    }
    failing_memory.armed = false;
    CU_ASSERT_EQUAL(rig->seq, records);
    return failing_memory.count;
}

/* The number behind `key` in the only line that begins with `line`; 0: there is none. */
static uint16_t
number_in(const struct rig *rig, const char *line, const char *key)
{
    const char *at = strstr(rig->text, line);
    unsigned number = 0;

    at = at != NULL ? strstr(at, key) : NULL;
    CU_ASSERT_FATAL(at != NULL && sscanf(at + strlen(key), "%u", &number) == 1);
    return (uint16_t)number;
}

static void
up_qos0(struct rig *rig, uint16_t n)
{
    (void)n;
    rig_publish(rig, 'A', 1, 0, 0, "data");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig->text, "^ PUBLISH up "));
}

static void
up_qos1(struct rig *rig, uint16_t n)
{
    rig_publish(rig, 'A', 1, 1, n, "data");
    rig_broker_answer(rig, MQTT_PUBACK, number_in(rig, "^ PUBLISH up ", "pid "), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig->text, "A> PUBACK 1 "));
}

static void
down_qos0(struct rig *rig, uint16_t n)
{
    (void)n;
    rig_broker_publish(rig, "down", "data", 0, 0, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig->text, "A> PUBLISH 2 "));
}

static void
down_qos1(struct rig *rig, uint16_t n)
{
    rig_broker_publish(rig, "down", "data", 1, n, 1);
    rig_puback(rig, 'A', 2, number_in(rig, "A> PUBLISH 2 ", "msg "), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig->text, "^ PUBACK "));
}

static void
messages_that_go_straight_through_allocate_little(void)
{
    static const struct {
        exchange *run;
        unsigned long most; /* allocations per message */
    } ways[] = {{up_qos0, 0}, {up_qos1, 1}, {down_qos0, 2}, {down_qos1, 3}};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct rig rig;

        cost_init(&rig);
        unsigned long count = allocations(&rig, ways[i].run);

        if (count > ways[i].most * MESSAGES)
            printf("way %zu: %lu allocations for %d messages\n", i, count, MESSAGES);
        CU_ASSERT(count <= ways[i].most * MESSAGES);
        rig_fini(&rig);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(messages_that_go_straight_through_allocate_little),
};

UNIT_MAIN("engine_cost", tests)
