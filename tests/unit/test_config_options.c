/* SPDX-License-Identifier: Apache-2.0 */
/* What engine and transports get to see of a configuration (app_options). The transports are fakes
 * that note their options. */
#include "unit.h"

#include <string.h>

#include "app_options.h"
#include "config_fixture.h"

/* What the fakes were given last; text is borrowed from the configuration. */
static struct udp_options udp_given;
static struct serial_options serial_given;

struct transport *
udp_open(struct event_base *base, uint8_t link, const struct udp_options *options,
         const struct transport_listener *listener, char *error, size_t error_size)
{
    (void)base, (void)link, (void)listener, (void)error, (void)error_size;
    udp_given = *options;
    return NULL;
}

struct transport *
serial_open(struct event_base *base, uint8_t link, const struct serial_options *options,
            const struct transport_listener *listener, char *error, size_t error_size)
{
    (void)base, (void)link, (void)listener, (void)error, (void)error_size;
    serial_given = *options;
    return NULL;
}

struct options_fixture {
    struct config_fixture files;
    struct app_options app;
    const struct engine_options *engine;
};

static void
setup(struct options_fixture *fixture, const char *text)
{
    config_fixture_init(&fixture->files);
    config_fixture_load_text(&fixture->files, text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->files.config);
    CU_ASSERT_EQUAL_FATAL(app_options_init(&fixture->app, fixture->files.config), DM_OK);
    fixture->engine = &fixture->app.engine;
}

static void
teardown(struct options_fixture *fixture)
{
    app_options_fini(&fixture->app);
    config_fixture_fini(&fixture->files);
}

static void
engine_gets_the_defaults(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp x]\n");
    CU_ASSERT_EQUAL(fixture.engine->gateway_id, 1);
    CU_ASSERT_EQUAL(fixture.engine->standby_for, ENGINE_NO_GATEWAY);
    CU_ASSERT_EQUAL(fixture.engine->advertise_ms, 16 * 60000);
    CU_ASSERT_EQUAL(fixture.engine->client_count, 0);
    CU_ASSERT_EQUAL(fixture.engine->client_id_max, 252);
    CU_ASSERT_FALSE(fixture.engine->settings.resume_ignores_clean);
    CU_ASSERT_EQUAL(fixture.engine->settings.awake_max_ms, 60000);
    CU_ASSERT_EQUAL_FATAL(fixture.engine->link_count, 1);
    CU_ASSERT_FALSE(fixture.engine->links[0].advertise);
    CU_ASSERT_EQUAL(fixture.engine->links[0].qos_minus_one, ENGINE_QOS_MINUS_ONE_NO);
    CU_ASSERT_EQUAL(fixture.engine->links[0].mtu, 1400);
    teardown(&fixture);
}

static void
engine_gets_what_is_configured(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[gateway]\nid = 7\nstandby_for = 255\nadvertise = 0\n[sessions]\n"
                    "client_id_max = 23\nresume_ignores_clean = yes\nawake_max = never\n[udp x]\n");
    CU_ASSERT_EQUAL(fixture.engine->gateway_id, 7);
    CU_ASSERT_EQUAL(fixture.engine->standby_for, 255);
    CU_ASSERT_EQUAL(fixture.engine->advertise_ms, ENGINE_NEVER);
    CU_ASSERT_EQUAL(fixture.engine->client_id_max, 23);
    CU_ASSERT_TRUE(fixture.engine->settings.resume_ignores_clean);
    CU_ASSERT_EQUAL(fixture.engine->settings.awake_max_ms, ENGINE_NEVER);
    teardown(&fixture);
}

static void
engine_gets_clients_with_topics_in_the_order_of_the_file(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp x]\n[client b?]\ntopics.20 = pumps/%c/speed\ntopics.3 = three\n"
                    "[client *]\n[topics]\n1 = one\n");
    CU_ASSERT_EQUAL_FATAL(fixture.engine->client_count, 2);
    const struct engine_client *client = &fixture.engine->clients[0];
    CU_ASSERT_STRING_EQUAL(client->pattern, "b?");
    CU_ASSERT_EQUAL_FATAL(client->topic_count, 2);
    CU_ASSERT_EQUAL(client->topics[0].id, 3);
    CU_ASSERT_EQUAL(client->topics[1].id, 20);
    CU_ASSERT_STRING_EQUAL(client->topics[1].name, "pumps/%c/speed");
    CU_ASSERT_STRING_EQUAL(fixture.engine->clients[1].pattern, "*");
    CU_ASSERT_EQUAL(fixture.engine->clients[1].topic_count, 0);
    CU_ASSERT_EQUAL_FATAL(fixture.engine->topic_count, 1);
    CU_ASSERT_STRING_EQUAL(fixture.engine->topics[0].name, "one");
    teardown(&fixture);
}

