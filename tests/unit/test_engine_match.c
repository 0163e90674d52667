/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices get a message that comes without subscription identifiers, as with MQTT 3.1.1: all
 * whose filter matches, and however many there are, no more filters are looked at. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"
#include "random.h"
#include "topic.h"

enum { DEVICES = 30, FILTERS = 4, MESSAGES = 60, TEXT_MAX = 300 };

static unsigned long looks; /* calls of topic_matches */

bool __real_topic_matches(struct dm_span filter, struct dm_span name);
bool __wrap_topic_matches(struct dm_span filter, struct dm_span name);

bool
__wrap_topic_matches(struct dm_span filter, struct dm_span name)
{
    looks++;
    return __real_topic_matches(filter, name);
}

struct device {
    char client_id[4];
    char filters[FILTERS][TEXT_MAX];
    size_t expected; /* messages */
};

struct fleet {
    struct rig rig;
    struct device devices[DEVICES];
    uint16_t requests;
};

/* One to four levels of few that there are, with wildcards if `filter`. */
static void
make_text(struct random_source *source, bool filter, char text[TEXT_MAX])
{
    static const char *const levels[] = {"a", "b", "c", "", "$s", "+", "+", "#"};
    size_t len = 0;
    size_t count = 1 + random_below(source, 4);

    do {
        len = 0;
        for (size_t i = 0; i < count; i++) {
            const char *level = levels[random_below(source, filter ? 8 : 5)];

            len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s%s", i > 0 ? "/" : "", level);
            if (level[0] == '#')
                break;
        }
    } while (len == 0);
}

static char
letter_of(size_t device)
{
    return (char)('A' + device);
}

static void
subscribe(struct fleet *fleet, size_t device, const char *filter)
{
    rig_subscribe(&fleet->rig, letter_of(device), filter, 1, ++fleet->requests);
    rig_clear(&fleet->rig);
}

static void
fleet_init(struct fleet *fleet)
{
    memset(fleet, 0, sizeof *fleet);
    rig_init(&fleet->rig);
    fleet->rig.options.max_clients = DEVICES;
    fleet->rig.options.total_bytes = UINT64_MAX;
    fleet->rig.options.settings.queue_messages = MESSAGES;
}

static void
add_device(struct fleet *fleet, size_t device)
{
    struct device *d = &fleet->devices[device];

    snprintf(d->client_id, sizeof d->client_id, "d%zu", device);
    rig_device(&fleet->rig, letter_of(device), d->client_id, false);
}

static void
let_sleep(struct fleet *fleet, size_t devices)
{
    for (size_t i = 0; i < devices; i++)
        rig_disconnect(&fleet->rig, letter_of(i), 600);
    rig_commit(&fleet->rig);
    rig_clear(&fleet->rig);
}

static void
note_message(struct fleet *fleet, const char *topic)
{
    for (size_t i = 0; i < DEVICES; i++) {
        struct device *d = &fleet->devices[i];
        bool matches = false;

        for (size_t k = 0; k < FILTERS; k++)
            matches = matches || __real_topic_matches(dm_span_text(d->filters[k]),
                                                      dm_span_text(topic));
        d->expected += matches;
    }
}

static void
compare(void *ctx, const struct engine_session_status *session)
{
    struct fleet *fleet = ctx;

    for (size_t i = 0; i < DEVICES; i++) {
        struct device *d = &fleet->devices[i];

        if (!dm_span_equal(session->client_id, dm_span_text(d->client_id)))
            continue;
        if (session->queued_messages != d->expected)
            printf("\n%s has %zu messages instead of %zu\n", d->client_id,
                   (size_t)session->queued_messages, d->expected);
        CU_ASSERT_EQUAL(session->queued_messages, d->expected);
    }
}

