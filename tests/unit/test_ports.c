/* SPDX-License-Identifier: Apache-2.0 */
/* What is suggested for serial ports, honest and hostile ones. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "config_fixture.h"
#include "config_values.h"
#include "ports.h"
#include "unit.h"

#define ID "/dev/serial/by-id/"
#define PATH "/dev/serial/by-path/"
#define EVIL "\",\nRUN+=\"/bin/sh\x1b[2J"

static struct ports_port
usb_port(char *path, char *product, char *serial_number)
{
    return (struct ports_port){
        .device = {.path = path,
                   .bus = SERIAL_BUS_USB,
                   .has_usb_id = true,
                   .vendor_id = 0x403,
                   .product_id = 0x6001,
                   .has_usb_place = true,
                   .usb_bus = 1,
                   .usb_address = 4,
                   .manufacturer = "FTDI",
                   .product = product,
                   .serial_number = serial_number},
        .accessible = true,
    };
}

/* The text is for the caller to free. */
static char *
print(const struct ports_port *ports, size_t count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    ports_print(ports, count, out);
    fclose(out);
    return text;
}

static void
check_rule(const struct ports_port *ports, size_t count, size_t which, enum ports_rule kind,
           const char *expected)
{
    char rule[PORTS_RULE_SIZE] = "?";

    CU_ASSERT_EQUAL(ports_suggest_rule(ports, count, which, rule), kind);
    check_text(rule, expected);
}

/* Every suggested section is what the gateway takes. */
static void
check_sections(const struct ports_port *ports, size_t count)
{
    struct config_fixture fixture;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (size_t i = 0; i < count; i++)
        ports_print_section(ports, count, i, "    ", out);
    fclose(out);
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports != NULL ? fixture.reports : "", "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(fixture.config->link_count, count);
    for (size_t i = 0; i < count && i < fixture.config->link_count; i++)
        check_text(fixture.config->links[i].name, ports[i].name);
    config_fixture_fini(&fixture);
    free(text);
}

static void
dongle_with_a_serial_number_is_named_by_it(void)
{
    struct ports_port port = usb_port("/dev/ttyUSB0", "FT232R USB UART", "A50285BI");

    port.links[PORTS_LINK_BY_ID] = ID "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0";
    port.links[PORTS_LINK_BY_PATH] = PATH "platform-xhci-hcd.0-usb-0:1:1.0-port0";
    ports_suggest_names(&port, 1);
    check_rule(&port, 1, 0, PORTS_RULE_SERIAL,
               "SUBSYSTEM==\"tty\", ENV{ID_SERIAL_SHORT}==\"A50285BI\", "
               "ENV{DORMOUSE_PORT}=\"ft232r-usb-uart\"");
    check_text(ports_suggest_device(&port, 1, 0), port.links[PORTS_LINK_BY_ID]);
    check_sections(&port, 1);

    char *text = print(&port, 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "/dev/ttyUSB0: FT232R USB UART, FTDI\n"
                     "    USB 0403:6001, serial number A50285BI, bus 1, address 4\n"
                     "    also /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\n    [serial ft232r-usb-uart]\n"
                     "    device = /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\n"
                     "    baud = 115200\n    framing = raw\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n    SUBSYSTEM==\"tty\", ENV{ID_SERIAL_SHORT}=="));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n" PORTS_RULES_FILE ", and then:\n"));
    free(text);
}

static void
dongle_without_a_serial_number_is_named_by_its_socket(void)
{
    struct ports_port port = usb_port("/dev/ttyUSB0", "USB Serial", NULL);

    port.links[PORTS_LINK_BY_ID] = ID "usb-1a86_USB_Serial-if00-port0";
    port.links[PORTS_LINK_BY_PATH] =
        PATH "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0";
    ports_suggest_names(&port, 1);
    check_rule(&port, 1, 0, PORTS_RULE_PATH,
               "SUBSYSTEM==\"tty\", "
               "ENV{ID_PATH}==\"platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0\", "
               "ENV{DORMOUSE_PORT}=\"usb-serial\"");
    /* the next dongle of this kind could get the link by id */
    check_text(ports_suggest_device(&port, 1, 0), port.links[PORTS_LINK_BY_PATH]);
    check_sections(&port, 1);

    port.links[PORTS_LINK_BY_PATH] = PATH "pci-0000:00:14.0-usbv2-0:1:1.0";
    check_rule(&port, 1, 0, PORTS_RULE_PATH,
               "SUBSYSTEM==\"tty\", "
               "ENV{ID_PATH_WITH_USB_REVISION}==\"pci-0000:00:14.0-usbv2-0:1:1.0\", "
               "ENV{DORMOUSE_PORT}=\"usb-serial\"");
}

