/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of the configuration: its default, a good value, a bad one. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_fixture.h"
#include "config_keys.h"
#include "config_values.h"

/* What happens with a good value that is not the default. */
enum effect { TAKEN, WARNED, REFUSED, NEEDS_OWN, NO_OWN };

static const struct row {
    const char *header, *key, *good, *bad, *reason;
    enum effect effect;
} rows[] = {
    {"gateway", "id", "255", "0", "\"0\" is out of range: 1 .. 255", TAKEN},
    {"gateway", "name", "farm.1", "a/b", "\"a/b\" is no name: 1 to 32 of A-Z a-z 0-9 _ . -", TAKEN},
    {"gateway", "state_dir", "/srv/d", "srv", "\"srv\" is not an absolute path", TAKEN},
    {"gateway", "advertise", "9h", "32401s", "\"32401s\" is out of range: 1s .. 9h, never", TAKEN},
    {"gateway", "standby_for", "0", "256", "\"256\" is out of range: 0 .. 255, none", TAKEN},
    {"gateway", "log_level", "debug", "trace",
     "\"trace\" is not LEVEL or MODULE=LEVEL, with a level of error, warning, notice, info, debug",
     TAKEN},
    {"broker", "url", "mqtt://[::1]:1884", "mqtts://",
     "\"mqtts://\" is not mqtt://HOST[:PORT], mqtts://HOST[:PORT] or mqtt+unix:///PATH", TAKEN},
    {"broker", "return_to_first", "5m", "0s", "\"0s\" is out of range: 1s .. 365d, never", TAKEN},
    {"broker", "version", "3.1.1", "4", "\"4\" is not one of auto, 5, 3.1.1", TAKEN},
    {"broker", "client_id", "gw", "\xff", "\"\\xff\" is not valid UTF-8", TAKEN},
    {"broker", "username", "u", "\xc0\x80", "\"\\xc0\\x80\" is not valid UTF-8", TAKEN},
    {"broker", "ca_file", "", "ca", "\"ca\" is not an absolute path", TAKEN},
    {"broker", "cert_file", "", "ca", "\"ca\" is not an absolute path", TAKEN},
    {"broker", "key_file", "", "ca", "\"ca\" is not an absolute path", TAKEN},
    {"broker", "keepalive", "18h", "60", "\"60\" is no duration: a number and ms, s, m, h or d",
     TAKEN},
    {"broker", "receive_maximum", "65535", "65536", "\"65536\" is out of range: 1 .. 65535", TAKEN},
    {"broker", "topic_prefix", "site/", "site/#", "\"site/#\" contains a wildcard", TAKEN},
    {"sessions", "upstream", "own", "both", "\"both\" is not one of shared, own", TAKEN},
    {"sessions", "hold", "gateway", "both", "\"both\" is not one of broker, gateway", NO_OWN},
    {"sessions", "will", "broker", "both", "\"both\" is not one of gateway, broker", NO_OWN},
    {"sessions", "own_max", "1000000", "0", "\"0\" is out of range: 1 .. 1000000", TAKEN},
    {"sessions", "max_clients", "100000", "-1", "\"-1\" is no number", TAKEN},
    {"sessions", "client_id_max", "1", "253", "\"253\" is out of range: 1 .. 252 octets", TAKEN},
    {"sessions", "unknown_clients", "reject", "no", "\"no\" is not one of accept, reject", TAKEN},
    {"sessions", "queue_messages", "1", "1.5", "\"1.5\" is no number", TAKEN},
    {"sessions", "queue_bytes", "1G", "256K",
     "\"256K\" is no size: a number, perhaps with k, M or G", TAKEN},
    {"sessions", "total_bytes", "512M", "65G", "\"65G\" is out of range: 64k .. 64G octets", TAKEN},
    {"sessions", "overflow", "latest", "oldest",
     "\"oldest\" is not one of drop_oldest, drop_newest, latest", TAKEN},
    {"sessions", "max_age", "1d", "1w",
     "\"1w\" is no duration: a number and ms, s, m, h or d, or never", TAKEN},
    {"sessions", "queue_qos0", "always", "yes", "\"yes\" is not one of never, asleep, always",
     TAKEN},
    {"sessions", "expiry", "30d", "1s", "\"1s\" is out of range: 1m .. 3650d, never", TAKEN},
    {"sessions", "spool_bytes", "1M", "99999999999G",
     "\"99999999999G\" is no size: a number, perhaps with k, M or G", TAKEN},
    {"sessions", "uplink_ack", "store", "", "\"\" is not one of broker, store", TAKEN},
    {"sessions", "store_after", "0", "never",
     "\"never\" is no duration: a number and ms, s, m, h or d", TAKEN},
    {"sessions", "retry", "15s", "999ms", "\"999ms\" is out of range: 1s .. 1h", TAKEN},
    {"sessions", "retry_count", "5", "0", "\"0\" is out of range: 1 .. 100", TAKEN},
    {"sessions", "tolerance", "1.1", "1.09", "\"1.09\" is out of range: 1.1 .. 10", TAKEN},
    {"sessions", "resume_ignores_clean", "yes", "2", "\"2\" is neither yes nor no", TAKEN},
    {"sessions", "awake_max", "1h", "999ms", "\"999ms\" is out of range: 1s .. 1h, never", TAKEN},
    {"store", "sync", "normal", "off", "\"off\" is not one of full, normal", TAKEN},
    {"store", "commit_interval", "20ms", "11s", "\"11s\" is out of range: 0ms .. 10s", TAKEN},
    {"udp x", "listen", "[::]:1883", "localhost:1883",
     "\"localhost:1883\" has no numeric address (an IPv6 address stands in brackets)", TAKEN},
    {"udp x", "multicast", "225.1.1.1:1883", "10.0.0.1:1883",
     "\"10.0.0.1:1883\" is no multicast address: 224.0.0.0 .. 239.255.255.255, or ff00::/8", TAKEN},
    {"udp x", "interface", "wg0@x", "eth 0", "\"eth 0\" is no name of a network interface", TAKEN},
    {"udp x", "multicast_ttl", "255", "0", "\"0\" is out of range: 1 .. 255", TAKEN},
    {"udp x", "forwarders", "10.0.0.1, fe80::1 *", "10.0.0.1 10.0.0.999",
     "\"10.0.0.999\" is no numeric address and not *", TAKEN},
    {"udp x", "qos_minus_one", "names", "maybe", "\"maybe\" is not one of no, yes, names", TAKEN},
    {"udp x", "mtu", "7", "6", "\"6\" is out of range: 7 .. 65535 octets", TAKEN},
    {"udp x", "dtls", "psk", "on", "\"on\" is not one of off, psk, cert", REFUSED},
    {"udp x", "topics.65534", "a/b", "a/+", "\"a/+\" contains a wildcard", TAKEN},
    {"serial s", "tx_device", "/dev/t", "t", "\"t\" is not an absolute path", TAKEN},
    {"serial s", "framing", "slip", "kiss",
     "\"kiss\" is not among the framings built in: raw, slip, cobs-crc16, hdlc, xbee, "
     "xbee-escaped, aquila, loralink, rh-serial, hc12",
     TAKEN},
    {"serial s", "encapsulation", "always", "on", "\"on\" is not one of auto, off, always", TAKEN},
    {"serial s", "baud", "4000000", "0", "\"0\" is out of range: 1 .. 4000000 bit/s", TAKEN},
    {"serial s", "mode", "8E1", "8n1", "\"8n1\" is not one of 8N1, 8E1, 8O1, 8N2, 8E2, 8O2", TAKEN},
    {"serial s", "flow", "rtscts", "hw", "\"hw\" is not one of none, rtscts, xonxoff", TAKEN},
    {"serial s", "mtu", "65535", "65536", "\"65536\" is out of range: 7 .. 65535 octets", TAKEN},
    {"serial s", "frame_gap", "0", "11s", "\"11s\" is out of range: 0ms .. 10s", TAKEN},
    {"serial s", "qos_minus_one", "yes", "1", "\"1\" is not one of no, yes, names", TAKEN},
    {"serial s", "topics.1", "a", "", "\"\" is no valid topic name", TAKEN},
    {"serial s", "advertise", "yes", "16m", "\"16m\" is neither yes nor no", TAKEN},
    {"serial s", "tx_gap", "5ms", "5", "\"5\" is no duration: a number and ms, s, m, h or d",
     TAKEN},
    {"serial s", "tx_rate", "1k", "2M", "\"2M\" is out of range: 0 .. 1M octets", TAKEN},
    {"serial s", "duty_cycle", "100.0%", "1", "\"1\" is no number", TAKEN},
    {"serial s", "tx_queue", "4", "0", "\"0\" is out of range: 1 .. 65535 frames", TAKEN},
    {"serial s", "ack_timeout", "1s", "1d", "\"1d\" is out of range: 0ms .. 1m", TAKEN},
    {"serial s", "rs485", "kernel", "yes", "\"yes\" is not one of off, kernel, auto-direction",
     TAKEN},
    {"serial s", "turnaround", "5ms", "2s", "\"2s\" is out of range: 0ms .. 1s", TAKEN},
    {"serial s", "echo", "discard", "yes", "\"yes\" is not one of none, discard", TAKEN},
    {"serial s", "dtr", "off", "yes", "\"yes\" is not one of leave, on, off", TAKEN},
    {"serial s", "rts", "on", "yes", "\"yes\" is not one of leave, on, off", TAKEN},
    {"serial s", "open_delay", "2s", "61s", "\"61s\" is out of range: 0s .. 1m", TAKEN},
    {"serial s", "low_latency", "true", "very", "\"very\" is neither yes nor no", TAKEN},
    {"serial s", "max_nodes", "9", "0", "\"0\" is out of range: 1 .. 65535", TAKEN},
    {"serial s", "tx_prefix", "00 02 17", "0 02",
     "\"0 02\" is not hexadecimal: two digits for each octet", TAKEN},
    {"serial s", "rx_trailer", "1", "17", "\"17\" is out of range: 0 .. 16 octets", TAKEN},
    {"serial s", "air_rate", "1760", "fast", "\"fast\" is no number", TAKEN},
    {"serial s", "address", "254", "255", "\"255\" is out of range: 0 .. 254, default", TAKEN},
    {"serial s", "pan", "0", "256", "\"256\" is out of range: 0 .. 255", TAKEN},
    {"serial s", "key", "000102030405060708090a0B0C0D0E0F", "00",
     "\"00\" is no key: 32 hexadecimal digits", TAKEN},
    {"serial s", "pause", "never", "soon",
     "\"soon\" is no duration: a number and ms, s, m, h or d, or never", TAKEN},
    {"topics", "7", "yard/button", "yard\xff", "\"yard\\xff\" is no valid topic name", TAKEN},
    {"client a*", "username", "u", "\xff", "\"\\xff\" is not valid UTF-8", NEEDS_OWN},
    {"client a*", "hold", "gateway", "x", "\"x\" is not one of broker, gateway", NEEDS_OWN},
    {"client a*", "will", "broker", "x", "\"x\" is not one of gateway, broker", NEEDS_OWN},
    {"client a*", "topics.20", "p/%c", "p/#", "\"p/#\" contains a wildcard", TAKEN},
    {"client a*", "topic_prefix", "p/%c/", "p", "\"p\" does not end in /", TAKEN},
    {"client a*", "publish", "p/%c/#", "p#", "\"p#\" is no valid topic filter", TAKEN},
    {"client a*", "subscribe", "p/#", "%d", "\"%d\" has a % that is not %c", TAKEN},
    {"client a*", "links", "x", "l/n", "\"l/n\" is no name: 1 to 32 of A-Z a-z 0-9 _ . -", TAKEN},
    {"client a*", "address", "udp:x:10.0.0.7:1883", "udp:x:10.0.0.7",
     "\"udp:x:10.0.0.7\" is no address: udp:LINK:ADDRESS:PORT or serial:LINK:NODE", TAKEN},
    {"client a*", "psk_file", "/p", "p", "\"p\" is not an absolute path", REFUSED},
    {"client a*", "upstream", "own", "x", "\"x\" is not one of shared, own", TAKEN},
    {"client a*", "retry", "10s", "0", "\"0\" is out of range: 1s .. 1h", TAKEN},
    {"client a*", "awake_max", "never", "0", "\"0\" is out of range: 1s .. 1h, never", TAKEN},
    {"client a*", "resume_ignores_clean", "no", "maybe", "\"maybe\" is neither yes nor no", TAKEN},
    {"map", "rule", "a/+ -> b/%1", "a/+ -> b",
     "\"a/+ -> b\" does not use each wildcard once on the right: it could not be undone", TAKEN},
    {"control", "socket", "/run/x", "x", "\"x\" is not an absolute path", TAKEN},
    {"control", "status_topics", "site/gw", "a/#", "\"a/#\" contains a wildcard", TAKEN},
    {"control", "status_interval", "1m", "0s", "\"0s\" is out of range: 1s .. 1h", TAKEN},
    {"control", "home_assistant", "homeassistant", "a/+", "\"a/+\" contains a wildcard", TAKEN},
    {"control", "http", "127.0.0.1:8183", "8183", "\"8183\" is not ADDRESS:PORT or [ADDRESS]:PORT",
     TAKEN},
};

