/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration reader: any main file, and any file in conf.d behind a form feed in the input.
 */
#include "config_fixture.h"
#include "fuzz.h"

static struct config_fixture fixture;

static void
close_fixture(void)
{
    config_fixture_fini(&fixture);
}

/* Each report is one line that can be printed, whatever the file holds. */
static void
check_report_lines(void)
{
    unsigned lines = 0;

    for (size_t i = 0; i < fixture.reports_len; i++) {
        uint8_t octet = (uint8_t)fixture.reports[i];

        lines += octet == '\n';
        FUZZ_CHECK(octet == '\n' || (octet >= ' ' && octet < 0x7f), "a report holds raw octets");
    }
    FUZZ_CHECK(lines == fixture.errors + fixture.warnings, "a report is not one line");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *second = len > 0 ? memchr(data, '\f', len) : NULL;
    size_t main_len = second != NULL ? (size_t)(second - data) : len;

    if (fixture.directory[0] == '\0') {
        config_fixture_init(&fixture);
        atexit(close_fixture);
    }
    config_fixture_write(&fixture, "main.ini", 0600, (const char *)data, main_len);
    config_fixture_write(&fixture, "conf.d/x.ini", 0600, second != NULL ? (const char *)second : "",
                         len - main_len);
    config_fixture_load(&fixture, "main.ini");
    FUZZ_CHECK((fixture.result == DM_OK) == (fixture.config != NULL), "no result, or two");
    FUZZ_CHECK((fixture.result == DM_OK) == (fixture.errors == 0), "an error without its report");
    check_report_lines();
    config_fixture_load(&fixture, "missing.ini"); /* frees the configuration */
    return 0;
}
