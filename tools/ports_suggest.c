/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, sections and udev rules for ports. What a USB device says about itself is not trusted:
 * into a file goes only what means itself there, and nothing is quoted or escaped to make it fit.
 */
#include "ports.h"

#include <string.h>

#include <dormouse/log.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
/* What udev leaves in its properties as it is; none is special in a pattern or within quotes. */
#define UDEV_CHARACTERS LETTERS DIGITS "#+-.:=@_"
#define NAME_CHARACTERS LETTERS DIGITS "_.-"
#define NAME_FROM_PRODUCT_MAX 24 /* leaves room for a number */
#define SERIAL_NUMBER_MAX 100    /* libserialport cuts at 127 */
#define VALUE_MAX 256
#define NUMBER_SIZE 8 /* of a port of an adapter */

static bool
consists_of(const char *text, const char *characters, size_t max)
{
    size_t len = strlen(text);

    return len > 0 && len <= max && strspn(text, characters) == len;
}

static const char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The serial number if a rule and a link by id can rely on it: udev keeps it as it is, and no other
 * port has the same (all of some cheap chips do, and the ports of a multi-port adapter). */
static const char *
find_serial_number(const struct ports_port *ports, size_t count, size_t which)
{
    const char *serial = ports[which].device.serial_number;

    if (serial == NULL || !consists_of(serial, UDEV_CHARACTERS, SERIAL_NUMBER_MAX))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *other = ports[i].device.serial_number;
        if (i != which && other != NULL && strcmp(other, serial) == 0)
            return NULL;
    }
    return serial;
}

/*
 * A link by path is named ID_PATH, with "-portN" behind it for a USB adapter. Copies both parts, to
 * path[VALUE_MAX] and number[NUMBER_SIZE]; the number is empty if there is none. False: there is no
 * such link, or it is not usable.
 */
static bool
get_path(const struct ports_port *port, char *path, char *number)
{
    const char *link = port->links[PORTS_LINK_BY_PATH];

    if (link == NULL || !consists_of(last_part(link), UDEV_CHARACTERS, VALUE_MAX - 1))
        return false;
    snprintf(path, VALUE_MAX, "%s", last_part(link));
    number[0] = '\0';
    char *last_dash = strrchr(path, '-');
    if (last_dash != NULL && strncmp(last_dash, "-port", 5) == 0 &&
        consists_of(last_dash + 5, DIGITS, 4)) {
        snprintf(number, NUMBER_SIZE, "%s", last_dash + 5);
        *last_dash = '\0';
    }
    return path[0] != '\0';
}

/* Ports of one adapter can be in one socket. */
static bool
path_is_shared(const struct ports_port *ports, size_t count, size_t which, const char *path)
{
    char other[VALUE_MAX], number[NUMBER_SIZE];

    for (size_t i = 0; i < count; i++)
        if (i != which && get_path(&ports[i], other, number) && strcmp(other, path) == 0)
            return true;
    return false;
}

static bool
write_path_rule(const struct ports_port *ports, size_t count, size_t which, char *text)
{
    char path[VALUE_MAX], number[NUMBER_SIZE], more[64] = "";

    if (!get_path(&ports[which], path, number))
        return false;
    if (path_is_shared(ports, count, which, path)) {
        if (number[0] == '\0')
            return false;
        snprintf(more, sizeof more, "ATTRS{port_number}==\"%s\", ", number);
    }
    snprintf(text, PORTS_RULE_SIZE,
             "SUBSYSTEM==\"tty\", ENV{%s}==\"%s\", %sENV{DORMOUSE_PORT}=\"%s\"",
             strstr(path, "-usbv") != NULL ? "ID_PATH_WITH_USB_REVISION" : "ID_PATH", path, more,
             ports[which].name);
    return true;
}

