/* SPDX-License-Identifier: Apache-2.0 */
/* The serial ports of this machine, as the kernel and libserialport describe them. */
#ifndef DORMOUSE_SERIAL_LIST_H
#define DORMOUSE_SERIAL_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>

enum serial_bus { SERIAL_BUS_NATIVE, SERIAL_BUS_USB, SERIAL_BUS_BLUETOOTH };

/* Texts are owned; NULL: not known. Those of a USB device are whatever the device says. */
struct serial_listed {
    char *path; /* "/dev/ttyUSB0"; never NULL */
    enum serial_bus bus;
    bool has_usb_id;
    uint16_t vendor_id, product_id;
    bool has_usb_place;
    unsigned usb_bus, usb_address; /* another address each time it is plugged in */
    char *manufacturer, *product;
    char *serial_number;
};

/*
 * Fills a new array of *count ports in the order of their names, for serial_list_free. No port is
 * opened but the sockets of an 8250 driver, which libserialport asks whether there is a UART.
 * DM_IO: errno tells why. DM_NO_MEMORY.
 */
enum dm_result serial_list(struct serial_listed **ports, size_t *count);
void serial_list_free(struct serial_listed *ports, size_t count);

/* Releases the texts of one port. */
void serial_listed_fini(struct serial_listed *port);

#endif
