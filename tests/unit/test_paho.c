/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of a Paho gateway: what can be read of them, and what they become. */
#include <string.h>

#include "config_fixture.h"
#include "paho_fixture.h"
#include "unit.h"

/* The lines of a file as "NUMBER KEY=VALUE" or "NUMBER !REASON". */
static void
check_lines(const void *octets, size_t len, enum paho_form form, const char *wanted)
{
    struct paho_file file;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    paho_fixture_parse(octets, len, "file", form, &file);
    for (size_t i = 0; i < file.count; i++) {
        const struct paho_line *line = &file.lines[i];
        if (line->bad != NULL)
            fprintf(out, "%u !%s\n", line->number, line->bad);
        else
            fprintf(out, "%u %s=%s\n", line->number, line->key, line->value);
    }
    fclose(out);
    check_text(text, wanted);
    free(text);
    paho_file_free(&file);
}

#define CHECK_LINES(octets, form, wanted) check_lines(octets, sizeof(octets) - 1, form, wanted)

static void
settings_lose_space_comments_and_line_ends(void)
{
    CHECK_LINES("", PAHO_FORM_SETTINGS, "");
    CHECK_LINES("A=1\n#B=2\n\n  C = x y \r\n=\nD\nE=\nF=a=b", PAHO_FORM_SETTINGS,
                "1 A=1\n4 C=x y\n5 !expected KEY=VALUE\n6 !expected KEY=VALUE\n7 E=\n8 F=a=b\n");
    CHECK_LINES("\xEF\xBB\xBF"
                "A=1\r\n\xEF\xBB\xBF"
                "B=2",
                PAHO_FORM_SETTINGS,
                "1 A=1\n2 \xEF\xBB\xBF"
                "B=2\n");
}

static void
lists_lose_all_white_space(void)
{
    CHECK_LINES("a b, c\td ,e\r\n # x\nonly\n,x\n", PAHO_FORM_LIST,
                "1 ab=cd,e\n3 !expected fields with commas\n4 !expected fields with commas\n");
}

static void
lines_with_nul_octets_are_refused(void)
{
    CHECK_LINES("A=1\0\nB\0=2\n\0\nC=3\n#\0\n", PAHO_FORM_SETTINGS,
                "1 !line contains a NUL octet\n2 !line contains a NUL octet\n"
                "3 !line contains a NUL octet\n4 C=3\n");
}

static void
huge_lines_are_refused_and_end_where_they_end(void)
{
    char text[PAHO_LINE_MAX + 16] = "A=";

    memset(text + 2, 'x', sizeof(text) - 2);
    memcpy(text + PAHO_LINE_MAX, "\nB=2\n", 5);
    struct paho_file file;
    paho_fixture_parse(text, PAHO_LINE_MAX + 5, "file", PAHO_FORM_SETTINGS, &file);
    CU_ASSERT_EQUAL_FATAL(file.count, 2);
    CU_ASSERT_EQUAL(strlen(file.lines[0].value), PAHO_LINE_MAX - 2);
    paho_file_free(&file);

    memcpy(text + PAHO_LINE_MAX, "x\nB=2\n", 6);
    check_lines(text, PAHO_LINE_MAX + 6, PAHO_FORM_SETTINGS,
                "1 !line longer than 1023 octets\n2 B=2\n");
}

static void
lines_beyond_the_limit_are_not_read(void)
{
    char *text = malloc(4 * PAHO_LINES_MAX + 16);
    struct paho_file file;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < PAHO_LINES_MAX + 2; i++)
        memcpy(text + 4 * i, "A=1\n", 4);
    paho_fixture_parse(text, 4 * (PAHO_LINES_MAX + 2), "file", PAHO_FORM_SETTINGS, &file);
    CU_ASSERT_EQUAL_FATAL(file.count, PAHO_LINES_MAX + 1);
    CU_ASSERT_PTR_NULL(file.lines[PAHO_LINES_MAX - 1].bad);
    CU_ASSERT_PTR_NOT_NULL(file.lines[PAHO_LINES_MAX].bad);
    paho_file_free(&file);
    free(text);
}