static void
serial_number_of_two_ports_names_neither(void)
{
    struct ports_port ports[3] = {usb_port("/dev/ttyUSB0", "CP2102", "0001"),
                                  usb_port("/dev/ttyUSB1", "CP2102", "0001"),
                                  usb_port("/dev/ttyUSB2", "CP2102", "0002")};

    ports[0].links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0-port0";
    ports[1].links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:2:1.0-port0";
    ports[1].links[PORTS_LINK_BY_ID] = ID "usb-CP2102_0001-if00-port0";
    ports_suggest_names(ports, 3);
    check_text(ports[0].name, "cp2102");
    check_text(ports[1].name, "cp2102-2");
    check_text(ports[2].name, "cp2102-3");
    check_rule(
        ports, 3, 0, PORTS_RULE_PATH,
        "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"a-usb-0:1:1.0\", ENV{DORMOUSE_PORT}=\"cp2102\"");
    check_rule(ports, 3, 1, PORTS_RULE_PATH,
               "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"a-usb-0:2:1.0\", "
               "ENV{DORMOUSE_PORT}=\"cp2102-2\"");
    check_text(ports_suggest_device(ports, 3, 1), ports[1].links[PORTS_LINK_BY_PATH]);
    check_rule(ports, 3, 2, PORTS_RULE_SERIAL,
               "SUBSYSTEM==\"tty\", ENV{ID_SERIAL_SHORT}==\"0002\", "
               "ENV{DORMOUSE_PORT}=\"cp2102-3\"");
    check_sections(ports, 3);
}

static void
ports_of_one_adapter_are_told_apart_by_their_number(void)
{
    struct ports_port ports[2] = {usb_port("/dev/ttyUSB0", "Quad", "7"),
                                  usb_port("/dev/ttyUSB1", "Quad", "7")};

    ports[0].links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0-port0";
    ports[1].links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0-port1";
    ports_suggest_names(ports, 2);
    check_rule(ports, 2, 1, PORTS_RULE_PATH,
               "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"a-usb-0:1:1.0\", ATTRS{port_number}==\"1\", "
               "ENV{DORMOUSE_PORT}=\"quad-2\"");
    ports[1].links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0";
    check_rule(ports, 2, 1, PORTS_RULE_NONE, "");
}

static void
uart_of_the_machine_is_named_by_the_kernel(void)
{
    struct ports_port port = {.device = {.path = "/dev/ttyAMA0", .bus = SERIAL_BUS_NATIVE},
                              .console = true};

    port.links[PORTS_LINK_ALIAS] = "/dev/serial0";
    ports_suggest_names(&port, 1);
    check_rule(&port, 1, 0, PORTS_RULE_KERNEL,
               "SUBSYSTEM==\"tty\", KERNEL==\"ttyAMA0\", ENV{DORMOUSE_PORT}=\"radio1\"");
    check_text(ports_suggest_device(&port, 1, 0), "/dev/serial0");
    check_sections(&port, 1);
    char *text = print(&port, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "console is on this port"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "You may not open it"));
    free(text);
}

static void
port_that_nothing_is_known_of_comes_with_instructions(void)
{
    struct ports_port port = usb_port("/dev/ttyUSB0", NULL, NULL);

    port.device.has_usb_id = false;
    port.device.manufacturer = NULL;
    ports_suggest_names(&port, 1);
    check_rule(&port, 1, 0, PORTS_RULE_NONE, "");
    check_text(ports_suggest_device(&port, 1, 0), "/dev/ttyUSB0");
    char *text = print(&port, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "/dev/ttyUSB0\n    USB no serial number, bus 1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "    udevadm info --query=property --name=/dev/ttyUSB0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "ENV{ID_PATH}==\"\", ENV{DORMOUSE_PORT}=\"radio1\"\n"));
    free(text);
}

