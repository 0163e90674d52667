/* SPDX-License-Identifier: Apache-2.0 */
/* The one result type of every function that can fail. */
#ifndef DORMOUSE_RESULT_H
#define DORMOUSE_RESULT_H

enum dm_result {
    DM_OK = 0,
    DM_TRUNCATED,   /* the input ends before the message does: more octets may complete it */
    DM_MALFORMED,   /* the input can never become a valid message */
    DM_UNSUPPORTED, /* well formed, but reserved or of a part that is not built in */
    DM_LATER,       /* taken, but it has not happened yet */
    DM_FULL,        /* a limit or the caller's buffer is reached */
    DM_NO_MEMORY,   /* allocation failed */
    DM_NOT_FOUND,   /* no such object */
    DM_INVALID,     /* the caller's argument or the user's input is not acceptable */
    DM_IO,          /* the operating system refused; errno or a message tells why */
};

/* A short English phrase for `result`; static storage, never NULL. */
const char *dm_result_text(enum dm_result result);

#endif