/* Also when filters of the same shapes, or the last of a shape, have gone before. */
static void
every_device_whose_filter_matches_gets_the_message(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        static struct fleet fleet;
        struct random_source source = {seed};
        char text[TEXT_MAX];

        fleet_init(&fleet);
        for (size_t i = 0; i < DEVICES; i++) {
            add_device(&fleet, i);
            for (size_t k = 0; k < FILTERS; k++) {
                make_text(&source, true, fleet.devices[i].filters[k]);
                subscribe(&fleet, i, fleet.devices[i].filters[k]);
                make_text(&source, true, text);
                bool own = false;
                for (size_t m = 0; m <= k; m++)
                    own = own || strcmp(text, fleet.devices[i].filters[m]) == 0;
                if (own)
                    continue;
                subscribe(&fleet, i, text);
                rig_unsubscribe(&fleet.rig, letter_of(i), text, ++fleet.requests);
                rig_clear(&fleet.rig);
            }
        }
        CU_ASSERT_EQUAL(rig_status(&fleet.rig).sessions[ENGINE_ACTIVE], DEVICES);
        let_sleep(&fleet, DEVICES);
        rig_broker_up(&fleet.rig, MQTT_3_1_1, false);
        for (uint16_t n = 1; n <= MESSAGES; n++) {
            make_text(&source, false, text);
            note_message(&fleet, text);
            rig_clear(&fleet.rig);
            rig_broker_publish(&fleet.rig, text, "data", 1, n, 0);
            rig_commit(&fleet.rig);
        }
        unsigned failures = CU_get_number_of_failures();

        engine_each_session(fleet.rig.engine, fleet.rig.now_ms, compare, &fleet);
        if (CU_get_number_of_failures() > failures)
            printf("seed %llu\n", (unsigned long long)seed);
        rig_fini(&fleet.rig);
    }
}

/* How often a filter is compared with the name of one message for one of so many devices. */
static unsigned long
looks_among(size_t devices)
{
    static struct fleet fleet;
    struct engine_status before;
    char filter[TEXT_MAX];

    fleet_init(&fleet);
    for (size_t i = 0; i < devices; i++) {
        add_device(&fleet, i);
        snprintf(filter, sizeof filter, "d/%zu/+", i);
        subscribe(&fleet, i, filter);
        snprintf(filter, sizeof filter, "d/%zu", i);
        subscribe(&fleet, i, filter);
        snprintf(filter, sizeof filter, "all/%zu/#", i);
        subscribe(&fleet, i, filter);
    }
    let_sleep(&fleet, devices);
    rig_broker_up(&fleet.rig, MQTT_3_1_1, false);
    rig_clear(&fleet.rig);
    before = rig_status(&fleet.rig);
    looks = 0;
    rig_broker_publish(&fleet.rig, "d/0/x", "data", 1, 1, 0);
    unsigned long count = looks;

    CU_ASSERT_EQUAL(rig_status(&fleet.rig).queued_messages, before.queued_messages + 1);
    rig_fini(&fleet.rig);
    return count;
}

static void
more_devices_do_not_make_matching_longer(void)
{
    unsigned long of_one = looks_among(1);

    CU_ASSERT(of_one > 0);
    CU_ASSERT_EQUAL(looks_among(DEVICES), of_one);
}

/* As deep as a harmless filter may be, which is more than a word has bits. */
static void
deep_filter_matches(void)
{
    struct rig rig;
    char filter[TEXT_MAX] = "+";
    char name[TEXT_MAX] = "x";

    for (unsigned level = 2; level <= 100; level++) {
        strcat(filter, level % 2 == 0 ? "/y" : "/+");
        strcat(name, level % 2 == 0 ? "/y" : "/z");
    }
    rig_init(&rig);
    rig_device(&rig, 'A', "dev", false);
    rig_subscribe(&rig, 'A', filter, 1, 1);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_clear(&rig);
    rig_broker_publish(&rig, name, "data", 1, 1, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    strcat(name, "/y");
    rig_broker_publish(&rig, name, "data", 1, 2, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(every_device_whose_filter_matches_gets_the_message),
    UNIT_TEST(more_devices_do_not_make_matching_longer),
    UNIT_TEST(deep_filter_matches),
};

UNIT_MAIN("engine_match", tests)
