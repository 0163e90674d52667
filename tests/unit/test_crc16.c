/* SPDX-License-Identifier: Apache-2.0 */
/* The check value of each CRC in the catalogues is that of "123456789" (serial reference, 1). */
#include "crc16.h"
#include "unit.h"

static void
each_start_value_gives_its_check_value(void)
{
    struct dm_span digits = dm_span_text("123456789");

    CU_ASSERT_EQUAL(crc16_forward(0, digits), 0x31C3);
    CU_ASSERT_EQUAL(crc16_forward(0xFFFF, digits), 0x29B1);
    CU_ASSERT_EQUAL(crc16_reflected(0xFFFF, digits), 0x6F91);
    CU_ASSERT_EQUAL((uint16_t)~crc16_reflected(0xFFFF, digits), 0x906E);
}

static void
parts_give_the_sum_of_the_whole(void)
{
    struct dm_span digits = dm_span_text("123456789");

    for (size_t cut = 0; cut <= digits.len; cut++) {
        struct dm_span head = dm_span(digits.data, cut);
        struct dm_span tail = dm_span(digits.data + cut, digits.len - cut);

        CU_ASSERT_EQUAL(crc16_forward(crc16_forward(0, head), tail), 0x31C3);
        CU_ASSERT_EQUAL(crc16_reflected(crc16_reflected(0xFFFF, head), tail), 0x6F91);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(each_start_value_gives_its_check_value),
    UNIT_TEST(parts_give_the_sum_of_the_whole),
};

UNIT_MAIN("crc16", tests)