/* Line 5 is the row's. */
#define PRELUDE "[udp x]\n[serial s]\ndevice = /dev/s\n"

static void
load_row(struct config_fixture *fixture, const struct row *row, const char *value)
{
    char text[512];
    snprintf(text, sizeof(text), PRELUDE "[%s]\n%s = %s\n", row->header, row->key, value);
    config_fixture_load_text(fixture, text);
}

static void
every_key_with_a_bad_value_is_reported_with_file_and_line(void)
{
    struct config_fixture fixture;
    char wanted[512];
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        load_row(&fixture, &rows[i], rows[i].bad);
        snprintf(wanted, sizeof(wanted), "E main.ini:5: [%s] %s: %s\n", rows[i].header, rows[i].key,
                 rows[i].reason);
        check_text(fixture.reports, wanted);
        CU_ASSERT_EQUAL(fixture.result, DM_INVALID);
        CU_ASSERT_PTR_NULL(fixture.config);
    }
    config_fixture_fini(&fixture);
}

static void
every_key_with_a_good_value_is_taken_or_named_as_missing(void)
{
    static const char *const format[] = {
        [TAKEN] = "%.0s%.0s",
        [WARNED] = "W main.ini:5: [%s] %s: not built in yet; ignored\n",
        [REFUSED] =
            "E main.ini:5: [%s] %s: not built in yet; refused, because it would protect nothing\n",
        [NEEDS_OWN] = "E main.ini:5: [%s] %s: needs upstream = own\n",
        [NO_OWN] = "W main.ini:5: [%s] %s: nobody has upstream = own\n",
    };
    struct config_fixture fixture;
    char wanted[512];
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        load_row(&fixture, &rows[i], rows[i].good);
        snprintf(wanted, sizeof(wanted), format[rows[i].effect], rows[i].header, rows[i].key);
        check_text(fixture.reports, wanted);
        CU_ASSERT_EQUAL(fixture.result, rows[i].effect == REFUSED || rows[i].effect == NEEDS_OWN
                                             ? DM_INVALID
                                             : DM_OK);
    }
    config_fixture_fini(&fixture);
}

