/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards a broker, by OpenSSL: files, the check of the broker's certificate, and what failed
 * in words. The octets go through libevent's bufferevent (upstream_stream.c).
 */
#ifndef DORMOUSE_TLS_H
#define DORMOUSE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st; /* SSL of OpenSSL */

#define TLS_ERROR_MAX 160           /* octets of a reason with its terminator */
#define TLS_WARN_S (14 * 24 * 3600) /* a certificate that ends sooner is worth a warning */

/* In PEM form; NULL: none. */
struct tls_files {
    const char *ca_file;   /* whom to believe; NULL: the system's store */
    const char *cert_file; /* ours, and those between it and its CA */
    const char *key_file;  /* the private key; not encrypted, closed to others */
};

enum tls_file { TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE };

struct tls_problem {
    enum tls_file file;
    char text[TLS_ERROR_MAX];
};

/* Reads the files and throws them away. False: *problem tells which cannot be used. *own_ends: when
 * our certificate ends, in seconds since the epoch; 0: there is none. */
bool tls_files_check(const struct tls_files *files, int64_t *own_ends, struct tls_problem *problem);

/* One connection. */
struct tls;

struct tls_status {
    bool in_use;
    char version[16]; /* "TLSv1.3" */
    char cipher[64];
    int64_t peer_ends, own_ends; /* certificates, seconds since the epoch; 0: none */
};

/* Reads the files anew if they have changed. `host` is the name or address that the broker's certificate must have.
 * NULL: a file cannot be used, or no memory; error[] tells. */
struct tls *tls_new(const struct tls_files *files, const char *host, char *error,
                    size_t error_size);
/* Does not free the SSL, which belongs to whom tls_take gave it. */
void tls_free(struct tls *tls);
/* Before tls_take the SSL goes with tls_free, afterwards it is the caller's. */
struct ssl_st *tls_take(struct tls *tls);

void tls_describe(const struct tls *tls, struct tls_status *status);
/* What ended the connection, by OpenSSL's error code, 0 if it was the socket. False: nothing that
 * TLS has to do with, the peer closed. */
bool tls_failure(const struct tls *tls, unsigned long code, char *text, size_t size);
/* Writes at once what the socket takes: octets, 0 if it takes none now, -1 if it is broken. */
int tls_write(struct tls *tls, const void *data, size_t len);
/* Tells the peer that nothing follows. */
void tls_shutdown(struct tls *tls);

/* "2026-11-23 07:05 UTC" */
#define TLS_TIME_SIZE 24
const char *tls_time_text(int64_t seconds, char text[TLS_TIME_SIZE]);

#endif
