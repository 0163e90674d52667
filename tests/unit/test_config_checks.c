/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a configuration as a whole: what is required, what does not go together, and limits. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_fixture.h"

static void
serial_section_without_a_device_is_refused(void)
{
    check_reports("\n[serial s]\nbaud = 9600\n", "E main.ini:2: [serial s] device: required\n");
    check_reports("[serial s]\ndevice = ttyS0\n",
                  "E main.ini:2: [serial s] device: \"ttyS0\" is not an absolute path\n"
                  "E main.ini:1: [serial s] device: required\n");
}

static void
device_or_address_used_twice_is_refused(void)
{
    check_reports("[serial a]\ndevice = /dev/x\n[serial b]\ndevice = /dev/x\n",
                  "E main.ini:3: [serial b] device: used by [serial a], too\n");
    check_reports(
        "[udp a]\n[udp b]\nlisten = 1.2.3.4:5\nlisten = 0.0.0.0:1883\nlisten = 1.2.3.4:5\n",
        "E main.ini:2: [udp b] listen: 0.0.0.0:1883 is used by [udp a], too\n"
        "E main.ini:2: [udp b] listen: 1.2.3.4:5 is used by [udp b], too\n");
}

static void
multicast_group_used_twice_on_one_interface_is_refused(void)
{
    check_reports("[udp a]\nmulticast = 225.1.1.1:1883\n"
                  "[udp b]\nlisten = 1.2.3.4:5\nmulticast = 225.1.1.1:1883\n",
                  "E main.ini:3: [udp b] multicast: 225.1.1.1:1883 is used by [udp a], too\n");
    check_reports("[udp a]\ninterface = eth0\nmulticast = 225.1.1.1:1\n"
                  "multicast = 225.1.1.1:2\nmulticast = 225.1.1.1:1\n",
                  "E main.ini:1: [udp a] multicast: 225.1.1.1:1 is used by [udp a], too\n");
}

static void
multicast_group_on_two_interfaces_is_accepted(void)
{
    check_reports("[udp a]\nmulticast = 225.1.1.1:1883\ninterface = eth0\n"
                  "[udp b]\nlisten = 1.2.3.4:5\nmulticast = 225.1.1.1:1883\ninterface = eth1\n"
                  "[udp c]\nlisten = 1.2.3.4:6\nmulticast = 225.1.1.1:1883\n",
                  "");
}

static void
standby_for_the_gateway_itself_is_refused(void)
{
    check_reports("[gateway]\nstandby_for = 1\n[udp x]\n",
                  "E main.ini:2: [gateway] standby_for: is the id of this gateway itself\n");
    check_reports("[gateway]\nstandby_for = 9\nid = 9\n[udp x]\n",
                  "E main.ini:2: [gateway] standby_for: is the id of this gateway itself\n");
    check_reports("[gateway]\nstandby_for = 1\nid = 9\n[udp x]\n", "");
    check_reports("[gateway]\nid = 255\nstandby_for = none\n[udp x]\n", "");
}

static void
name_shared_by_udp_and_serial_is_refused(void)
{
    check_reports("[udp a]\n[serial a]\ndevice = /dev/x\n",
                  "E main.ini:2: a [udp] and a [serial] section have the same name\n");
}

static void
more_than_255_links_are_refused(void)
{
    struct config_fixture fixture;
    char text[8192];
    size_t used = 0;
    config_fixture_init(&fixture);
    for (int i = 1; i <= 256; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "[udp l%d]\nlisten=1.1.1.1:%d\n",
                                 i, i);
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "E main.ini:511: more than 255 [udp] and [serial] sections\n");
    config_fixture_fini(&fixture);
}

static void
more_than_64_items_of_a_list_are_refused(void)
{
    struct config_fixture fixture;
    char text[2048] = "[udp x]\n";
    size_t used = strlen(text);
    config_fixture_init(&fixture);
    for (int i = 1; i <= 64; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "listen=1.1.1.1:%d\n", i);
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "");
    snprintf(text + used, sizeof(text) - used, "listen=1.1.1.1:65\n");
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "E main.ini:66: [udp x] listen: given more than 64 times\n");
    config_fixture_fini(&fixture);
}

static void
discovery_without_status_topics_is_refused(void)
{
    check_reports("[udp x]\n[control]\nstatus_topics =\nhome_assistant = ha\n",
                  "E main.ini: [control] home_assistant: needs status_topics, which are switched "
                  "off\n");
    check_reports("[udp x]\n[control]\nhome_assistant = ha\n", "");
}

static const struct unit_test tests[] = {
    UNIT_TEST(discovery_without_status_topics_is_refused),
    UNIT_TEST(serial_section_without_a_device_is_refused),
    UNIT_TEST(device_or_address_used_twice_is_refused),
    UNIT_TEST(multicast_group_used_twice_on_one_interface_is_refused),
    UNIT_TEST(multicast_group_on_two_interfaces_is_accepted),
    UNIT_TEST(standby_for_the_gateway_itself_is_refused),
    UNIT_TEST(name_shared_by_udp_and_serial_is_refused),
    UNIT_TEST(more_than_255_links_are_refused),
    UNIT_TEST(more_than_64_items_of_a_list_are_refused),
};

UNIT_MAIN("config checks", tests)
