/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <ftw.h>
#include <time.h>
#include <unistd.h>

#include "servers.h"

enum { READY_MS = 60000, POLL_US = 2000 };

static char top[160];
static pid_t broker_pid;
static unsigned directories;
static const char *version; /* of MQTT */
static bool keep;           /* there is a log to be read */

static int
bound_socket(int type, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, type, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail("no free port: %s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

static uint16_t
free_port(int type)
{
    uint16_t port;

    close(bound_socket(type, &port));
    return port;
}

/* What the program says goes to `log`. */
static pid_t
spawn(char *const *arguments, const char *log)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        fail("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execvp(arguments[0], arguments);
    fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

static void
nap(void)
{
    bench_check();
    nanosleep(&(struct timespec){.tv_nsec = POLL_US * 1000L}, NULL);
}

static void
check_alive(pid_t pid, const char *name)
{
    keep = waitpid(pid, NULL, WNOHANG) == pid;
    if (keep)
        fail("%s has ended; its log is in %s", name, top);
}

void
process_init(const char *parent, const char *mqtt_version)
{
    version = mqtt_version;
    if (snprintf(top, sizeof top, "%s/dm-bench-XXXXXX", parent) >= (int)sizeof top ||
        mkdtemp(top) == NULL)
        fail("no directory in %s: %s", parent, strerror(errno));
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void
process_finish(void)
{
    if (broker_pid > 0 && kill(broker_pid, SIGTERM) == 0)
        waitpid(broker_pid, NULL, 0);
    if (!keep)
        nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool
accepts(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool accepted = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    close(fd);
    return accepted;
}

uint16_t
process_start_broker(void)
{
    uint16_t port = free_port(SOCK_STREAM);
    char file[200];
    char log[200];
    const char *name = getenv("MOSQUITTO");
    uint64_t until = bench_now_ns() + READY_MS * 1000000ull;

    snprintf(file, sizeof file, "%s/mosquitto.conf", top);
    snprintf(log, sizeof log, "%s/mosquitto.log", top);
    FILE *out = fopen(file, "we");

    if (out == NULL)
        fail("%s: %s", file, strerror(errno));
    fprintf(out,
            "listener %u 127.0.0.1\nallow_anonymous true\nlog_type error\nlog_dest stderr\n"
            "persistence false\nmax_queued_messages 0\nmax_queued_bytes 0\n"
            "max_inflight_messages 1000\nset_tcp_nodelay true\n",
            port);
    fclose(out);
    if (name == NULL)
        name = access("/usr/sbin/mosquitto", X_OK) == 0 ? "/usr/sbin/mosquitto" : "mosquitto";
    broker_pid = spawn((char *[]){(char *)(uintptr_t)name, "-c", file, NULL}, log);
    while (!accepts(port)) {
        check_alive(broker_pid, "mosquitto");
        if (bench_now_ns() > until)
            fail("mosquitto does not answer");
        nap();
    }
    return port;
}

static void
write_config(const struct server *server)
{
    char path[240];

    snprintf(path, sizeof path, "%s/dormouse.ini", server->directory);
    FILE *out = fopen(path, "we");

    if (out == NULL)
        fail("%s: %s", path, strerror(errno));
    fprintf(out,
            "[gateway]\nid = 1\nname = bench\nstate_dir = %s/state\nadvertise = 0\n"
            "log_level = warning\n"
            "[broker]\nurl = mqtt://127.0.0.1:%u\nclient_id = bench-%c-%u\nversion = %s\n"
            "[sessions]\nmax_clients = 1000000\ntotal_bytes = 512M\n"
            "[udp lan]\nlisten = 127.0.0.1:%u\n"
            "[control]\nsocket = %s/control.sock\nhttp =\n",
            server->directory, server->broker_port, server->topics, directories, version,
            server->port, server->directory);
    fclose(out);
}

/* The daemon of the same build. */
static void
daemon_path(char *path, size_t size)
{
    const char *folder = getenv("DORMOUSE_BIN");
    char own[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);

    own[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(own, '/');

    if (slash != NULL)
        *slash = '\0';
    if (snprintf(path, size, "%s/dormoused", folder != NULL ? folder : own) >= (int)size)
        fail("the path of the daemon is too long");
}

void
server_start_again(struct server *server)
{
    char path[PATH_MAX + 16];
    char file[240];
    char log[240];
    struct daemon_status status = {0};
    uint64_t until = bench_now_ns() + READY_MS * 1000000ull;

    daemon_path(path, sizeof path);
    snprintf(file, sizeof file, "%s/dormouse.ini", server->directory);
    snprintf(log, sizeof log, "%s/dormoused.log", server->directory);
    server->pid = spawn((char *[]){path, "-c", file, NULL}, log);
    while (!measure_status(server, &status) || !status.connected) {
        check_alive(server->pid, path);
        if (bench_now_ns() > until)
            fail("the daemon is not ready after %d s", READY_MS / 1000);
        nap();
    }
}

/* The program itself, with the socket that the server is to use. */
static void
start_own(struct server *server, unsigned backlog)
{
    char fd_text[12];
    char number[12];
    char topics[2] = {server->topics, '\0'};
    char log[200];
    int fd = bound_socket(SOCK_DGRAM, &server->port);
    const char *name = server->kind == SERVER_NULL ? "serve-null" : "serve-forwarder";

    snprintf(fd_text, sizeof fd_text, "%d", fd);
    snprintf(number, sizeof number, "%u",
             server->kind == SERVER_NULL ? backlog : server->broker_port);
    snprintf(log, sizeof log, "%s/servers.log", top);
    server->pid = spawn(
        (char *[]){"/proc/self/exe", (char *)(uintptr_t)name, fd_text, number, topics, NULL}, log);
    close(fd);
}

void
server_start(struct server *server, enum server_kind kind, uint16_t broker_port, unsigned backlog)
{
    *server = (struct server){
        .kind = kind, .broker_port = broker_port, .topics = (char)('a' + directories % 26)};
    snprintf(server->directory, sizeof server->directory, "%s/%u", top, ++directories);
    if (kind != SERVER_DORMOUSE) {
        start_own(server, backlog);
        return;
    }
    server->port = free_port(SOCK_DGRAM);
    if (mkdir(server->directory, 0700) != 0)
        fail("%s: %s", server->directory, strerror(errno));
    write_config(server);
    server_start_again(server);
}

void
server_stop(struct server *server)
{
    int status;

    kill(server->pid, SIGTERM);
    keep = waitpid(server->pid, &status, 0) == server->pid && server->kind == SERVER_DORMOUSE &&
           (!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    if (keep)
        fail("the daemon did not end in order; its log is in %s", server->directory);
}

void
process_serve(int argc, char **argv)
{
    if (argc != 5)
        return;
    int fd = atoi(argv[2]);
    unsigned number = (unsigned)strtoul(argv[3], NULL, 10);

    if (strcmp(argv[1], "serve-null") == 0)
        null_server(fd, number);
    if (strcmp(argv[1], "serve-forwarder") == 0)
        forwarder(fd, (uint16_t)number, argv[4][0]);
}