static void
keys_and_networks_have_names(void)
{
    for (int key = 0; key < PAHO_KEY_COUNT; key++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(paho_keys[key].names[0]);
        for (size_t i = 0; i < 3 && paho_keys[key].names[i] != NULL; i++)
            CU_ASSERT_EQUAL((int)paho_key_find(paho_keys[key].names[i]), key);
    }
    CU_ASSERT_EQUAL(paho_key_find("gatewayid"), PAHO_KEY_COUNT);
    CU_ASSERT_EQUAL(paho_key_find(""), PAHO_KEY_COUNT);
    CU_ASSERT_EQUAL(paho_network_find("dtls6"), PAHO_NETWORK_DTLS6);
    CU_ASSERT_EQUAL(paho_network_find("rfcomm"), PAHO_NETWORK_UNKNOWN);
    check_text(paho_network_name(PAHO_NETWORK_LORALINK | PAHO_NETWORK_XBEE), "xbee");
}

#define MIN "BrokerName=b\nAggregatingGateway=YES\n"

/* What the INI has behind the line `from`, up to an empty line, and the findings. */
static void
check_import(const char *gateway, const char *clients, const char *topics,
             enum paho_network network, const char *from, const char *ini, const char *findings)
{
    struct paho_fixture fixture;

    paho_fixture_init(&fixture, gateway, clients, topics);
    paho_fixture_write(&fixture, network);
    char *start = strstr(fixture.ini, from);
    CU_ASSERT_PTR_NOT_NULL(start);
    if (start != NULL) {
        start += strlen(from);
        char *end = strstr(start, "\n\n");
        if (end != NULL)
            end[1] = '\0';
        check_text(start, ini);
    }
    check_text(fixture.findings, findings);
    unsigned lines = 0;
    for (const char *at = fixture.findings; *at != '\0'; at++)
        lines += *at == '\n';
    CU_ASSERT_EQUAL(fixture.count, lines);
    paho_fixture_fini(&fixture);
}

static void
gateway_section_has_id_name_and_period(void)
{
    check_import(MIN "GatewayPortNo=1\nGatewayID=7\nGatewayName=a-b\nKeepAlive=60;\n", NULL, NULL,
                 0, "[gateway]\n", "id = 7\nname = a-b\nadvertise = 60s\n", "");
    check_import(MIN "GatewayPortNo=1\nGatewayID=256\nGatewayName=a b\nKeepAlive=40000\n", NULL,
                 NULL, 0, "[gateway]\n",
                 "; g:4: GatewayID: not taken over: id: \"256\" is out of range: 1 .. 255\n"
                 "; g:5: GatewayName: not taken over: name: \"a b\" is no name: 1 to 32 of "
                 "A-Z a-z 0-9 _ . -\n"
                 "; g:6: KeepAlive: more than 9h is not possible\nadvertise = 9h\n",
                 "g:4: GatewayID: not taken over: id: \"256\" is out of range: 1 .. 255\n"
                 "g:5: GatewayName: not taken over: name: \"a b\" is no name: 1 to 32 of "
                 "A-Z a-z 0-9 _ . -\n"
                 "g:6: KeepAlive: more than 9h is not possible\n");
}

static void
broker_without_secure_clients_is_plain(void)
{
    check_import(MIN "GatewayPortNo=1\nBrokerPortNo=77\nRootCAfile=/ca\n", NULL, NULL, 0,
                 "[broker]\n",
                 "url = mqtt://b:77\n; g:5: RootCAfile: not taken over: no client has "
                 "secureConnection; with url = mqtts://... it is ca_file\n",
                 "g:5: RootCAfile: not taken over: no client has secureConnection; with url = "
                 "mqtts://... it is ca_file\n");
    check_import("AggregatingGateway=YES\nGatewayPortNo=1\nBrokerName=a b\n", NULL, NULL, 0,
                 "[broker]\n",
                 "; g:3: BrokerName: not taken over: the URL of it has no valid host\n",
                 "g:3: BrokerName: not taken over: the URL of it has no valid host\n");
}

static void
broker_of_secure_clients_is_tls(void)
{
    check_import(MIN "GatewayPortNo=1\nBrokerSecurePortNo=8884\nRootCAfile=/ca\nCertsFile=/c\n"
                     "PrivateKey=/k\nClientAuthentication=YES\n",
                 "A,192.0.2.1:5,secureConnection\n", NULL, 0, "[broker]\n",
                 "url = mqtts://b:8884\nca_file = /ca\ncert_file = /c\nkey_file = /k\n", "");
    check_import(MIN "GatewayPortNo=1\nBrokerPortNo=8885\nSecureConnection=yes\n", NULL, NULL, 0,
                 "[broker]\n", "url = mqtts://b:8885\n", "");
}

