/* SPDX-License-Identifier: Apache-2.0 */
/* Trace lines of a device, for device.c; its other lines are declared in device.h. */
#ifndef DORMOUSE_TOOLS_DEVICE_PRINT_H
#define DORMOUSE_TOOLS_DEVICE_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/mqttsn.h>

#include "device.h"

/* One line with time and direction, with --debug. */
void device_trace(const struct device *device, bool sent, const struct mqttsn_packet *packet);
/* The same for something received that is no message. */
void device_trace_bad(const struct device *device, size_t len, enum dm_result why);

#endif
