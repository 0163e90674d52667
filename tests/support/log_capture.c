/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces stderr by a temporary file for a while. */
#include "log_capture.h"

#include <stdio.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

static FILE *file;
static int saved;

void
log_capture_start(void)
{
    file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
}

void
log_capture_finish(char *text, size_t size)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}
