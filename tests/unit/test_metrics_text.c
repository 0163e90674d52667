/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text format. */
#include "unit.h"

#include <string.h>

#include <event2/buffer.h>

#include "metrics_text.h"

/* Compares all of it, and empties it. */
static void
check_out(struct evbuffer *out, const char *wanted)
{
    evbuffer_add(out, "", 1);
    CU_ASSERT_STRING_EQUAL((const char *)evbuffer_pullup(out, -1), wanted);
    evbuffer_drain(out, evbuffer_get_length(out));
}

static void
metrics_single_has_help_type_and_value(void)
{
    struct evbuffer *out = evbuffer_new();

    metrics_single(out, METRICS_COUNTER, "x_total", 7, "All of x.");
    check_out(out, "# HELP dormouse_x_total All of x.\n# TYPE dormouse_x_total counter\n"
                   "dormouse_x_total 7\n");
    metrics_single(out, METRICS_GAUGE, "x", 0.25, "X.");
    check_out(out, "# HELP dormouse_x X.\n# TYPE dormouse_x gauge\ndormouse_x 0.25\n");
    evbuffer_free(out);
}

static void
metrics_sample_escapes_label_values(void)
{
    struct evbuffer *out = evbuffer_new();

    metrics_sample(out, "x", (const char *const[]){"a", "q\"b\\s\nn", "e", "", "u", "ä", NULL}, 1);
    check_out(out, "dormouse_x{a=\"q\\\"b\\\\s\\nn\",e=\"\",u=\"ä\"} 1\n");
    evbuffer_free(out);
}

static void
metrics_sample_keeps_large_counts_exact(void)
{
    struct evbuffer *out = evbuffer_new();

    metrics_sample(out, "x", NULL, 9007199254740991.0);
    check_out(out, "dormouse_x 9007199254740991\n");
    evbuffer_free(out);
}

static const struct unit_test tests[] = {
    UNIT_TEST(metrics_single_has_help_type_and_value),
    UNIT_TEST(metrics_sample_escapes_label_values),
    UNIT_TEST(metrics_sample_keeps_large_counts_exact),
};

UNIT_MAIN("metrics text", tests)