static void
engine_gets_settings_of_clients_that_have_their_own(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp x]\n[sessions]\nretry_count = 7\nmax_age = never\n"
                    "[client a]\nqueue_messages = 5\nqueue_bytes = 2k\noverflow = latest\n"
                    "queue_qos0 = always\nexpiry = 1h\nuplink_ack = store\nstore_after = 3s\n"
                    "retry = 4s\ntolerance = 2\nawake_max = 5s\n[client b]\n");
    CU_ASSERT_EQUAL_FATAL(fixture.engine->client_count, 2);
    const struct engine_settings *own = fixture.engine->clients[0].settings;
    CU_ASSERT_PTR_NOT_NULL_FATAL(own);
    CU_ASSERT_EQUAL(own->queue_messages, 5);
    CU_ASSERT_EQUAL(own->queue_bytes, 2048);
    CU_ASSERT_EQUAL(own->overflow, ENGINE_LATEST);
    CU_ASSERT_EQUAL(own->queue_qos0, ENGINE_QOS0_ALWAYS);
    CU_ASSERT_EQUAL(own->max_age_ms, ENGINE_NEVER);
    CU_ASSERT_EQUAL(own->expiry_ms, 3600000);
    CU_ASSERT_TRUE(own->uplink_ack_store);
    CU_ASSERT_EQUAL(own->store_after_ms, 3000);
    CU_ASSERT_EQUAL(own->retry_ms, 4000);
    CU_ASSERT_EQUAL(own->retry_count, 7);
    CU_ASSERT_EQUAL(own->tolerance_percent, 200);
    CU_ASSERT_FALSE(own->resume_ignores_clean);
    CU_ASSERT_EQUAL(own->awake_max_ms, 5000);
    CU_ASSERT_PTR_NULL(fixture.engine->clients[1].settings);
    CU_ASSERT_EQUAL(fixture.engine->settings.retry_count, 7);
    CU_ASSERT_EQUAL(fixture.engine->settings.retry_ms, 10000);
    teardown(&fixture);
}

static void
engine_gets_rights_of_clients(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[sessions]\nunknown_clients = reject\n[udp x]\n[serial y]\ndevice = /dev/y\n"
                    "[client a]\npublish = a/%c\nsubscribe = b\nlinks = y\n"
                    "topic_prefix = p/%c/\n[client b]\n[map]\nrule = a/+ -> x/%1\n");
    const struct engine_client *client = &fixture.engine->clients[0];
    CU_ASSERT_TRUE(fixture.engine->reject_unknown);
    CU_ASSERT_TRUE(client->uses_client_id);
    CU_ASSERT_EQUAL_FATAL(client->publish_count, 1);
    CU_ASSERT_STRING_EQUAL(client->publish[0], "a/%c");
    CU_ASSERT_EQUAL_FATAL(client->subscribe_count, 1);
    CU_ASSERT_STRING_EQUAL(client->subscribe[0], "b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(client->links);
    CU_ASSERT_FALSE(client->links[0]);
    CU_ASSERT_TRUE(client->links[1]);
    CU_ASSERT_PTR_NULL(client->address);
    client++;
    CU_ASSERT_PTR_NULL(client->publish);
    CU_ASSERT_PTR_NULL(client->subscribe);
    CU_ASSERT_PTR_NULL(client->links);
    CU_ASSERT_PTR_NULL(client->topic_prefix);
    CU_ASSERT_STRING_EQUAL(fixture.engine->clients[0].topic_prefix, "p/%c/");
    CU_ASSERT_EQUAL_FATAL(fixture.engine->rule_count, 1);
    CU_ASSERT_STRING_EQUAL(fixture.engine->rules[0].right_filter, "x/+");
    teardown(&fixture);
}

static void
links_advertise_with_a_group_or_when_told(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp a]\nmulticast = 225.1.1.1:1883\n[udp b]\nlisten = 1.2.3.4:1\n"
                    "[serial c]\ndevice = /dev/c\nadvertise = yes\n[serial d]\ndevice = /dev/d\n");
    CU_ASSERT_EQUAL_FATAL(fixture.engine->link_count, 4);
    CU_ASSERT_TRUE(fixture.engine->links[0].advertise);
    CU_ASSERT_FALSE(fixture.engine->links[1].advertise);
    CU_ASSERT_TRUE(fixture.engine->links[2].advertise);
    CU_ASSERT_FALSE(fixture.engine->links[3].advertise);
    teardown(&fixture);
}