static void
name_given_by_a_rule_is_kept_and_needs_no_other(void)
{
    struct ports_port ports[2] = {usb_port("/dev/ttyUSB0", "Barn", "1"),
                                  usb_port("/dev/ttyUSB1", "Barn", "2")};

    ports[1].links[PORTS_LINK_DORMOUSE] = "/dev/dormouse/barn";
    ports[1].links[PORTS_LINK_BY_ID] = ID "usb-Barn_2";
    ports_suggest_names(ports, 2);
    check_text(ports[0].name, "barn-2");
    check_text(ports[1].name, "barn");
    check_text(ports_suggest_device(ports, 2, 1), "/dev/dormouse/barn");
    check_sections(ports, 2);
    char *text = print(&ports[1], 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "A rule of udev gives it its name already."));
    CU_ASSERT_PTR_NULL(strstr(text, "ID_SERIAL_SHORT"));
    free(text);

    ports[1].links[PORTS_LINK_DORMOUSE] = "/dev/dormouse/no name";
    ports_suggest_names(ports, 2);
    check_text(ports[1].name, "barn-2");
    check_text(ports_suggest_device(ports, 2, 1), ID "usb-Barn_2");
}

static void
names_are_valid_and_unique(void)
{
    static char *const products[] = {
        NULL,
        "",
        "***",
        "---a---",
        "M\xc3\xbcller Ger\xc3\xa4t",
        EVIL,
        "a.b_c",
        "radio1",
        "x",
        "x",
        "X",
        "0123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789",
        "012345678901234567890123456789",
        "x-2",
    };
    struct ports_port ports[sizeof products / sizeof products[0]];
    size_t count = sizeof products / sizeof products[0];
    char paths[sizeof products / sizeof products[0]][32];

    for (size_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "/dev/ttyUSB%zu", i);
        ports[i] = usb_port(paths[i], products[i], NULL);
    }
    ports_suggest_names(ports, count);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_PTR_NULL(config_check_name(ports[i].name));
        for (size_t k = 0; k < i; k++)
            CU_ASSERT_STRING_NOT_EQUAL(ports[i].name, ports[k].name);
    }
    check_text(ports[3].name, "a");
    check_text(ports[4].name, "m-ller-ger-t");
    check_sections(ports, count);
}

static void
serial_number_that_udev_would_change_is_not_used(void)
{
    static char *const numbers[] = {
        EVIL,
        "a b",
        " a",
        "a\"b",
        "a\\b",
        "a\nb",
        "a*b",
        "a?b",
        "[ab]",
        "a|b",
        "a,b",
        "a/b",
        "a$b",
        "a%b",
        "a'b",
        "",
        "\xc3\xbc",
        "\xff",
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "0"
        "12345678901",
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct ports_port port = usb_port("/dev/ttyUSB0", "P", numbers[i]);
        ports_suggest_names(&port, 1);
        check_rule(&port, 1, 0, PORTS_RULE_NONE, "");
        port.links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0-port0";
        check_rule(&port, 1, 0, PORTS_RULE_PATH,
                   "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"a-usb-0:1:1.0\", ENV{DORMOUSE_PORT}=\"p\"");
        check_sections(&port, 1);
    }
}

static void
links_that_cannot_stand_in_a_file_are_not_used(void)
{
    struct ports_port port = usb_port("/dev/ttyUSB0", "P", "1");

    port.links[PORTS_LINK_DORMOUSE] = "/dev/dormouse/a ;b";
    port.links[PORTS_LINK_BY_ID] = ID "usb-a\nframing = slip";
    port.links[PORTS_LINK_BY_PATH] = PATH "a\", RUN+=\"x";
    ports_suggest_names(&port, 1);
    check_text(ports_suggest_device(&port, 1, 0), "/dev/ttyUSB0");
    check_sections(&port, 1);
    port.device.serial_number = NULL;
    check_rule(&port, 1, 0, PORTS_RULE_NONE, "");
}

