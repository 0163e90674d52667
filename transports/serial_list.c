/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what libserialport knows of the ports into structs of ours. */
#include "serial_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libserialport.h>

static bool
copy_text(char **copy, const char *text)
{
    *copy = NULL;
    if (text == NULL || text[0] == '\0')
        return true;
    *copy = strdup(text);
    return *copy != NULL;
}

static enum serial_bus
bus_of(const struct sp_port *from)
{
    switch (sp_get_port_transport(from)) {
    case SP_TRANSPORT_USB:
        return SERIAL_BUS_USB;
    case SP_TRANSPORT_BLUETOOTH:
        return SERIAL_BUS_BLUETOOTH;
    default:
        return SERIAL_BUS_NATIVE;
    }
}

/* Each getter leaves its results alone where the port has none. */
static bool
copy_port(struct serial_listed *port, const struct sp_port *from)
{
    int first = 0, second = 0;

    *port = (struct serial_listed){.bus = bus_of(from)};
    if (sp_get_port_usb_vid_pid(from, &first, &second) == SP_OK) {
        port->has_usb_id = true;
        port->vendor_id = (uint16_t)first;
        port->product_id = (uint16_t)second;
    }
    if (sp_get_port_usb_bus_address(from, &first, &second) == SP_OK && first >= 0 && second >= 0) {
        port->has_usb_place = true;
        port->usb_bus = (unsigned)first;
        port->usb_address = (unsigned)second;
    }
    return copy_text(&port->path, sp_get_port_name(from)) && port->path != NULL &&
           copy_text(&port->manufacturer, sp_get_port_usb_manufacturer(from)) &&
           copy_text(&port->product, sp_get_port_usb_product(from)) &&
           copy_text(&port->serial_number, sp_get_port_usb_serial(from));
}

/* "ttyUSB2" before "ttyUSB10". */
static int
compare(const void *a, const void *b)
{
    return strverscmp(((const struct serial_listed *)a)->path,
                      ((const struct serial_listed *)b)->path);
}

enum dm_result
serial_list(struct serial_listed **ports, size_t *count)
{
    struct sp_port **list = NULL;
    size_t found = 0, copied = 0;
    enum sp_return result = sp_list_ports(&list);

    if (result != SP_OK)
        return result == SP_ERR_MEM ? DM_NO_MEMORY : DM_IO;
    while (list[found] != NULL)
        found++;
    struct serial_listed *copies = calloc(found + 1, sizeof *copies);
    while (copies != NULL && copied < found && copy_port(&copies[copied], list[copied]))
        copied++;
    sp_free_port_list(list);
    if (copies == NULL || copied < found) {
        if (copies != NULL && copied < found)
            copied++; /* the one that was copied in part */
        serial_list_free(copies, copied);
        return DM_NO_MEMORY;
    }
    qsort(copies, copied, sizeof *copies, compare);
    *ports = copies;
    *count = copied;
    return DM_OK;
}

void
serial_listed_fini(struct serial_listed *port)
{
    free(port->path);
    free(port->manufacturer);
    free(port->product);
    free(port->serial_number);
    *port = (struct serial_listed){0};
}

void
serial_list_free(struct serial_listed *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        serial_listed_fini(&ports[i]);
    free(ports);
}
