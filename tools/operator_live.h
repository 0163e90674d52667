/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that go on until Ctrl-C. */
#ifndef DORMOUSE_TOOLS_OPERATOR_LIVE_H
#define DORMOUSE_TOOLS_OPERATOR_LIVE_H

/* From now on SIGINT and SIGTERM end the process with EXIT_STATUS_OK. What is printed is to be
 * flushed by the caller. */
void operator_live_until_interrupt(void);

#endif