static bool
has_row(const struct config_key *key)
{
    const char *word = config_sections[key->section].word;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *header = rows[i].header;
        if (strncmp(header, word, strlen(word)) == 0 &&
            config_key_find(key->section, rows[i].key) == key)
            return true;
    }
    /* No value is bad by itself; test_config.c has tests of their own. */
    return key->type == CONFIG_PASSWORD || strcmp(key->name, "device") == 0 ||
           key->type == CONFIG_PASSWORD_FILE;
}

static void
every_key_of_the_table_has_a_row(void)
{
    for (size_t i = 0; i < config_key_count; i++) {
        bool found = has_row(&config_keys[i]);
        if (!found)
            fprintf(stderr, "\n    no row: %s", config_keys[i].name);
        CU_ASSERT_TRUE(found);
    }
}

static void
every_key_of_the_table_is_found_by_its_name(void)
{
    for (size_t i = 0; i < config_key_count; i++)
        CU_ASSERT_PTR_EQUAL(config_key_find(config_keys[i].section, config_keys[i].name),
                            &config_keys[i]);
    CU_ASSERT_PTR_NULL(config_key_find(SECTION_GATEWAY, "topics.1"));
    CU_ASSERT_PTR_NULL(config_key_find(SECTION_CLIENT, "max_clients"));
    CU_ASSERT_PTR_NULL(config_key_find(SECTION_CLIENT, "client_id_max"));
    CU_ASSERT_PTR_NOT_NULL(config_key_find(SECTION_CLIENT, "queue_bytes"));
}

