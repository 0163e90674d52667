/* SPDX-License-Identifier: Apache-2.0 */
/* One request and one answer over the control socket, each a line of JSON. */
#include "control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 << 20) /* octets: 100,000 sessions take about 40 MB */
#define ANSWER_FIRST 65536
#define SILENCE_MAX_S 10 /* the gateway answers from memory */

static int
open_socket(const char *path, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval silence = {.tv_sec = SILENCE_MAX_S};

    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(error, error_size, "the path is longer than %zu octets",
                 sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        snprintf(error, error_size, "%s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static enum dm_result
send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return DM_IO;
        text += sent;
        len -= (size_t)sent;
    }
    return DM_OK;
}

/* Doubles the buffer. The caller frees it after a failure too. */
static enum dm_result
grow(char **buffer, size_t *size)
{
    size_t larger = *size == 0 ? ANSWER_FIRST : *size * 2;

    if (larger > ANSWER_MAX)
        return DM_FULL;
    char *moved = realloc(*buffer, larger);
    if (moved == NULL)
        return DM_NO_MEMORY;
    *buffer = moved;
    *size = larger;
    return DM_OK;
}

/* Reads up to the newline or the end. */
static enum dm_result
receive_line(int fd, char **line)
{
    char *buffer = NULL;
    size_t size = 0;
    size_t used = 0;
    enum dm_result result = DM_OK;

    for (;;) {
        if (size - used < 2 && (result = grow(&buffer, &size)) != DM_OK)
            goto fail;
        ssize_t got = recv(fd, buffer + used, size - used - 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            result = DM_IO;
            goto fail;
        }
        char *end = memchr(buffer + used, '\n', (size_t)got);
        used += (size_t)got;
        if (got == 0 || end != NULL) {
            buffer[end != NULL ? (size_t)(end - buffer) : used] = '\0';
            break;
        }
    }
    *line = buffer;
    return DM_OK;

fail:
    free(buffer);
    return result;
}

enum dm_result
control_client_ask(const char *path, const char *request, char **answer, char *error,
                   size_t error_size)
{
    *answer = NULL;
    int fd = open_socket(path, error, error_size);
    if (fd < 0)
        return DM_IO;

    enum dm_result result = send_all(fd, request, strlen(request));
    if (result == DM_OK)
        result = send_all(fd, "\n", 1);
    if (result == DM_OK)
        result = receive_line(fd, answer);
    if (result == DM_IO)
        snprintf(error, error_size, "%s", errno == EAGAIN ? "it is silent" : strerror(errno));
    else if (result != DM_OK)
        snprintf(error, error_size, "the answer: %s", dm_result_text(result));
    close(fd);
    return result;
}

enum dm_result
control_client_stream(const char *path, const char *request, control_client_line *on_line,
                      void *ctx, char *error, size_t error_size)
{
    static const struct timeval forever = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int fd = open_socket(path, error, error_size);

    if (fd < 0)
        return DM_IO;
    FILE *stream = NULL;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever) == 0 &&
        send_all(fd, request, strlen(request)) == DM_OK && send_all(fd, "\n", 1) == DM_OK)
        stream = fdopen(fd, "r");
    if (stream == NULL) {
        snprintf(error, error_size, "%s", strerror(errno));
        close(fd);
        return DM_IO;
    }
    bool more = true;
    while (more && (len = getline(&line, &room, stream)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        more = on_line(ctx, line);
    }
    free(line);
    fclose(stream);
    return DM_OK;
}