enum ports_rule
ports_suggest_rule(const struct ports_port *ports, size_t count, size_t which, char *text)
{
    const struct ports_port *port = &ports[which];
    const char *serial = find_serial_number(ports, count, which);
    const char *kernel = last_part(port->device.path);

    text[0] = '\0';
    if (serial != NULL) {
        snprintf(text, PORTS_RULE_SIZE,
                 "SUBSYSTEM==\"tty\", ENV{ID_SERIAL_SHORT}==\"%s\", ENV{DORMOUSE_PORT}=\"%s\"",
                 serial, port->name);
        return PORTS_RULE_SERIAL;
    }
    if (write_path_rule(ports, count, which, text))
        return PORTS_RULE_PATH;
    if (port->device.bus == SERIAL_BUS_NATIVE &&
        consists_of(kernel, UDEV_CHARACTERS, VALUE_MAX - 1)) {
        snprintf(text, PORTS_RULE_SIZE,
                 "SUBSYSTEM==\"tty\", KERNEL==\"%s\", ENV{DORMOUSE_PORT}=\"%s\"", kernel,
                 port->name);
        return PORTS_RULE_KERNEL;
    }
    return PORTS_RULE_NONE;
}

static bool
name_is_taken(const struct ports_port *ports, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0)
            return true;
    return false;
}

/* "FT232R USB UART" becomes "ft232r-usb-uart"; empty if nothing is left. */
static void
name_from_product(const char *product, char *name)
{
    size_t len = 0;

    for (const char *p = product; *p != '\0' && len < NAME_FROM_PRODUCT_MAX; p++) {
        const char *upper = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", *p);
        if (upper != NULL)
            name[len++] = (char)(*p - 'A' + 'a');
        else if (strchr(LETTERS DIGITS, *p) != NULL)
            name[len++] = *p;
        else if (len > 0 && name[len - 1] != '-')
            name[len++] = '-';
    }
    while (len > 0 && name[len - 1] == '-')
        len--;
    name[len] = '\0';
}

static void
suggest_name(struct ports_port *ports, size_t count, size_t which)
{
    char base[PORTS_NAME_MAX + 1], name[PORTS_NAME_MAX + 1];
    const char *product = ports[which].device.product;
    bool has_product;

    name_from_product(product != NULL ? product : "", base);
    has_product = base[0] != '\0';
    snprintf(name, sizeof name, "%s", base);
    for (unsigned number = has_product ? 2 : 1;
         name[0] == '\0' || name_is_taken(ports, count, name); number++)
        snprintf(name, sizeof name, "%.*s%s%u", NAME_FROM_PRODUCT_MAX, has_product ? base : "radio",
                 has_product ? "-" : "", number % 1000000);
    memcpy(ports[which].name, name, sizeof name);
}

void
ports_suggest_names(struct ports_port *ports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *link = ports[i].links[PORTS_LINK_DORMOUSE];
        ports[i].name[0] = '\0';
        if (link != NULL && consists_of(last_part(link), NAME_CHARACTERS, PORTS_NAME_MAX))
            snprintf(ports[i].name, sizeof ports[i].name, "%s", last_part(link));
    }
    for (size_t i = 0; i < count; i++)
        if (ports[i].name[0] == '\0')
            suggest_name(ports, count, i);
}

/* NULL unless the link can stand in the configuration as it is. */
static const char *
get_link(const struct ports_port *port, enum ports_link kind)
{
    const char *link = port->links[kind];

    return link != NULL && consists_of(link, UDEV_CHARACTERS "/", 180) ? link : NULL;
}

const char *
ports_suggest_device(const struct ports_port *ports, size_t count, size_t which)
{
    const struct ports_port *port = &ports[which];
    /* Without a number of its own, the next dongle of its kind may get the link. */
    bool unique = find_serial_number(ports, count, which) != NULL;
    const char *const choices[] = {
        get_link(port, PORTS_LINK_DORMOUSE),
        unique ? get_link(port, PORTS_LINK_BY_ID) : NULL,
        get_link(port, PORTS_LINK_BY_PATH),
        get_link(port, PORTS_LINK_ALIAS),
    };

    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (choices[i] != NULL)
            return choices[i];
    return port->device.path;
}

void
ports_print_section(const struct ports_port *ports, size_t count, size_t which, const char *indent,
                    FILE *out)
{
    char device[VALUE_MAX];

    log_escape(device, sizeof device, dm_span_text(ports_suggest_device(ports, count, which)));
    fprintf(out, "%s[serial %s]\n%sdevice = %s\n%sbaud = 115200\n%sframing = raw\n", indent,
            ports[which].name, indent, device, indent, indent);
}
