/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards a broker, by OpenSSL: the check of the broker's certificate, and what failed in
 * words.
 */
#include "tls_private.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <dormouse/log.h>

struct tls {
    SSL *ssl;
    bool taken;
    int64_t own_ends;
    char refused[TLS_ERROR_MAX]; /* why the broker's certificate is; empty: it is not */
};

const char *
tls_time_text(int64_t seconds, char text[TLS_TIME_SIZE])
{
    time_t time = (time_t)seconds;
    struct tm parts;

    if (gmtime_r(&time, &parts) == NULL || strftime(text, TLS_TIME_SIZE, "%F %R UTC", &parts) == 0)
        snprintf(text, TLS_TIME_SIZE, "?");
    return text;
}

int64_t
tls_seconds_of(const ASN1_TIME *time)
{
    struct tm parts;

    return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

/* ---- one connection ---- */

/* The first DNS name of the certificate, escaped. */
static const char *
name_of(const X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;

    snprintf(text, size, "it has no DNS name");
    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS)
            continue;
        log_escape(text, size,
                   dm_span(ASN1_STRING_get0_data(name->d.dNSName),
                           (size_t)ASN1_STRING_length(name->d.dNSName)));
        break;
    }
    GENERAL_NAMES_free(names);
    return text;
}

static void
describe_refusal(struct tls *tls, int error, const X509 *certificate, int depth)
{
    const char *whose =
        depth == 0 ? "the broker's certificate" : "a CA of the broker's certificate";
    char *text = tls->refused, when[TLS_TIME_SIZE], name[64];
    size_t size = sizeof tls->refused;

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(text, size, "%s ended %s", whose,
                 tls_time_text(tls_seconds_of(X509_get0_notAfter(certificate)), when));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(text, size, "%s is not valid before %s (is the clock right?)", whose,
                 tls_time_text(tls_seconds_of(X509_get0_notBefore(certificate)), when));
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(text, size, "the broker's certificate is for another host: %s",
                 name_of(certificate, name, sizeof name));
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        snprintf(text, size, "the broker's certificate is self-signed and not in ca_file");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        snprintf(text, size, "the broker's certificate is signed by an unknown CA (see ca_file)");
        break;
    default:
        snprintf(text, size, "%s: %s", whose, X509_verify_cert_error_string(error));
        break;
    }
}

static int
on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    if (ok == 0)
        describe_refusal(SSL_get_app_data(ssl), X509_STORE_CTX_get_error(store),
                         X509_STORE_CTX_get_current_cert(store),
                         X509_STORE_CTX_get_error_depth(store));
    return ok;
}

/* The certificate must be for this name or address. The name is told to the broker, too. */
static bool
expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    unsigned char address[sizeof(struct in6_addr)];
    char bare[256];

    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(host, "%"), host); /* fe80::1%eth0 */
    if (inet_pton(AF_INET, bare, address) == 1)
        return X509_VERIFY_PARAM_set1_ip(expected, address, sizeof(struct in_addr)) == 1;
    if (inet_pton(AF_INET6, bare, address) == 1)
        return X509_VERIFY_PARAM_set1_ip(expected, address, sizeof address) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls *
tls_new(const struct tls_files *files, const char *host, char *error, size_t error_size)
{
    static const char *const keys[] = {"ca_file", "cert_file", "key_file"};
    struct tls_problem problem;
    SSL_CTX *context = tls_context_for(files, &problem);

    if (context == NULL) {
        snprintf(error, error_size, "%s: %s", keys[problem.file], problem.text);
        return NULL;
    }
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
        tls->own_ends = tls_context_ends(context);
        tls->ssl = SSL_new(context);
    }
    SSL_CTX_free(context);
    if (tls == NULL || tls->ssl == NULL || SSL_set_app_data(tls->ssl, tls) != 1 ||
        !expect_host(tls->ssl, host)) {
        tls_free(tls);
        snprintf(error, error_size, "out of memory for TLS");
        return NULL;
    }
    SSL_set_mode(tls->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS /* 34 KiB for each idle connection */);
    return tls;
}

void
tls_free(struct tls *tls)
{
    if (tls != NULL && !tls->taken)
        SSL_free(tls->ssl);
    free(tls);
}

struct ssl_st *
tls_take(struct tls *tls)
{
    tls->taken = true;
    return tls->ssl;
}

void
tls_describe(const struct tls *tls, struct tls_status *status)
{
    const X509 *peer = SSL_get0_peer_certificate(tls->ssl);

    *status = (struct tls_status){
        .in_use = true,
        .peer_ends = peer != NULL ? tls_seconds_of(X509_get0_notAfter(peer)) : 0,
        .own_ends = tls->own_ends,
    };
    snprintf(status->version, sizeof status->version, "%s", SSL_get_version(tls->ssl));
    snprintf(status->cipher, sizeof status->cipher, "%s", SSL_get_cipher_name(tls->ssl));
}

/* A reason code of OpenSSL, where it deserves better words than OpenSSL has. NULL: it does not. */
static const char *
failure_text(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
        return "the broker does not speak TLS on this port";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the broker demands a certificate of the gateway (cert_file and key_file)";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the broker refuses our certificate: it is signed by a CA that it does not know";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "the broker refuses our certificate: it has expired";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "the broker refuses our certificate: it is revoked";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return "the broker refuses our certificate";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the broker does not speak TLS 1.2 or later";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the broker refuses the TLS handshake (it may demand a certificate of the gateway)";
    default:
        return NULL;
    }
}

bool
tls_failure(const struct tls *tls, unsigned long code, char *text, size_t size)
{
    int reason = ERR_GET_REASON(code);

    if (tls->refused[0] != '\0') {
        snprintf(text, size, "%s", tls->refused);
        return true;
    }
    if (ERR_GET_LIB(code) != ERR_LIB_SSL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        if (SSL_is_init_finished(tls->ssl))
            return false;
        snprintf(text, size, "broker closed the connection in the TLS handshake");
        return true;
    }
    const char *words = failure_text(reason);

    if (words == NULL)
        words = ERR_reason_error_string(code);
    snprintf(text, size, "TLS: %s", words != NULL ? words : "unknown failure");
    return true;
}

int
tls_write(struct tls *tls, const void *data, size_t len)
{
    ERR_clear_error();
    int written = SSL_write(tls->ssl, data, len < INT_MAX ? (int)len : INT_MAX);

    if (written > 0)
        return written;
    int error = SSL_get_error(tls->ssl, written);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

void
tls_shutdown(struct tls *tls)
{
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl); /* nobody waits for the answer */
    ERR_clear_error();
}
