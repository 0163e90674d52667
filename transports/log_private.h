/* SPDX-License-Identifier: Apache-2.0 */
/* What log.c asks of log_levels.c. */
#ifndef DORMOUSE_LOG_PRIVATE_H
#define DORMOUSE_LOG_PRIVATE_H

#include <dormouse/log.h>

bool log_module_enabled(enum log_level level, const char *module);

#endif