static void
every_default_is_acceptable_to_its_own_key(void)
{
    struct config_value value;
    char reason[256];
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->fallback != NULL && *key->fallback != '\0')
            CU_ASSERT_TRUE(
                config_value_parse(key, key->name, key->fallback, &value, reason, sizeof(reason)));
    }
}

/* A key that is not built in is silent with what happens anyway, however it is written. */
static void
missing_key_with_its_default_is_silent(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, "[broker]\nca_file =\n[udp x]\ndtls = off\n"
                                       "[client a]\nusername =\npsk_file =\n");
    check_text(fixture.reports, "");
    CU_ASSERT_EQUAL(fixture.result, DM_OK);
    config_fixture_fini(&fixture);
}

static void
check_session_defaults(const struct config *config)
{
    CU_ASSERT_EQUAL(config->max_clients, 10000);
    CU_ASSERT_EQUAL(config->client_id_max, 252);
    CU_ASSERT_STRING_EQUAL(config->settings.upstream, "shared");
    CU_ASSERT_STRING_EQUAL(config->settings.hold, "broker");
    CU_ASSERT_STRING_EQUAL(config->settings.will, "gateway");
    CU_ASSERT_EQUAL(config->own_max, 10000);
    CU_ASSERT_FALSE(config->settings.resume_ignores_clean);
    CU_ASSERT_EQUAL(config->settings.awake_max_ms, 60000);
    CU_ASSERT_EQUAL(config->settings.queue_messages, 1000);
    CU_ASSERT_EQUAL(config->settings.queue_bytes, 256 * 1024);
    CU_ASSERT_EQUAL(config->total_bytes, 64 * 1024 * 1024);
    CU_ASSERT_STRING_EQUAL(config->settings.overflow, "drop_oldest");
    CU_ASSERT_STRING_EQUAL(config->settings.queue_qos0, "asleep");
    CU_ASSERT_EQUAL(config->settings.max_age_ms, CONFIG_NEVER);
    CU_ASSERT_EQUAL(config->settings.expiry_ms, CONFIG_NEVER);
    CU_ASSERT_EQUAL(config->spool_bytes, 64 * 1024 * 1024);
    CU_ASSERT_STRING_EQUAL(config->settings.uplink_ack, "broker");
    CU_ASSERT_EQUAL(config->settings.store_after_ms, 1000);
    CU_ASSERT_EQUAL(config->settings.retry_ms, 10000);
    CU_ASSERT_EQUAL(config->settings.retry_count, 3);
    CU_ASSERT_EQUAL(config->settings.tolerance, 1.5);
    CU_ASSERT_TRUE(config->sync_full);
    CU_ASSERT_EQUAL(config->commit_interval_ms, 2);
}

