/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of the machine for people and for programs. */
#include "ports.h"

#include <inttypes.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "topic.h"

#define TEXT_MAX 256
#define INDENT "    "

static const char no_ports[] =
    "No serial port was found.\n"
    "\n"
    "* A USB radio: plug it in and look again; `sudo dmesg` tells what the kernel made of it.\n"
    "  A port that comes and goes at once was taken by another program, often brltty.\n"
    "* A radio on the header of a Raspberry Pi: switch the UART on and the console off,\n"
    "  `sudo raspi-config`, Interface Options, Serial Port.\n"
    "* Pseudo terminals (socat, ser2net) are not listed; write their path into the section.\n"
    "\n"
    "docs/serial.md tells more.\n";

static const char *
bus_name(enum serial_bus bus)
{
    switch (bus) {
    case SERIAL_BUS_USB:
        return "usb";
    case SERIAL_BUS_BLUETOOTH:
        return "bluetooth";
    default:
        return "native";
    }
}

static void
print_what_it_is(const struct serial_listed *device, FILE *out)
{
    char text[TEXT_MAX];
    const char *comma = "";

    if (device->bus == SERIAL_BUS_BLUETOOTH)
        fputs(INDENT "Bluetooth\n", out);
    if (device->bus != SERIAL_BUS_USB)
        return;
    fputs(INDENT "USB", out);
    if (device->has_usb_id) {
        fprintf(out, " %04" PRIx16 ":%04" PRIx16, device->vendor_id, device->product_id);
        comma = ",";
    }
    if (device->serial_number != NULL) {
        fprintf(out, "%s serial number %s", comma,
                log_escape(text, sizeof text, dm_span_text(device->serial_number)));
        comma = ",";
    } else {
        fprintf(out, "%s no serial number", comma);
        comma = ",";
    }
    if (device->has_usb_place)
        fprintf(out, "%s bus %u, address %u", comma, device->usb_bus, device->usb_address);
    fputc('\n', out);
}

static void
print_head(const struct ports_port *port, FILE *out)
{
    const struct serial_listed *device = &port->device;
    char text[TEXT_MAX];

    fputs(log_escape(text, sizeof text, dm_span_text(device->path)), out);
    if (device->product != NULL)
        fprintf(out, ": %s", log_escape(text, sizeof text, dm_span_text(device->product)));
    if (device->manufacturer != NULL)
        fprintf(out, "%s %s", device->product != NULL ? "," : ":",
                log_escape(text, sizeof text, dm_span_text(device->manufacturer)));
    fputc('\n', out);
    print_what_it_is(device, out);
    for (int kind = 0; kind < PORTS_LINK_COUNT; kind++)
        if (port->links[kind] != NULL)
            fprintf(out, INDENT "also %s\n",
                    log_escape(text, sizeof text, dm_span_text(port->links[kind])));
    if (port->console)
        fputs(INDENT
              "The kernel's console is on this port. docs/serial.md tells how to end that.\n",
              out);
    if (!port->accessible)
        fputs(INDENT "You may not open it; it takes the group of the port, mostly dialout.\n", out);
}

static void
print_rule(const struct ports_port *ports, size_t count, size_t which, FILE *out)
{
    const struct ports_port *port = &ports[which];
    char rule[PORTS_RULE_SIZE], text[TEXT_MAX];

    if (port->links[PORTS_LINK_DORMOUSE] != NULL) {
        fputs(INDENT "A rule of udev gives it its name already.\n", out);
        return;
    }
    switch (ports_suggest_rule(ports, count, which, rule)) {
    case PORTS_RULE_SERIAL:
        fputs(INDENT "For /dev/dormouse, by its serial number, whatever socket it is in:\n", out);
        break;
    case PORTS_RULE_PATH:
        fputs(INDENT "For /dev/dormouse, by the socket it is in, since no serial number tells it "
                     "apart:\n",
              out);
        break;
    case PORTS_RULE_KERNEL:
        fputs(INDENT "For /dev/dormouse, by the kernel's name, which is part of the machine:\n",
              out);
        break;
    default:
        fprintf(out,
                INDENT "For /dev/dormouse: no serial number tells it apart, and its socket is not "
                       "known here.\n" INDENT "udevadm info --query=property --name=%s\n" INDENT
                       "shows ID_PATH, which goes between the quotes:\n" INDENT
                       "SUBSYSTEM==\"tty\", ENV{ID_PATH}==\"\", ENV{DORMOUSE_PORT}=\"%s\"\n",
                log_escape(text, sizeof text, dm_span_text(port->device.path)), port->name);
        return;
    }
    fprintf(out, INDENT "%s\n", rule);
}

