/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames with a right check as a radio sends them, of any content: what comes in from a radio is
 * not what goes out to it, and no mutation finds a check.
 */
#ifndef DORMOUSE_TESTS_RADIO_FRAME_H
#define DORMOUSE_TESTS_RADIO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <dormouse/span.h>

/* Octets of the frame that radio_frame writes for this content at most. */
#define RADIO_FRAME_MAX(content_len) (2 * (content_len) + 12)

/* The frame around `content`, all that stands between a length or an opening and the check. 0: the
 * framing has one direction only. */
size_t radio_frame(const char *framing, struct dm_span content, uint8_t *frame);

#endif