/* No octet but printable ASCII and line ends, and no line that the device began. */
static void
hostile_texts_are_escaped_before_a_terminal(void)
{
    struct ports_port port = usb_port("/dev/tty\x1b]0;x\x07", EVIL, EVIL);

    port.device.manufacturer = "\xc2\x9b[2J\xff";
    for (int kind = 0; kind < PORTS_LINK_COUNT; kind++)
        port.links[kind] = EVIL;
    ports_suggest_names(&port, 1);
    char *text = print(&port, 1);
    for (const char *p = text; *p != '\0'; p++)
        CU_ASSERT(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\\x1b[2J"));
    CU_ASSERT_PTR_NULL(strstr(text, "\nRUN"));
    free(text);
    port.links[PORTS_LINK_DORMOUSE] = NULL;
    text = print(&port, 1);
    CU_ASSERT_PTR_NULL(strstr(text, "\nRUN"));
    free(text);
}

/* The answer is for the caller to delete. */
static cJSON *
print_json(const struct ports_port *ports, size_t count)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(ports_print_json(ports, count, out), DM_OK);
    fclose(out);
    CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + len - 1);
    cJSON *answer = cJSON_Parse(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    free(text);
    return answer;
}

static void
check_member(const cJSON *object, const char *key, const char *expected)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    check_text(value != NULL ? value : "(none)", expected);
}

static void
json_has_every_text_as_utf_8(void)
{
    struct ports_port port = usb_port("/dev/ttyUSB0", "Ger\xc3\xa4t\n", "\xff");

    port.links[PORTS_LINK_BY_PATH] = PATH "a-usb-0:1:1.0-port0";
    ports_suggest_names(&port, 1);
    cJSON *answer = print_json(&port, 1);
    const cJSON *object = cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "ports"), 0);
    check_member(object, "path", "/dev/ttyUSB0");
    check_member(object, "bus", "usb");
    check_member(object, "vendor_id", "0403");
    check_member(object, "product_id", "6001");
    check_member(object, "manufacturer", "FTDI");
    check_member(object, "product", "Ger\xc3\xa4t\n");
    check_member(object, "serial_number", "\\xff");
    check_member(object, "name", "ger-t");
    check_member(object, "device", port.links[PORTS_LINK_BY_PATH]);
    check_member(object, "section",
                 "[serial ger-t]\ndevice = /dev/serial/by-path/a-usb-0:1:1.0-port0\n"
                 "baud = 115200\nframing = raw\n");
    check_member(object, "udev_rule",
                 "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"a-usb-0:1:1.0\", "
                 "ENV{DORMOUSE_PORT}=\"ger-t\"");
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(object, "usb_bus")->valueint, 1);
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(object, "usb_address")->valueint, 4);
    CU_ASSERT(cJSON_IsFalse(cJSON_GetObjectItem(object, "console")));
    CU_ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(object, "accessible")));
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(object, "links")), 1);
    cJSON_Delete(answer);
}

static void
no_ports_is_said_with_what_to_do(void)
{
    char *text = print(NULL, 0);

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "No serial port was found."));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "raspi-config"));
    free(text);
    cJSON *answer = print_json(NULL, 0);
    CU_ASSERT(cJSON_IsArray(cJSON_GetObjectItem(answer, "ports")));
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "ports")), 0);
    cJSON_Delete(answer);
}

/* A folder like /dev. */
struct folder {
    char top[64];
    char made[32][256];
    size_t made_count;
};

static char *
folder_path(struct folder *folder, const char *name)
{
    char *path = folder->made[folder->made_count++];

    snprintf(path, sizeof folder->made[0], "%s%s", folder->top, name);
    return path;
}

