/* SPDX-License-Identifier: Apache-2.0 */
/* What OpenSSL reads from files for TLS towards a broker: certificates and our key, once for all
 * connections as long as the files stay what they are. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_private.h"

/* ---- files ---- */

static void __attribute__((format(printf, 3, 4)))
set_problem(struct tls_problem *problem, enum tls_file file, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    problem->file = file;
}

static bool
is_readable(const char *path, enum tls_file file, struct tls_problem *problem)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would block */

    if (fd < 0 || fstat(fd, &status) != 0) {
        set_problem(problem, file, "cannot be read: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    if (!S_ISREG(status.st_mode))
        set_problem(problem, file, "cannot be read: not a regular file");
    else if (file == TLS_KEY_FILE && (status.st_mode & S_IRWXO) != 0)
        set_problem(problem, file, "others may use the file: chmod o-rwx");
    else
        return true;
    return false;
}

/* What OpenSSL says last, which is the nearest to the cause that it knows. */
static const char *
openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "no reason known";
}

/* Without it OpenSSL would ask the terminal for the pass phrase. */
static int
no_pass_phrase(char *buffer, int size, int writing, void *ctx)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)ctx = true;
    return -1;
}

static bool
load_key(SSL_CTX *context, const char *path, struct tls_problem *problem)
{
    bool encrypted = false;

    SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &encrypted);
    bool loaded = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1;
    int reason = ERR_GET_REASON(ERR_peek_last_error());

    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (encrypted)
        set_problem(problem, TLS_KEY_FILE, "is encrypted; the gateway has no pass phrase");
    else if (loaded ? SSL_CTX_check_private_key(context) != 1
                    : reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH)
        set_problem(problem, TLS_KEY_FILE, "does not belong to the certificate in cert_file");
    else if (!loaded)
        set_problem(problem, TLS_KEY_FILE, "holds no private key that can be used: %s",
                    openssl_reason());
    else
        return true;
    return false;
}

static bool
load_own(SSL_CTX *context, const struct tls_files *files, struct tls_problem *problem)
{
    if (files->cert_file == NULL)
        return true;
    if (files->key_file == NULL) {
        set_problem(problem, TLS_CERT_FILE, "needs key_file");
        return false;
    }
    if (!is_readable(files->cert_file, TLS_CERT_FILE, problem) ||
        !is_readable(files->key_file, TLS_KEY_FILE, problem))
        return false;
    if (SSL_CTX_use_certificate_chain_file(context, files->cert_file) != 1) {
        set_problem(problem, TLS_CERT_FILE, "holds no certificate that can be used: %s",
                    openssl_reason());
        return false;
    }
    return load_key(context, files->key_file, problem);
}

static bool
load_trusted(SSL_CTX *context, const char *path, struct tls_problem *problem)
{
    if (path == NULL) {
        if (SSL_CTX_set_default_verify_paths(context) == 1)
            return true;
        set_problem(problem, TLS_CA_FILE, "no certificates of the system: %s", openssl_reason());
        return false;
    }
    if (!is_readable(path, TLS_CA_FILE, problem))
        return false;
    if (SSL_CTX_load_verify_locations(context, path, NULL) == 1)
        return true;
    set_problem(problem, TLS_CA_FILE, "holds no certificate that can be used: %s",
                openssl_reason());
    return false;
}

/* NULL: *problem tells. */
static SSL_CTX *
context_new(const struct tls_files *files, struct tls_problem *problem)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        set_problem(problem, TLS_CA_FILE, "TLS does not work: %s", openssl_reason());
    } else if (load_trusted(context, files->ca_file, problem) &&
               load_own(context, files, problem)) {
        ERR_clear_error();
        return context;
    }
    SSL_CTX_free(context);
    ERR_clear_error();
    return NULL;
}

/* ---- one context for many connections ---- */

enum { STAMPS = 5 };

/* What the files were when they were read; those of the system if none is named. */
struct stamps {
    struct {
        char *path; /* NULL: none */
        struct stat status;
    } of[STAMPS];
};

/* The last context: with its trusted certificates it is larger than all else of a connection. */
static struct {
    SSL_CTX *context; /* NULL: none */
    struct stamps stamps;
} last;

static void
free_stamps(struct stamps *stamps)
{
    for (size_t i = 0; i < STAMPS; i++)
        free(stamps->of[i].path);
    *stamps = (struct stamps){0};
}

/* False: one of the files is not there, or no memory. */
static bool
take_stamps(struct stamps *stamps, const struct tls_files *files)
{
    bool system = files->ca_file == NULL;
    const char *const paths[STAMPS] = {files->ca_file, files->cert_file, files->key_file,
                                       system ? X509_get_default_cert_file() : NULL,
                                       system ? X509_get_default_cert_dir() : NULL};
    bool taken = true;

    *stamps = (struct stamps){0};
    for (size_t i = 0; i < STAMPS; i++) {
        if (paths[i] == NULL)
            continue;
        stamps->of[i].path = strdup(paths[i]);
        bool there = stat(paths[i], &stamps->of[i].status) == 0;

        if (!there) /* of those of the system, one is enough */
            memset(&stamps->of[i].status, 0, sizeof stamps->of[i].status);
        taken = taken && stamps->of[i].path != NULL && (there || i > TLS_KEY_FILE);
    }
    return taken;
}

static bool
same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same_stamps(const struct stamps *a, const struct stamps *b)
{
    for (size_t i = 0; i < STAMPS; i++) {
        const struct stat *x = &a->of[i].status, *y = &b->of[i].status;

        if ((a->of[i].path == NULL) != (b->of[i].path == NULL) ||
            (a->of[i].path != NULL && strcmp(a->of[i].path, b->of[i].path) != 0) ||
            x->st_dev != y->st_dev || x->st_ino != y->st_ino || x->st_size != y->st_size ||
            !same_time(x->st_mtim, y->st_mtim) || !same_time(x->st_ctim, y->st_ctim))
            return false;
    }
    return true;
}

SSL_CTX *
tls_context_for(const struct tls_files *files, struct tls_problem *problem)
{
    struct stamps now;
    *problem = (struct tls_problem){.file = TLS_CA_FILE};
    bool stamped = take_stamps(&now, files);
    SSL_CTX *context = NULL;

    if (stamped && last.context != NULL && same_stamps(&now, &last.stamps)) {
        context = last.context;
        SSL_CTX_up_ref(context);
        free_stamps(&now);
        return context;
    }
    context = context_new(files, problem);
    SSL_CTX_free(last.context);
    free_stamps(&last.stamps);
    last.context = NULL;
    if (context == NULL || !stamped) {
        free_stamps(&now);
        return context;
    }
    SSL_CTX_up_ref(context);
    last.context = context;
    last.stamps = now;
    return context;
}

int64_t
tls_context_ends(const SSL_CTX *context)
{
    const X509 *own = SSL_CTX_get0_certificate(context);

    return own != NULL ? tls_seconds_of(X509_get0_notAfter(own)) : 0;
}

bool
tls_files_check(const struct tls_files *files, int64_t *own_ends, struct tls_problem *problem)
{
    SSL_CTX *context = context_new(files, problem);

    *own_ends = context != NULL ? tls_context_ends(context) : 0;
    SSL_CTX_free(context);
    return context != NULL;
}