static void
password_is_not_shown(void)
{
    struct paho_fixture fixture;

    paho_fixture_init(&fixture,
                      MIN "GatewayPortNo=1\nLoginID=me\nPassword=sesame\nPassword=sesame\n", NULL,
                      NULL);
    paho_fixture_write(&fixture, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture.ini, "username = me\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture.ini, "\n; password_file = "));
    CU_ASSERT_PTR_NULL(strstr(fixture.ini, "sesame"));
    CU_ASSERT_PTR_NULL(strstr(fixture.findings, "sesame"));
    CU_ASSERT_EQUAL(fixture.count, 2);
    paho_fixture_fini(&fixture);
}

static void
transparent_gateway_has_own_connections(void)
{
    check_import("BrokerName=b\nGatewayPortNo=1\n", NULL, NULL, 0, "[sessions]\n",
                 "upstream = own\n", "");
}

static void
authenticated_clients_are_the_only_ones(void)
{
    const char *gateway = MIN "GatewayPortNo=1\nClientAuthorization=YES\n";

    check_import(gateway, "A,192.0.2.1:5\nB,x\n", "A,a/b,3\n", 0, "[sessions]\n",
                 "unknown_clients = reject\n",
                 "c:2: B: its address cannot be taken over: the client id alone decides\n");
    check_import(gateway, "A,192.0.2.1:5\n", "A,a/b,3\nC,c,3\n", 0, "[client A]\n",
                 "address = udp:lan:192.0.2.1:5\ntopics.3 = a/b\n"
                 "; t:2: C: not taken over: it is not in the list of clients\n",
                 "t:2: C: not taken over: it is not in the list of clients\n");
}

static void
sections_of_radios_have_their_addresses(void)
{
    const char *gateway =
        MIN "ClientAuthentication=YES\nSerialDevice=/dev/a\nDeviceRxLoRaLink=/dev/b\n"
            "DeviceTxLoRaLink=/dev/c\nBaudrate=9600\n";
    const char *others = "g:5: DeviceRxLoRaLink: not taken over: is for loralink, and this is for "
                         "xbee (--network chooses)\n"
                         "g:6: DeviceTxLoRaLink: not taken over: is for loralink, and this is for "
                         "xbee (--network chooses)\n";

    check_import(gateway, "A,0013a20040a1b2c3\n", NULL, 0, "[serial xbee]\n",
                 "device = /dev/a\nframing = xbee-escaped\nbaud = 9600\nflow = rtscts\n"
                 "advertise = yes\n",
                 others);
    check_import(gateway, "A,0013a20040a1b2c3\n", NULL, 0, "[client A]\n",
                 "address = serial:xbee:0013a20040a1b2c3\n", others);
    check_import(MIN "ClientAuthentication=YES\nDeviceRxLoRaLink=/dev/b\n", "A,17\n", NULL, 0,
                 "[serial loralink]\n",
                 "device = /dev/b\n; g: DeviceTxLoRaLink: is not set; write the tx_device of the "
                 "radio here\nframing = loralink\nadvertise = yes\n",
                 "g: DeviceTxLoRaLink: is not set; write the tx_device of the radio here\n");
    check_import(MIN "ClientAuthentication=YES\nDeviceRxLoRaLink=/b\nDeviceTxLoRaLink=/c\n",
                 "A,17\n", NULL, 0, "[client A]\n", "address = serial:loralink:11\n", "");
}

static void
dtls_opens_nothing_but_loopback(void)
{
    const char *gateway = MIN "GatewayPortNo=10\nDtlsCertsKey=/c\n";

    check_import(gateway, NULL, NULL, PAHO_NETWORK_DTLS,
                 "loopback only, so that nothing is open "
                 "that was protected\n",
                 "listen = 127.0.0.1:10\n",
                 "g:3: GatewayPortNo: DTLS is not built in yet: the link listens on loopback only, "
                 "so that nothing is open that was protected\n"
                 "g:4: DtlsCertsKey: DTLS is not built in yet\n");
    check_import(gateway, NULL, NULL, 0, "[udp lan]\n", "listen = 0.0.0.0:10\n",
                 "g:4: DtlsCertsKey: not taken over: is for dtls, and this is for udp (--network "
                 "chooses)\n");
}

static void
forwarders_are_addresses_without_ports(void)
{
    check_import(MIN "GatewayPortNo=1\nForwarder=YES\n",
                 "A,192.0.2.1:5,forwarder\nB,192.0.2.1:6,forwarder\nC,192.0.2.11:6,forwarder\n"
                 "D,192.0.2.1,forwarder\n",
                 NULL, 0, "listen = 0.0.0.0:1\n",
                 "; c:4: D: not taken over: is no numeric ADDRESS:PORT\n"
                 "forwarders = 192.0.2.1 192.0.2.11\n"
                 "; g:4: Forwarder: forwarders are known by address alone: their ports and names "
                 "are not\n",
                 "g:2: AggregatingGateway: any device may connect, not only the clients of the "
                 "list; for these alone set ClientAuthentication=YES and import again\n"
                 "c:4: D: not taken over: is no numeric ADDRESS:PORT\n"
                 "g:4: Forwarder: forwarders are known by address alone: their ports and names are "
                 "not\n");
}

static void
hostile_texts_are_escaped_or_refused(void)
{
    check_import(MIN "GatewayPortNo=1\nLoginID=a ;b\n\x1b[2J\xff=1\n", NULL, NULL, 0, "[broker]\n",
                 "url = mqtt://b:1883\n; g:4: LoginID: not taken over: username has a "
                 "semicolon behind a space, which would begin a comment\n",
                 "g:4: LoginID: not taken over: username has a semicolon behind a "
                 "space, which would begin a comment\n"
                 "g:5: \\x1b[2J\\xff: unknown key\n");
    check_import(
        MIN "GatewayPortNo=1\nLoginID=a\x1b[2J\nClientAuthentication=YES\n", "A],192.0.2.1:1\n",
        NULL, 0, "[broker]\n",
        "url = mqtt://b:1883\n; g:4: LoginID: not taken over: username has a "
        "control character\n",
        "g:4: LoginID: not taken over: username has a control character\n"
        "c:1: A]: not taken over: a section cannot name it: it is empty or has *, ? or ]\n");
}

static void
topics_go_to_all_to_the_link_and_to_clients(void)
{
    const char *gateway = MIN "GatewayPortNo=1\nQoS-1=YES\n";
    const char *clients = "QoS-1_A,192.0.2.1:5\nB,192.0.2.1:6,QoS-1\nK,192.0.2.1:7\n";
    const char *topics = "*,a,1\nCOMMON,b,1\nQoS-1_A,c,7\nB,c,7\nB,d,7\nK,e,007\nL,f/+,2\n"
                         "L,f,65535\nL,f,x\nL,%c,3\nK,g,7\n";
    const char *findings =
        "g:2: AggregatingGateway: any device may connect, not only the clients of the list; for "
        "these alone set ClientAuthentication=YES and import again\n"
        "g:4: QoS-1: anyone on this link may send, not only the clients of the list; their "
        "pre-defined topics are those of the link\n"
        "t:5: B: not taken over: line 3 has another name for topic id 7\n"
        "t:2: COMMON: not taken over: line 1 has another name for topic id 1\n"
        "t:11: K: not taken over: line 6 has another name for topic id 7\n"
        "t:7: L: not taken over: topics.2: \"f/+\" contains a wildcard\n"
        "t:8: L: not taken over: topics.65535: \"65535\" is no pre-defined topic id: 1 .. 65534\n"
        "t:9: L: not taken over: expected CLIENT,TOPIC,ID\n"
        "t:10: L: not taken over: % means something in a topic of [client]\n";

    check_import(gateway, clients, topics, 0, "[topics]\n",
                 "1 = a\n; t:2: COMMON: not taken over: line 1 has another name for topic id 1\n",
                 findings);
    check_import(gateway, clients, topics, 0, "those of the link\n",
                 "topics.7 = c\n; t:5: B: not taken over: line 3 has another name for topic id 7\n",
                 findings);
    check_import(
        gateway, clients, topics, 0, "[client K]\n",
        "topics.7 = e\n; t:11: K: not taken over: line 6 has another name for topic id 7\n",
        findings);
}

static void
client_ids_that_come_again_count_once(void)
{
    check_import(MIN "GatewayPortNo=1\n", "K,192.0.2.1:5,forwarder\nK,192.0.2.1:6\n", "K,a,1\n", 0,
                 "\n[client K]\n", "topics.1 = a\n",
                 "g:2: AggregatingGateway: any device may connect, not only the clients of the "
                 "list; for these alone set ClientAuthentication=YES and import again\n"
                 "c:2: K: not taken over: the client id was there before\n");
}

static void
client_ids_of_sections_have_at_most_42_octets(void)
{
    check_import(MIN "GatewayPortNo=1\n", NULL, "123456789-123456789-123456789-123456789-xx,a,1\n",
                 0, "[client 123456789-123456789-123456789-123456789-xx]\n", "topics.1 = a\n", "");
    check_import(MIN "GatewayPortNo=1\n", NULL, "123456789-123456789-123456789-123456789-xxx,a,1\n",
                 0, "not taken over: ", "client ids in sections have at most 42 octets\n",
                 "t:1: 123456789-123456789-123456789-123456789-xxx: not taken over: client ids in "
                 "sections have at most 42 octets\n");
}

static void
values_that_no_line_can_hold_are_refused(void)
{
    char gateway[400] = MIN "GatewayPortNo=1\nLoginID=";
    const char *reason = "g:4: LoginID: not taken over: username would be a comment\n";

    check_import(MIN "GatewayPortNo=1\nLoginID=;b\n", NULL, NULL, 0, "mqtt://b:1883\n; ", reason,
                 reason);
    memset(gateway + strlen(gateway), 'x', 189);
    reason = "g:4: LoginID: not taken over: username would make a line longer than 199 "
             "octets\n";
    check_import(gateway, NULL, NULL, 0, "mqtt://b:1883\n; ", reason, reason);
    gateway[strlen(gateway) - 1] = '\0';
    struct paho_fixture fixture;
    paho_fixture_init(&fixture, gateway, NULL, NULL);
    paho_fixture_write(&fixture, 0);
    CU_ASSERT_EQUAL(fixture.count, 0);
    check_reports(fixture.ini, "");
    paho_fixture_fini(&fixture);
}

/* The words of the INI that are built in are accepted as they stand. */
static void
written_file_is_accepted(void)
{
    struct paho_fixture fixture;

    paho_fixture_init(
        &fixture,
        MIN "GatewayID=9\nGatewayName=House\nKeepAlive=900\nGatewayPortNo=10000\n"
            "MulticastIP=225.1.1.1\nMulticastPortNo=1883\nMulticastTTL=3\nQoS-1=YES\n"
            "Forwarder=YES\nMaxNumberOfClients=30\nLoginID=me\nPassword=x\nNonsense=1\n",
        "A,192.0.2.1:5,QoS-1\nF,192.0.2.2:5,forwarder\n", "*,a,1\nA,b,1\nB,c/%,2\nB,d,3\n");
    paho_fixture_write(&fixture, 0);
    check_reports(fixture.ini, "");

    struct config_fixture loaded;
    config_fixture_init(&loaded);
    config_fixture_load_text(&loaded, fixture.ini);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loaded.config);
    CU_ASSERT_EQUAL(loaded.config->gateway_id, 9);
    CU_ASSERT_EQUAL(loaded.config->advertise_ms, 900000);
    CU_ASSERT_EQUAL(loaded.config->max_clients, 30);
    check_text(loaded.config->links[0].listen.items[0], "0.0.0.0:10000");
    check_text(loaded.config->links[0].forwarders.items[0], "192.0.2.2");
    CU_ASSERT_EQUAL(loaded.config->links[0].topics.count, 1);
    CU_ASSERT_EQUAL(loaded.config->topics.count, 1);
    CU_ASSERT_EQUAL(loaded.config->client_count, 1);
    config_fixture_fini(&loaded);
    paho_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(settings_lose_space_comments_and_line_ends),
    UNIT_TEST(lists_lose_all_white_space),
    UNIT_TEST(lines_with_nul_octets_are_refused),
    UNIT_TEST(huge_lines_are_refused_and_end_where_they_end),
    UNIT_TEST(lines_beyond_the_limit_are_not_read),
    UNIT_TEST(keys_and_networks_have_names),
    UNIT_TEST(gateway_section_has_id_name_and_period),
    UNIT_TEST(broker_without_secure_clients_is_plain),
    UNIT_TEST(broker_of_secure_clients_is_tls),
    UNIT_TEST(password_is_not_shown),
    UNIT_TEST(transparent_gateway_has_own_connections),
    UNIT_TEST(authenticated_clients_are_the_only_ones),
    UNIT_TEST(sections_of_radios_have_their_addresses),
    UNIT_TEST(dtls_opens_nothing_but_loopback),
    UNIT_TEST(forwarders_are_addresses_without_ports),
    UNIT_TEST(hostile_texts_are_escaped_or_refused),
    UNIT_TEST(topics_go_to_all_to_the_link_and_to_clients),
    UNIT_TEST(client_ids_that_come_again_count_once),
    UNIT_TEST(client_ids_of_sections_have_at_most_42_octets),
    UNIT_TEST(values_that_no_line_can_hold_are_refused),
    UNIT_TEST(written_file_is_accepted),
};

UNIT_MAIN("paho", tests)
