/* SPDX-License-Identifier: Apache-2.0 */
/* What the code under test writes to its log. */
#ifndef DORMOUSE_TESTS_LOG_CAPTURE_H
#define DORMOUSE_TESTS_LOG_CAPTURE_H

#include <stddef.h>

/* From now on stderr is a file. */
void log_capture_start(void);
/* stderr is itself again; `text` gets what was written meanwhile, cut to fit. */
void log_capture_finish(char *text, size_t size);

#endif
