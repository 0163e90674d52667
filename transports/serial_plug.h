/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that a device may have been plugged in: something changed in /dev or in the folder of its
 * link. Only an accelerator: udev may still be at work, and the folder of a link comes and goes
 * with its links.
 */
#ifndef DORMOUSE_SERIAL_PLUG_H
#define DORMOUSE_SERIAL_PLUG_H

struct event_base;
struct serial_plug;

/* `on_change` is called from the event loop. NULL: not possible here. */
struct serial_plug *serial_plug_open(struct event_base *base, const char *device,
                                     void (*on_change)(void *ctx), void *ctx);
void serial_plug_close(struct serial_plug *plug); /* NULL is allowed */

#endif