static void
check_link_defaults(const struct config_link *udp, const struct config_link *serial)
{
    CU_ASSERT_EQUAL(udp->kind, CONFIG_UDP);
    CU_ASSERT_STRING_EQUAL(udp->name, "x");
    CU_ASSERT_EQUAL(udp->mtu, 1400);
    CU_ASSERT_STRING_EQUAL(udp->qos_minus_one, "no");
    CU_ASSERT_EQUAL(udp->multicast.count, 0);
    CU_ASSERT_PTR_NULL(udp->interface);
    CU_ASSERT_EQUAL(udp->multicast_ttl, 1);
    CU_ASSERT_EQUAL(udp->topics.count, 0);
    CU_ASSERT_EQUAL(udp->forwarders.count, 0);
    CU_ASSERT_EQUAL_FATAL(udp->listen.count, 1);
    CU_ASSERT_STRING_EQUAL(udp->listen.items[0], "0.0.0.0:1883");
    CU_ASSERT_EQUAL(serial->kind, CONFIG_SERIAL);
    CU_ASSERT_STRING_EQUAL(serial->name, "s");
    CU_ASSERT_EQUAL(serial->mtu, 255);
    CU_ASSERT_STRING_EQUAL(serial->qos_minus_one, "no");
    CU_ASSERT_FALSE(serial->advertise);
    CU_ASSERT_STRING_EQUAL(serial->device, "/dev/s");
    CU_ASSERT_STRING_EQUAL(serial->framing, "raw");
    CU_ASSERT_STRING_EQUAL(serial->encapsulation, "auto");
    CU_ASSERT_STRING_EQUAL(serial->flow, "none");
    CU_ASSERT_EQUAL(serial->baud, 115200);
    CU_ASSERT_EQUAL(serial->frame_gap_ms, 50);
    CU_ASSERT_EQUAL(serial->listen.count, 0);
}

