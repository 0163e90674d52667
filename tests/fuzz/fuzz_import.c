/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a Paho gateway: gateway.conf, its list of clients and its list of topics, with a form
 * feed between them, behind an octet that chooses the network. */
#include "config_fixture.h"
#include "fuzz.h"
#include "paho_fixture.h"

/* What the reader of the INI says of a file that has another form than its writer meant. */
static const char *const broken[] = {
    "unknown key",  "unknown section", "expected key = value",
    "given twice",  "longer than",     "key before the first",
    "NUL octet",    "section header",  "is out of range",
    "is no number",
};

static struct config_fixture loaded;

static void
close_fixture(void)
{
    config_fixture_fini(&loaded);
}

/* Everything up to the next form feed. */
static struct dm_span
next_file(struct fuzz_input *input)
{
    const uint8_t *end = input->left > 0 ? memchr(input->at, '\f', input->left) : NULL;
    struct dm_span file = fuzz_span(input, end != NULL ? (size_t)(end - input->at) : input->left);

    fuzz_octet(input);
    return file;
}

static void
check_findings(const struct paho_fixture *fixture)
{
    unsigned lines = 0;

    for (size_t i = 0; i < fixture->findings_len; i++) {
        uint8_t octet = (uint8_t)fixture->findings[i];

        lines += octet == '\n';
        FUZZ_CHECK(octet == '\n' || (octet >= ' ' && octet < 0x7f), "a finding holds raw octets");
    }
    FUZZ_CHECK(lines == fixture->count, "a finding is not one line");
}

static void
check_ini(const struct paho_fixture *fixture)
{
    FUZZ_CHECK(strlen(fixture->ini) == fixture->ini_len, "the INI has a NUL octet");
    config_fixture_load_text(&loaded, fixture->ini);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        FUZZ_CHECK(strstr(loaded.reports, broken[i]) == NULL, loaded.reports);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {.at = data, .left = len};
    struct paho_fixture fixture = {0};
    enum paho_network network = (enum paho_network)((1U << fuzz_octet(&input) % 7) >> 1);
    struct dm_span gateway = next_file(&input), clients = next_file(&input);
    struct dm_span topics = next_file(&input);

    if (loaded.directory[0] == '\0') {
        config_fixture_init(&loaded);
        atexit(close_fixture);
    }
    paho_fixture_parse(gateway.data, gateway.len, "g", PAHO_FORM_SETTINGS, &fixture.config.gateway);
    paho_fixture_parse(clients.data, clients.len, "c", PAHO_FORM_LIST,
                       &fixture.config.lists[PAHO_LIST_CLIENTS]);
    paho_fixture_parse(topics.data, topics.len, "t", PAHO_FORM_LIST, &fixture.config.topics);
    if (paho_config_complete(&fixture.config) != DM_OK)
        abort();
    paho_fixture_write(&fixture, network);
    check_findings(&fixture);
    check_ini(&fixture);
    paho_fixture_fini(&fixture);
    return 0;
}