static void
folder_init(struct folder *folder)
{
    static const char *const folders[] = {"/dormouse", "/serial", "/serial/by-id",
                                          "/serial/by-path"};

    *folder = (struct folder){.top = "/tmp/dm-ports-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder->top));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        CU_ASSERT_EQUAL_FATAL(mkdir(folder_path(folder, folders[i]), 0700), 0);
}

static void
folder_add(struct folder *folder, const char *name, const char *target)
{
    CU_ASSERT_EQUAL_FATAL(symlink(target, folder_path(folder, name)), 0);
}

static void
folder_fini(struct folder *folder)
{
    while (folder->made_count > 0)
        remove(folder->made[--folder->made_count]);
    CU_ASSERT_EQUAL(rmdir(folder->top), 0);
}

static void
check_link(const struct folder *folder, const struct ports_port *port, enum ports_link kind,
           const char *expected)
{
    const char *link = port->links[kind];

    check_text(link != NULL ? link + strlen(folder->top) : "(none)", expected);
}

static void
links_are_found_by_where_they_lead(void)
{
    struct folder folder;
    struct ports_port ports[2] = {0};

    folder_init(&folder);
    for (int i = 0; i < 2; i++) {
        ports[i].device.path = folder_path(&folder, i == 0 ? "/ttyUSB0" : "/ttyUSB1");
        FILE *file = fopen(ports[i].device.path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        fclose(file);
    }
    folder_add(&folder, "/dormouse/barn", "../ttyUSB1");
    folder_add(&folder, "/dormouse/gone", "../ttyUSB7");
    folder_add(&folder, "/serial/by-id/usb-x", "../../ttyUSB0");
    folder_add(&folder, "/serial/by-path/pci-1-usbv2-0:1", "../../ttyUSB0");
    folder_add(&folder, "/serial/by-path/pci-1-usb-0:1", "../../ttyUSB0");
    folder_add(&folder, "/serial/by-path/pci-1-usb-0:2", "../../ttyUSB1");
    folder_add(&folder, "/serial/by-path/pci-1-usbv2-0:2", "../../ttyUSB1");
    folder_add(&folder, "/serial0", "ttyUSB0");
    folder_add(&folder, "/serialx", "ttyUSB1");
    CU_ASSERT_EQUAL(ports_find_links(ports, 2, folder.top), DM_OK);
    check_link(&folder, &ports[0], PORTS_LINK_DORMOUSE, "(none)");
    check_link(&folder, &ports[0], PORTS_LINK_BY_ID, "/serial/by-id/usb-x");
    check_link(&folder, &ports[0], PORTS_LINK_BY_PATH, "/serial/by-path/pci-1-usb-0:1");
    check_link(&folder, &ports[0], PORTS_LINK_ALIAS, "/serial0");
    check_link(&folder, &ports[1], PORTS_LINK_DORMOUSE, "/dormouse/barn");
    check_link(&folder, &ports[1], PORTS_LINK_BY_ID, "(none)");
    check_link(&folder, &ports[1], PORTS_LINK_BY_PATH, "/serial/by-path/pci-1-usb-0:2");
    check_link(&folder, &ports[1], PORTS_LINK_ALIAS, "(none)");
    for (int i = 0; i < 2; i++)
        ports_free_links(&ports[i]);
    folder_fini(&folder);
    CU_ASSERT_EQUAL(ports_find_links(ports, 2, "/does/not/exist"), DM_OK);
}

static const struct unit_test tests[] = {
    UNIT_TEST(dongle_with_a_serial_number_is_named_by_it),
    UNIT_TEST(dongle_without_a_serial_number_is_named_by_its_socket),
    UNIT_TEST(serial_number_of_two_ports_names_neither),
    UNIT_TEST(ports_of_one_adapter_are_told_apart_by_their_number),
    UNIT_TEST(uart_of_the_machine_is_named_by_the_kernel),
    UNIT_TEST(port_that_nothing_is_known_of_comes_with_instructions),
    UNIT_TEST(name_given_by_a_rule_is_kept_and_needs_no_other),
    UNIT_TEST(names_are_valid_and_unique),
    UNIT_TEST(serial_number_that_udev_would_change_is_not_used),
    UNIT_TEST(links_that_cannot_stand_in_a_file_are_not_used),
    UNIT_TEST(hostile_texts_are_escaped_before_a_terminal),
    UNIT_TEST(json_has_every_text_as_utf_8),
    UNIT_TEST(no_ports_is_said_with_what_to_do),
    UNIT_TEST(links_are_found_by_where_they_lead),
};

UNIT_MAIN("ports", tests)
