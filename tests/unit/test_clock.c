/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's time over restarts and reboots (design 3). */
#include "unit.h"

#include "clock.h"

enum { HOUR_MS = 3600000 };

/* At gateway time 5 h, one hour after the boot "one"; by the wall clock 100 h, 0: not known. */
static struct store_record
row(uint64_t wall_h)
{
    return (struct store_record){
        .op = STORE_CLOCK_PUT,
        .name = dm_span_text("one"),
        .clock = {.gateway_ms = UINT64_C(5) * HOUR_MS,
                  .boot_ms = HOUR_MS,
                  .wall_ms = wall_h * HOUR_MS},
    };
}

static struct clock_reading
reading(uint64_t boot_h, uint64_t wall_h)
{
    return (struct clock_reading){.boot_ms = boot_h * HOUR_MS, .wall_ms = wall_h * HOUR_MS};
}

/* Hours of the gateway's time, `boot_h` after the boot. */
static int64_t
gateway_h(const struct clock *clock, int64_t boot_h)
{
    return boot_h + clock->offset_ms / HOUR_MS;
}

static void
time_begins_with_the_boot_where_nothing_is_recorded(void)
{
    struct clock clock;

    clock_init(&clock, "one");
    CU_ASSERT_EQUAL(gateway_h(&clock, 3), 3);
    CU_ASSERT_TRUE(clock.settled);
    CU_ASSERT_FALSE(clock_settle(&clock, reading(3, 100)));
}

static void
restart_goes_on_exactly_whatever_the_wall_clock_says(void)
{
    struct clock clock;
    struct store_record record = row(100);

    clock_init(&clock, "one");
    clock_resume(&clock, &record, reading(3, 7));
    CU_ASSERT_EQUAL(gateway_h(&clock, 3), 7);
    CU_ASSERT_TRUE(clock.settled);
}

static void
reboot_counts_the_time_off_if_the_wall_clock_knows_it(void)
{
    struct clock clock;
    struct store_record record = row(100);

    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(2, 110)); /* 10 h later */
    CU_ASSERT_EQUAL(gateway_h(&clock, 2), 15);
    CU_ASSERT_TRUE(clock.settled);
}

static void
reboot_counts_the_time_off_as_soon_as_the_wall_clock_is_synchronised(void)
{
    struct clock clock;
    struct store_record record = row(100);

    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(0, 0));
    CU_ASSERT_EQUAL(gateway_h(&clock, 0), 5);
    CU_ASSERT_FALSE(clock.settled);
    CU_ASSERT_FALSE(clock_settle(&clock, reading(1, 0)));
    CU_ASSERT_EQUAL(gateway_h(&clock, 1), 6);
    CU_ASSERT_TRUE(clock_settle(&clock, reading(1, 110)));
    CU_ASSERT_EQUAL(gateway_h(&clock, 1), 15);
    CU_ASSERT_FALSE(clock_settle(&clock, reading(2, 200))); /* once */
    CU_ASSERT_EQUAL(gateway_h(&clock, 2), 16);
}

static void
time_never_goes_back(void)
{
    struct clock clock;
    struct store_record record = row(100);

    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(0, 0));
    CU_ASSERT_FALSE(clock_settle(&clock, reading(3, 101))); /* 8 h here, 6 h by the wall clock */
    CU_ASSERT_EQUAL(gateway_h(&clock, 3), 8);
    CU_ASSERT_TRUE(clock.settled);
    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(0, 99)); /* somebody turned it back */
    CU_ASSERT_EQUAL(gateway_h(&clock, 0), 5);
}

static void
time_off_never_counts_if_the_wall_clock_was_not_known_before(void)
{
    struct clock clock;
    struct store_record record = row(0);

    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(0, 200));
    CU_ASSERT_EQUAL(gateway_h(&clock, 0), 5);
    CU_ASSERT_TRUE(clock.settled);
}

static void
unknown_boot_is_another_boot(void)
{
    struct clock clock;
    struct store_record record = row(100);

    record.name = dm_span_text("");
    clock_init(&clock, "");
    clock_resume(&clock, &record, reading(3, 0));
    CU_ASSERT_EQUAL(gateway_h(&clock, 3), 5);
}

static void
row_tells_what_the_clocks_say_and_brings_the_time_back(void)
{
    struct clock clock, next;
    struct store_record record = row(100);
    struct store_record filled = {.op = STORE_CLOCK_PUT};

    clock_init(&clock, "two");
    clock_resume(&clock, &record, reading(2, 110));
    filled.clock.gateway_ms = UINT64_C(16) * HOUR_MS;
    clock_fill(&clock, &filled, reading(3, 111));
    CU_ASSERT_TRUE(dm_span_equal(filled.name, dm_span_text("two")));
    CU_ASSERT_EQUAL(filled.clock.boot_ms, UINT64_C(3) * HOUR_MS);
    CU_ASSERT_EQUAL(filled.clock.wall_ms, UINT64_C(111) * HOUR_MS);
    clock_init(&next, "two");
    clock_resume(&next, &filled, reading(4, 0));
    CU_ASSERT_EQUAL(gateway_h(&next, 4), 17);
}

static const struct unit_test tests[] = {
    UNIT_TEST(time_begins_with_the_boot_where_nothing_is_recorded),
    UNIT_TEST(restart_goes_on_exactly_whatever_the_wall_clock_says),
    UNIT_TEST(reboot_counts_the_time_off_if_the_wall_clock_knows_it),
    UNIT_TEST(reboot_counts_the_time_off_as_soon_as_the_wall_clock_is_synchronised),
    UNIT_TEST(time_never_goes_back),
    UNIT_TEST(time_off_never_counts_if_the_wall_clock_was_not_known_before),
    UNIT_TEST(unknown_boot_is_another_boot),
    UNIT_TEST(row_tells_what_the_clocks_say_and_brings_the_time_back),
};

UNIT_MAIN("clock", tests)