static void
links_have_their_choice_of_qos_minus_one(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp a]\nqos_minus_one = yes\ntopics.7 = yard/button\n"
                    "[serial b]\ndevice = /dev/b\nqos_minus_one = names\n[udp c]\n"
                    "listen = 1.2.3.4:1\nqos_minus_one = no\n");
    CU_ASSERT_EQUAL_FATAL(fixture.engine->link_count, 3);
    CU_ASSERT_EQUAL(fixture.engine->links[0].qos_minus_one, ENGINE_QOS_MINUS_ONE_IDS);
    CU_ASSERT_EQUAL(fixture.engine->links[1].qos_minus_one, ENGINE_QOS_MINUS_ONE_NAMES);
    CU_ASSERT_EQUAL(fixture.engine->links[2].qos_minus_one, ENGINE_QOS_MINUS_ONE_NO);
    CU_ASSERT_EQUAL_FATAL(fixture.engine->links[0].topic_count, 1);
    CU_ASSERT_STRING_EQUAL(fixture.engine->links[0].topics[0].name, "yard/button");
    teardown(&fixture);
}

/* Opens the first link with the fakes. */
static void
open_first(const struct options_fixture *fixture)
{
    char error[64];
    app_open_link(NULL, &fixture->files.config->links[0], 0, NULL, error, sizeof(error));
}

static void
udp_gets_groups_interface_and_hop_limit(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp lan]\nmulticast = 225.1.1.1:1883\nmulticast = [ff1e::1]:1884\n"
                    "interface = eth0\nmulticast_ttl = 3\nforwarders = *\nmtu = 500\n");
    open_first(&fixture);
    CU_ASSERT_STRING_EQUAL(udp_given.name, "lan");
    CU_ASSERT_EQUAL_FATAL(udp_given.multicast_count, 2);
    CU_ASSERT_STRING_EQUAL(udp_given.multicast[0], "225.1.1.1:1883");
    CU_ASSERT_STRING_EQUAL(udp_given.multicast[1], "[ff1e::1]:1884");
    CU_ASSERT_STRING_EQUAL(udp_given.interface, "eth0");
    CU_ASSERT_EQUAL(udp_given.multicast_ttl, 3);
    CU_ASSERT_EQUAL_FATAL(udp_given.listen_count, 1);
    CU_ASSERT_STRING_EQUAL(udp_given.listen[0], "0.0.0.0:1883");
    CU_ASSERT_EQUAL(udp_given.forwarder_count, 1);
    CU_ASSERT_EQUAL(udp_given.mtu, 500);
    teardown(&fixture);
}

static void
udp_without_discovery_gets_no_group(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[udp lan]\n");
    open_first(&fixture);
    CU_ASSERT_EQUAL(udp_given.multicast_count, 0);
    CU_ASSERT_PTR_NULL(udp_given.interface);
    CU_ASSERT_EQUAL(udp_given.multicast_ttl, 1);
    teardown(&fixture);
}

static void
serial_gets_its_line(void)
{
    struct options_fixture fixture;
    setup(&fixture, "[serial barn]\ndevice = /dev/b\nframing = slip\nencapsulation = always\n"
                    "flow = rtscts\nbaud = 9600\nmtu = 64\nframe_gap = 20ms\n");
    open_first(&fixture);
    CU_ASSERT_STRING_EQUAL(serial_given.name, "barn");
    CU_ASSERT_STRING_EQUAL(serial_given.device, "/dev/b");
    CU_ASSERT_STRING_EQUAL(serial_given.framing, "slip");
    CU_ASSERT_EQUAL(serial_given.encapsulation, SERIAL_ENCAPSULATION_ALWAYS);
    CU_ASSERT_EQUAL(serial_given.settings.flow, SERIAL_FLOW_RTSCTS);
    CU_ASSERT_EQUAL(serial_given.settings.baud, 9600);
    CU_ASSERT_EQUAL(serial_given.mtu, 64);
    CU_ASSERT_EQUAL(serial_given.frame_gap_ms, 20);
    teardown(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(engine_gets_the_defaults),
    UNIT_TEST(engine_gets_what_is_configured),
    UNIT_TEST(engine_gets_clients_with_topics_in_the_order_of_the_file),
    UNIT_TEST(engine_gets_settings_of_clients_that_have_their_own),
    UNIT_TEST(engine_gets_rights_of_clients),
    UNIT_TEST(links_advertise_with_a_group_or_when_told),
    UNIT_TEST(links_have_their_choice_of_qos_minus_one),
    UNIT_TEST(udp_gets_groups_interface_and_hop_limit),
    UNIT_TEST(udp_without_discovery_gets_no_group),
    UNIT_TEST(serial_gets_its_line),
};

UNIT_MAIN("config options", tests)
