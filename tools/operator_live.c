/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that go on until Ctrl-C. */
#include "operator_live.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "command.h"

static void
on_interrupt(int number)
{
    (void)number;
    _exit(EXIT_STATUS_OK);
}

void
operator_live_until_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
