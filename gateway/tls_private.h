/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of TLS have in common. Nothing outside tls*.c includes it. */
#ifndef DORMOUSE_TLS_PRIVATE_H
#define DORMOUSE_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "tls.h"

/* A new one, or that of before if the files are as they were; the caller frees it. NULL: *problem
 * tells. */
SSL_CTX *tls_context_for(const struct tls_files *files, struct tls_problem *problem);
/* When our certificate ends; 0: there is none. */
int64_t tls_context_ends(const SSL_CTX *context);
/* 0: not a time. */
int64_t tls_seconds_of(const ASN1_TIME *time);

#endif