static void
keys_not_given_have_the_defaults_of_the_design(void)
{
    struct config_fixture fixture;
    char client_id[64];
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, PRELUDE);
    check_text(fixture.reports, "");
    const struct config *config = fixture.config;
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL(config->gateway_id, 1);
    CU_ASSERT_EQUAL(config->standby_for, CONFIG_NO_GATEWAY);
    CU_ASSERT_EQUAL(config->advertise_ms, 16 * 60000);
    CU_ASSERT_PTR_NULL(config_check_name(config->name));
    CU_ASSERT_STRING_EQUAL(config->state_dir, "/var/lib/dormouse");
    CU_ASSERT_STRING_EQUAL(config->log_level, "info");
    CU_ASSERT_STRING_EQUAL(config->urls.items[0], "mqtt://localhost:1883");
    CU_ASSERT_STRING_EQUAL(config->version, "auto");
    snprintf(client_id, sizeof(client_id), "dormouse-%s", config->name);
    CU_ASSERT_EQUAL(strncmp(config->client_id, client_id, strlen(client_id)), 0);
    CU_ASSERT_PTR_NULL(config->username);
    CU_ASSERT_PTR_NULL(config->password);
    CU_ASSERT_EQUAL(config->keepalive_ms, 60000);
    CU_ASSERT_EQUAL(config->receive_maximum, 1000);
    CU_ASSERT_STRING_EQUAL(config->topic_prefix, "");
    CU_ASSERT_STRING_EQUAL(config->control_socket, "/run/dormouse/control.sock");
    CU_ASSERT_EQUAL(config->topics.count, 0);
    CU_ASSERT_EQUAL(config->client_count, 0);
    check_session_defaults(config);
    CU_ASSERT_EQUAL_FATAL(config->link_count, 2);
    check_link_defaults(&config->links[0], &config->links[1]);
    config_fixture_fini(&fixture);
}