void
ports_print(const struct ports_port *ports, size_t count, FILE *out)
{
    if (count == 0) {
        fputs(no_ports, out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        print_head(&ports[i], out);
        fputc('\n', out);
        ports_print_section(ports, count, i, INDENT, out);
        fputc('\n', out);
        print_rule(ports, count, i, out);
        fputc('\n', out);
    }
    fputs("The section goes into /etc/dormouse/dormouse.ini; baud and framing are the radio's\n"
          "(docs/serial.md). The line for /dev/dormouse goes into\n" PORTS_RULES_FILE
          ", and then:\n"
          "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=tty\n",
          out);
}

/* JSON is UTF-8, which a device need not know. */
static void
add_text(cJSON *object, const char *key, const char *text)
{
    char escaped[2 * TEXT_MAX];

    if (text == NULL)
        cJSON_AddNullToObject(object, key);
    else if (topic_text_is_valid(dm_span_text(text)))
        cJSON_AddStringToObject(object, key, text);
    else
        cJSON_AddStringToObject(object, key,
                                log_escape(escaped, sizeof escaped, dm_span_text(text)));
}

static void
add_usb(cJSON *object, const struct serial_listed *device)
{
    char id[8];

    snprintf(id, sizeof id, "%04" PRIx16, device->vendor_id);
    add_text(object, "vendor_id", device->has_usb_id ? id : NULL);
    snprintf(id, sizeof id, "%04" PRIx16, device->product_id);
    add_text(object, "product_id", device->has_usb_id ? id : NULL);
    add_text(object, "manufacturer", device->manufacturer);
    add_text(object, "product", device->product);
    add_text(object, "serial_number", device->serial_number);
    if (device->has_usb_place) {
        cJSON_AddNumberToObject(object, "usb_bus", device->usb_bus);
        cJSON_AddNumberToObject(object, "usb_address", device->usb_address);
    } else {
        cJSON_AddNullToObject(object, "usb_bus");
        cJSON_AddNullToObject(object, "usb_address");
    }
}

/* DM_NO_MEMORY: the section is missing. */
static enum dm_result
add_section(cJSON *object, const struct ports_port *ports, size_t count, size_t which)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return DM_NO_MEMORY;
    ports_print_section(ports, count, which, "", out);
    enum dm_result result = fclose(out) == 0 ? DM_OK : DM_NO_MEMORY;
    if (result == DM_OK)
        add_text(object, "section", text);
    free(text);
    return result;
}

static enum dm_result
add_port(cJSON *list, const struct ports_port *ports, size_t count, size_t which)
{
    const struct ports_port *port = &ports[which];
    char rule[PORTS_RULE_SIZE] = "";
    cJSON *object = cJSON_CreateObject();
    cJSON *links = NULL;

    add_text(object, "path", port->device.path);
    add_text(object, "bus", bus_name(port->device.bus));
    add_usb(object, &port->device);
    links = cJSON_AddArrayToObject(object, "links");
    for (int kind = 0; kind < PORTS_LINK_COUNT; kind++) {
        char text[2 * TEXT_MAX];
        if (port->links[kind] != NULL)
            cJSON_AddItemToArray(links, cJSON_CreateString(log_escape(
                                            text, sizeof text, dm_span_text(port->links[kind]))));
    }
    cJSON_AddBoolToObject(object, "console", port->console);
    cJSON_AddBoolToObject(object, "accessible", port->accessible);
    add_text(object, "name", port->name);
    add_text(object, "device", ports_suggest_device(ports, count, which));
    enum dm_result result = add_section(object, ports, count, which);
    bool has_rule = port->links[PORTS_LINK_DORMOUSE] == NULL &&
                    ports_suggest_rule(ports, count, which, rule) != PORTS_RULE_NONE;
    add_text(object, "udev_rule", has_rule ? rule : NULL);
    cJSON_AddItemToArray(list, object);
    return result;
}

enum dm_result
ports_print_json(const struct ports_port *ports, size_t count, FILE *out)
{
    cJSON *answer = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(answer, "ports");
    enum dm_result result = DM_OK;

    for (size_t i = 0; result == DM_OK && i < count; i++)
        result = add_port(list, ports, count, i);
    char *text = result == DM_OK ? cJSON_PrintUnformatted(answer) : NULL;
    if (text != NULL)
        fprintf(out, "%s\n", text);
    else
        result = DM_NO_MEMORY;
    cJSON_free(text);
    cJSON_Delete(answer);
    return result;
}