static const char other_values[] =
    "[gateway]\nid = 9\nstandby_for = 255\nadvertise = 15m\nname = farm\nstate_dir = /s\nlog_level "
    "= error\n"
    "[broker]\nurl = mqtt://b:1884\nversion = 5\nclient_id = c\nusername = u\npassword = p;w\n"
    "keepalive = 2m\nreceive_maximum = 20\ntopic_prefix = site/\n"
    "[sessions]\nmax_clients = 5\nclient_id_max = 23\nresume_ignores_clean = on\nawake_max = "
    "never\nqueue_messages = 6\nqueue_bytes = 7k\ntotal_bytes = 8M\n"
    "overflow = latest\nmax_age = 3h\nqueue_qos0 = never\nexpiry = 2d\nspool_bytes = "
    "1G\nuplink_ack = store\n"
    "store_after = 2500ms\nretry = 15s\nretry_count = 5\ntolerance = 2.25\n"
    "upstream = own\nhold = gateway\nwill = broker\nown_max = 77\n"
    "[store]\nsync = normal\ncommit_interval = 20ms\n"
    "[udp a]\nlisten = 127.0.0.1:1\nlisten = [::1]:2\nforwarders = 10.0.0.1, ::1\n"
    "multicast = 225.1.1.1:1883\nmulticast = [ff1e:feed:caca:dead::1]:1883\ninterface = eth0\n"
    "multicast_ttl = 2\nqos_minus_one = names\n"
    "mtu = 500\ntopics.9 = t/nine\ntopics.3 = t/three\n"
    "[serial b]\ndevice = /dev/b\nframing = slip\nencapsulation = off\nflow = rtscts\nbaud = 9600\n"
    "mtu = 64\nframe_gap = 0\nqos_minus_one = yes\nadvertise = yes\n"
    "[topics]\n1 = one\n[control]\nsocket = /c\n";

static void
check_other_sessions(const struct config *config)
{
    CU_ASSERT_EQUAL(config->max_clients, 5);
    CU_ASSERT_EQUAL(config->client_id_max, 23);
    CU_ASSERT_TRUE(config->settings.resume_ignores_clean);
    CU_ASSERT_EQUAL(config->settings.awake_max_ms, CONFIG_NEVER);
    CU_ASSERT_EQUAL(config->settings.queue_messages, 6);
    CU_ASSERT_EQUAL(config->settings.queue_bytes, 7 * 1024);
    CU_ASSERT_EQUAL(config->total_bytes, 8 * 1024 * 1024);
    CU_ASSERT_STRING_EQUAL(config->settings.overflow, "latest");
    CU_ASSERT_STRING_EQUAL(config->settings.queue_qos0, "never");
    CU_ASSERT_EQUAL(config->settings.max_age_ms, 3 * UINT64_C(3600000));
    CU_ASSERT_EQUAL(config->settings.expiry_ms, 2 * UINT64_C(86400000));
    CU_ASSERT_EQUAL(config->spool_bytes, UINT64_C(1) << 30);
    CU_ASSERT_STRING_EQUAL(config->settings.uplink_ack, "store");
    CU_ASSERT_EQUAL(config->settings.store_after_ms, 2500);
    CU_ASSERT_EQUAL(config->settings.retry_ms, 15000);
    CU_ASSERT_EQUAL(config->settings.retry_count, 5);
    CU_ASSERT_EQUAL(config->settings.tolerance, 2.25);
    CU_ASSERT_STRING_EQUAL(config->settings.upstream, "own");
    CU_ASSERT_STRING_EQUAL(config->settings.hold, "gateway");
    CU_ASSERT_STRING_EQUAL(config->settings.will, "broker");
    CU_ASSERT_EQUAL(config->own_max, 77);
    CU_ASSERT_FALSE(config->sync_full);
    CU_ASSERT_EQUAL(config->commit_interval_ms, 20);
}

static void
check_other_links(const struct config_link *udp, const struct config_link *serial)
{
    CU_ASSERT_EQUAL_FATAL(udp->listen.count, 2);
    CU_ASSERT_STRING_EQUAL(udp->listen.items[0], "127.0.0.1:1");
    CU_ASSERT_STRING_EQUAL(udp->listen.items[1], "[::1]:2");
    CU_ASSERT_EQUAL_FATAL(udp->forwarders.count, 2);
    CU_ASSERT_STRING_EQUAL(udp->forwarders.items[0], "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(udp->forwarders.items[1], "::1");
    CU_ASSERT_EQUAL_FATAL(udp->multicast.count, 2);
    CU_ASSERT_STRING_EQUAL(udp->multicast.items[0], "225.1.1.1:1883");
    CU_ASSERT_STRING_EQUAL(udp->multicast.items[1], "[ff1e:feed:caca:dead::1]:1883");
    CU_ASSERT_STRING_EQUAL(udp->interface, "eth0");
    CU_ASSERT_EQUAL(udp->multicast_ttl, 2);
    CU_ASSERT_STRING_EQUAL(udp->qos_minus_one, "names");
    CU_ASSERT_EQUAL(udp->mtu, 500);
    CU_ASSERT_EQUAL_FATAL(udp->topics.count, 2);
    CU_ASSERT_EQUAL(udp->topics.items[0].id, 3);
    CU_ASSERT_STRING_EQUAL(udp->topics.items[1].name, "t/nine");
    CU_ASSERT_STRING_EQUAL(serial->framing, "slip");
    CU_ASSERT_STRING_EQUAL(serial->encapsulation, "off");
    CU_ASSERT_STRING_EQUAL(serial->flow, "rtscts");
    CU_ASSERT_EQUAL(serial->baud, 9600);
    CU_ASSERT_EQUAL(serial->mtu, 64);
    CU_ASSERT_EQUAL(serial->frame_gap_ms, 0);
    CU_ASSERT_STRING_EQUAL(serial->qos_minus_one, "yes");
    CU_ASSERT_TRUE(serial->advertise);
}

static void
keys_given_reach_their_members(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, other_values);
    check_text(fixture.reports, "");
    const struct config *config = fixture.config;
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL(config->gateway_id, 9);
    CU_ASSERT_EQUAL(config->standby_for, 255);
    CU_ASSERT_EQUAL(config->advertise_ms, 15 * 60000);
    CU_ASSERT_STRING_EQUAL(config->name, "farm");
    CU_ASSERT_STRING_EQUAL(config->state_dir, "/s");
    CU_ASSERT_STRING_EQUAL(config->log_level, "error");
    CU_ASSERT_STRING_EQUAL(config->urls.items[0], "mqtt://b:1884");
    CU_ASSERT_STRING_EQUAL(config->version, "5");
    CU_ASSERT_STRING_EQUAL(config->client_id, "c");
    CU_ASSERT_STRING_EQUAL(config->username, "u");
    CU_ASSERT_STRING_EQUAL(config->password, "p;w");
    CU_ASSERT_EQUAL(config->keepalive_ms, 120000);
    CU_ASSERT_EQUAL(config->receive_maximum, 20);
    CU_ASSERT_STRING_EQUAL(config->topic_prefix, "site/");
    CU_ASSERT_STRING_EQUAL(config->control_socket, "/c");
    CU_ASSERT_EQUAL_FATAL(config->topics.count, 1);
    CU_ASSERT_STRING_EQUAL(config->topics.items[0].name, "one");
    check_other_sessions(config);
    CU_ASSERT_EQUAL_FATAL(config->link_count, 2);
    check_other_links(&config->links[0], &config->links[1]);
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(every_key_with_a_bad_value_is_reported_with_file_and_line),
    UNIT_TEST(every_key_with_a_good_value_is_taken_or_named_as_missing),
    UNIT_TEST(every_key_of_the_table_has_a_row),
    UNIT_TEST(every_key_of_the_table_is_found_by_its_name),
    UNIT_TEST(every_default_is_acceptable_to_its_own_key),
    UNIT_TEST(missing_key_with_its_default_is_silent),
    UNIT_TEST(keys_not_given_have_the_defaults_of_the_design),
    UNIT_TEST(keys_given_reach_their_members),
};

UNIT_MAIN("config keys", tests)
