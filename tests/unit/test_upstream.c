/* SPDX-License-Identifier: Apache-2.0 */
/* The broker connection against a scripted broker on the same event loop, and its decisions alone.
 */
#include "upstream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "unit.h"

#define GUARD_S 30 /* a test that hangs fails after this time */
#define SEEN_MAX 64
#define SCENES_MAX 8

/* What the broker does when CONNECT comes, one for each connection; the last one repeats. */
struct scene {
    const char *reply; /* octets in hex, "" for none */
    bool close;        /* after the reply */
};

struct seen {
    size_t len;
    uint8_t octets[64]; /* the first ones */
};

struct world {
    struct event_base *base;
    struct event *guard;
    bool late; /* the guard fired */

    /* the broker */
    struct evconnlistener *listener;
    struct bufferevent *peer; /* its latest connection */
    uint16_t port;
    struct scene scenes[SCENES_MAX];
    size_t scene_count;
    bool answer_ping;
    struct seen seen[SEEN_MAX]; /* packets it received, over all connections */
    size_t seen_count;
    size_t connections;
    uint64_t octets;

    /* the upstream and what it reported */
    struct upstream *upstream;
    struct upstream_options options;
    char url[64];
    const char *urls[2]; /* the last one is that of `listener` */
    bool clean_start;
    unsigned busy;    /* how often it says so */
    size_t asked_for; /* the broker of the last question about it */
    size_t connected, disconnected;
    struct upstream_session session;
    size_t packets;
    enum mqtt_type last_type;
    size_t last_payload;
    size_t echo; /* octets of a QoS 1 PUBLISH sent for each packet */
};

/*
 * The resolver stands outside of the program, so it is faked here: linking this file replaces the
 * library's. Numeric hosts are 127.0.0.1 only.
 */
static sem_t lookup_entered, lookup_may_go;
static unsigned attempts; /* numeric look-ups: one for each attempt to connect */

static struct addrinfo *
fake_address(const char *text, const char *port, struct addrinfo *next)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *entry = calloc(1, sizeof *entry);

    if (entry == NULL)
        abort();
    entry->address.sin_family = AF_INET;
    entry->address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    inet_pton(AF_INET, text, &entry->address.sin_addr);
    entry->info.ai_family = AF_INET;
    entry->info.ai_socktype = SOCK_STREAM;
    entry->info.ai_addr = (struct sockaddr *)&entry->address;
    entry->info.ai_addrlen = sizeof entry->address;
    entry->info.ai_next = next;
    return &entry->info;
}

int
getaddrinfo(const char *restrict node, const char *restrict service,
            const struct addrinfo *restrict hints, struct addrinfo **restrict addresses)
{
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        attempts++;
        if (strcmp(node, "127.0.0.1") != 0)
            return EAI_NONAME;
        *addresses = fake_address(node, service, NULL);
        return 0;
    }
    if (strcmp(node, "two.example") == 0) { /* nobody listens at the first address */
        *addresses = fake_address("127.0.0.2", service, fake_address("127.0.0.1", service, NULL));
        return 0;
    }
    if (strcmp(node, "slow.example") == 0) {
        sem_post(&lookup_entered);
        sem_wait(&lookup_may_go);
        *addresses = fake_address("127.0.0.1", service, NULL);
        return 0;
    }
    return EAI_NONAME;
}

void
freeaddrinfo(struct addrinfo *addresses)
{
    while (addresses != NULL) {
        struct addrinfo *next = addresses->ai_next;
        free(addresses);
        addresses = next;
    }
}

static void
write_hex(struct bufferevent *peer, const char *hex)
{
    for (size_t i = 0; i < (strlen(hex) + 1) / 3; i++) {
        uint8_t octet = (uint8_t)strtoul(hex + 3 * i, NULL, 16);
        bufferevent_write(peer, &octet, 1);
    }
}

static void
close_peer(struct world *world)
{
    if (world->peer != NULL)
        bufferevent_free(world->peer);
    world->peer = NULL;
}

static void
on_peer_written(struct bufferevent *peer, void *ctx)
{
    struct world *world = ctx;

    if (peer == world->peer)
        close_peer(world);
}

static void
play_scene(struct world *world)
{
    size_t number = world->connections - 1;
    if (number >= world->scene_count)
        number = world->scene_count - 1;
    const struct scene *scene = &world->scenes[number];

    write_hex(world->peer, scene->reply);
    if (!scene->close)
        return;
    if (scene->reply[0] == '\0')
        close_peer(world);
    else
        bufferevent_setcb(world->peer, NULL, on_peer_written, NULL, world);
}

/* Octets of the packet at the start, 0 if it is not complete. Never more than three of length. */
static size_t
packet_size(struct evbuffer *input)
{
    uint8_t head[4] = {0};
    size_t size = 0, at = 1;
    ev_ssize_t got = evbuffer_copyout(input, head, sizeof head);

    do
        size |= (size_t)(head[at] & 0x7f) << 7 * (at - 1);
    while ((head[at++] & 0x80) != 0 && at < sizeof head);
    size += at;
    return got >= 2 && evbuffer_get_length(input) >= size ? size : 0;
}

static void
on_peer_read(struct bufferevent *peer, void *ctx)
{
    struct world *world = ctx;
    struct evbuffer *input = bufferevent_get_input(peer);
    size_t size;

    while (world->peer == peer && (size = packet_size(input)) > 0) {
        struct seen *seen = &world->seen[world->seen_count % SEEN_MAX];
        seen->len = size;
        evbuffer_copyout(input, seen->octets, sizeof seen->octets);
        evbuffer_drain(input, size);
        world->seen_count++;
        world->octets += size;
        if (seen->octets[0] >> 4 == MQTT_CONNECT)
            play_scene(world);
        else if (seen->octets[0] >> 4 == MQTT_PINGREQ && world->answer_ping)
            write_hex(peer, "d0 00");
    }
}

static void
on_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
            void *ctx)
{
    struct world *world = ctx;

    (void)listener;
    (void)address;
    (void)len;
    close_peer(world);
    world->connections++;
    world->peer = bufferevent_socket_new(world->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(world->peer, on_peer_read, NULL, NULL, world);
    bufferevent_enable(world->peer, EV_READ | EV_WRITE);
}

/* Listens on world->port, or takes a free one if it is 0. */
static void
start_broker(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(world->port)};
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    world->listener = evconnlistener_new_bind(world->base, on_accepted, world,
                                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
                                              (struct sockaddr *)&address, sizeof address);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world->listener);
    getsockname(evconnlistener_get_fd(world->listener), (struct sockaddr *)&address, &len);
    world->port = ntohs(address.sin_port);
}

static bool
tell_clean_start(void *ctx, size_t broker)
{
    struct world *world = ctx;

    world->asked_for = broker;
    return world->clean_start;
}

static bool
tell_idle(void *ctx)
{
    struct world *world = ctx;

    return world->busy == 0 || --world->busy == 0;
}

static void
note_connected(void *ctx, const struct upstream_session *session)
{
    struct world *world = ctx;

    world->connected++;
    world->session = *session;
}

static void
note_disconnected(void *ctx)
{
    struct world *world = ctx;

    world->disconnected++;
    CU_ASSERT_EQUAL(world->disconnected, world->connected);
}

static void
note_packet(void *ctx, const struct mqtt_packet *packet)
{
    static uint8_t payload[70000];
    struct world *world = ctx;

    world->packets++;
    world->last_type = packet->type;
    world->last_payload = packet->payload.len;
    if (world->echo > 0) {
        struct mqtt_packet answer = {.type = MQTT_PUBLISH, .qos = 1, .packet_id = 1};
        answer.topic = dm_span_text("a");
        answer.payload = dm_span(payload, world->echo);
        CU_ASSERT_EQUAL(world->upstream->ops->send(world->upstream, &answer), DM_OK);
    }
}

static void
on_guard(evutil_socket_t fd, short what, void *ctx)
{
    struct world *world = ctx;

    (void)fd;
    (void)what;
    world->late = true;
}

static void
begin(struct world *world)
{
    struct timeval guard = {.tv_sec = GUARD_S};

    signal(SIGPIPE, SIG_IGN);
    *world = (struct world){.scene_count = 1};
    world->scenes[0].reply = "20 03 00 00 00";
    world->options = (struct upstream_options){
        .client_id = "gw1", .keepalive_s = 60, .receive_maximum = 1000, .maximum_packet = 200000};
    world->base = event_base_new();
    world->guard = evtimer_new(world->base, on_guard, world);
    evtimer_add(world->guard, &guard);
    attempts = 0;
    start_broker(world);
}

static void
open_upstream(struct world *world, const char *host)
{
    struct upstream_events events = {.ctx = world,
                                     .clean_start = tell_clean_start,
                                     .on_connected = note_connected,
                                     .on_disconnected = note_disconnected,
                                     .is_idle = tell_idle,
                                     .on_packet = note_packet};
    char error[100] = "";

    snprintf(world->url, sizeof world->url, "mqtt://%s:%u", host, world->port);
    world->urls[world->options.url_count++] = world->url;
    world->options.urls = world->urls;
    world->upstream = upstream_open(world->base, &world->options, &events, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world->upstream);
}

static void
close_upstream(struct world *world)
{
    size_t disconnected = world->disconnected;

    world->upstream->ops->free(world->upstream);
    world->upstream = NULL;
    CU_ASSERT_EQUAL(world->disconnected, disconnected);
}

static void
stop_broker(struct world *world)
{
    if (world->listener != NULL)
        evconnlistener_free(world->listener);
    world->listener = NULL;
}

static void
end(struct world *world)
{
    if (world->upstream != NULL)
        close_upstream(world);
    close_peer(world);
    stop_broker(world);
    event_free(world->guard);
    event_base_free(world->base);
}

static bool
run_until(struct world *world, bool (*reached)(const struct world *world))
{
    while (!reached(world) && !world->late)
        event_base_loop(world->base, EVLOOP_ONCE);
    CU_ASSERT_FALSE(world->late);
    return !world->late;
}

static bool
is_connected(const struct world *world)
{
    return world->connected > world->disconnected;
}

static bool
is_disconnected(const struct world *world)
{
    return world->disconnected > 0;
}

static bool
is_connected_again(const struct world *world)
{
    return world->connected == 2;
}

static const struct seen *
last_seen(const struct world *world)
{
    return &world->seen[(world->seen_count + SEEN_MAX - 1) % SEEN_MAX];
}

static bool
broker_saw(const struct world *world, enum mqtt_type type)
{
    return world->seen_count > 0 && last_seen(world)->octets[0] >> 4 == type;
}

static bool
broker_saw_connect(const struct world *world)
{
    return broker_saw(world, MQTT_CONNECT);
}

static bool
broker_saw_ping(const struct world *world)
{
    return broker_saw(world, MQTT_PINGREQ);
}

static bool
broker_saw_disconnect(const struct world *world)
{
    return broker_saw(world, MQTT_DISCONNECT);
}

static struct upstream_status
status_of(const struct world *world)
{
    struct upstream_status status;

    world->upstream->ops->status(world->upstream, &status);
    return status;
}

static bool
is_waiting_with_error(const struct world *world)
{
    struct upstream_status status = status_of(world);
    return status.state == UPSTREAM_WAITING && status.error[0] != '\0';
}

static bool
seen_is(const struct seen *seen, const char *hex)
{
    bool same = seen->len == (strlen(hex) + 1) / 3;

    for (size_t i = 0; same && i < seen->len && i < sizeof seen->octets; i++)
        same = seen->octets[i] == (uint8_t)strtoul(hex + 3 * i, NULL, 16);
    return same;
}

/* The first octets of an attempt tell its version: the protocol level is the seventh behind the
 * header. */
static uint8_t
level_of(const struct seen *seen)
{
    return seen->octets[8];
}

static void
open_with_bad_url_gives_the_reason(void)
{
    struct upstream_events events = {0};
    const char *url = "mqtts://";
    struct upstream_options options = {.urls = &url, .url_count = 1, .client_id = "gw1"};
    struct event_base *base = event_base_new();
    char error[100] = "";

    CU_ASSERT_PTR_NULL(upstream_open(base, &options, &events, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error,
                           "the broker's URL is not mqtt://host[:port], mqtts://host[:port] or "
                           "mqtt+unix:///path");
    event_base_free(base);
}

static void
connect_5_sends_its_options_and_reports_what_is_granted(void)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 0e 01 00 0b 21 00 0a 24 01 25 00 29 00 2a 00";
    world.options.username = "u";
    world.options.password = "pw";
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_TRUE(seen_is(&world.seen[0],
                           "10 24 00 04 4d 51 54 54 05 c0 00 3c 0d 11 ff ff ff ff 21 03 e8 27 00 "
                           "03 0d 40 00 03 67 77 31 00 01 75 00 02 70 77"));
    CU_ASSERT_EQUAL(world.session.version, MQTT_5);
    CU_ASSERT_TRUE(world.session.session_present);
    CU_ASSERT_EQUAL(world.session.send_maximum, 10);
    CU_ASSERT_EQUAL(world.session.maximum_qos, 1);
    CU_ASSERT_FALSE(world.session.retain_available);
    CU_ASSERT_FALSE(world.session.subscription_ids_available);
    struct upstream_status status = status_of(&world);
    CU_ASSERT_EQUAL(status.state, UPSTREAM_CONNECTED);
    CU_ASSERT_STRING_EQUAL(status.url, world.url);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    CU_ASSERT_EQUAL(status.connects, 1);
    CU_ASSERT_EQUAL(status.tx_packets, 1);
    CU_ASSERT_EQUAL(status.tx_octets, 38);
    CU_ASSERT_EQUAL(status.rx_packets, 1);
    CU_ASSERT_EQUAL(status.rx_octets, 16);
    end(&world);
}

static void
connect_311_by_option_speaks_311_and_assumes_twenty(void)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 02 00 00";
    world.options.version = MQTT_3_1_1;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_TRUE(seen_is(&world.seen[0], "10 0f 00 04 4d 51 54 54 04 00 00 3c 00 03 67 77 31"));
    CU_ASSERT_EQUAL(world.session.version, MQTT_3_1_1);
    CU_ASSERT_FALSE(world.session.session_present);
    CU_ASSERT_EQUAL(world.session.send_maximum, 20);
    CU_ASSERT_EQUAL(world.session.maximum_qos, 2);
    CU_ASSERT_TRUE(world.session.retain_available);
    CU_ASSERT_FALSE(world.session.subscription_ids_available);
    end(&world);
}

/* The scene is the answer to the CONNECT of MQTT 5; the 3.1.1 that follows is accepted. */
static void
check_fall_back(struct scene refusal)
{
    struct world world;

    begin(&world);
    world.scenes[0] = refusal;
    world.scenes[1].reply = "20 02 01 00";
    world.scene_count = 2;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(world.seen_count, 2);
    CU_ASSERT_EQUAL(level_of(&world.seen[0]), 5);
    CU_ASSERT_EQUAL(level_of(&world.seen[1]), 4);
    CU_ASSERT_EQUAL(world.session.version, MQTT_3_1_1);
    CU_ASSERT_TRUE(world.session.session_present);

    close_peer(&world); /* the version that worked is the one of the next connection */
    run_until(&world, is_connected_again);
    CU_ASSERT_EQUAL(world.seen_count, 3);
    CU_ASSERT_EQUAL(level_of(&world.seen[2]), 4);
    end(&world);
}

static void
connect_falls_back_when_5_is_refused_with_0x84(void)
{
    check_fall_back((struct scene){"20 03 00 84 00", true});
}

static void
connect_falls_back_when_5_is_refused_in_the_form_of_311(void)
{
    check_fall_back((struct scene){"20 02 00 01", true});
}

static void
connect_falls_back_when_5_is_answered_by_closing(void)
{
    check_fall_back((struct scene){"", true});
}

static void
connect_5_by_option_does_not_fall_back(void)
{
    struct world world;

    begin(&world);
    world.scenes[0] = (struct scene){"20 03 00 84 00", true};
    world.options.version = MQTT_5;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_waiting_with_error);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error,
                           "broker refused: 0x84 unsupported protocol version");
    CU_ASSERT_EQUAL(world.connections, 1);
    end(&world);
}

static void
connect_refused_gives_reason_and_the_broker_s_words_escaped(void)
{
    struct world world;

    begin(&world);
    world.scenes[0] = (struct scene){"20 09 00 87 06 1f 00 03 6e 6f 0a", true};
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_waiting_with_error);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error,
                           "broker refused: 0x87 not authorized (no\\x0a)");
    CU_ASSERT_EQUAL(world.connected + world.disconnected, 0);
    end(&world);
}

/* The octets break the protocol: we say so with `goodbye`, and connect again. */
static void
check_rejected(const char *connack, const char *more, const char *goodbye)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = connack;
    open_upstream(&world, "127.0.0.1");
    if (more != NULL) {
        run_until(&world, is_connected);
        write_hex(world.peer, more);
    }
    run_until(&world, broker_saw_disconnect);
    CU_ASSERT_TRUE(seen_is(last_seen(&world), goodbye));
    CU_ASSERT_EQUAL(world.disconnected, world.connected);
    CU_ASSERT_EQUAL(world.packets, 0);
    CU_ASSERT_EQUAL(status_of(&world).state, UPSTREAM_WAITING);
    world.scenes[0].reply = "20 03 00 00 00";
    run_until(&world, is_connected);
    end(&world);
}

static void
connected_malformed_packet_is_answered_with_0x81_and_reconnect(void)
{
    check_rejected("20 03 00 00 00", "40 02 00 00", "e0 01 81");
}

static void
connected_packet_longer_than_maximum_is_answered_with_0x95(void)
{
    check_rejected("20 03 00 00 00", "30 bf 9a 0c", "e0 01 95");
}

static void
connected_second_connack_is_answered_with_0x82(void)
{
    check_rejected("20 03 00 00 00", "20 03 00 00 00", "e0 01 82");
}

static void
greeting_malformed_connack_is_answered_with_0x81(void)
{
    check_rejected("20 03 00 01 00", NULL, "e0 01 81");
}

static void
greeting_other_packet_before_connack_is_answered_with_0x82(void)
{
    check_rejected("d0 00", NULL, "e0 01 82");
}

static void
publish_to(struct world *world, const char *topic)
{
    CU_ASSERT_EQUAL(world->upstream->ops->send(world->upstream,
                                               &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                                     .topic = dm_span_text(topic),
                                                                     .payload = dm_span_text("x")}),
                    DM_OK);
}

static bool
broker_saw_four(const struct world *world)
{
    return world->seen_count == 4; /* CONNECT, and three messages */
}

/* Also that another connection begins without any. */
static void
connected_topic_is_sent_once_if_the_broker_takes_aliases(void)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 06 00 00 03 22 00 01";
    open_upstream(&world, "127.0.0.1");
    for (int connection = 0; connection < 2; connection++) {
        run_until(&world, is_connected);
        publish_to(&world, "topic");
        publish_to(&world, "other"); /* there is but one alias, and it is taken */
        publish_to(&world, "topic");
        run_until(&world, broker_saw_four);
        CU_ASSERT_TRUE(seen_is(&world.seen[1], "30 0c 00 05 74 6f 70 69 63 03 23 00 01 78"));
        CU_ASSERT_TRUE(seen_is(&world.seen[2], "30 09 00 05 6f 74 68 65 72 00 78"));
        CU_ASSERT_TRUE(seen_is(&world.seen[3], "30 07 00 00 03 23 00 01 78"));
        world.seen_count = 0;
        close_peer(&world);
        world.disconnected = 0;
        run_until(&world, is_disconnected);
        world.connected = world.disconnected = 0;
    }
    end(&world);
}

static void
connected_broker_that_refuses_its_aliases_gets_none(void)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 06 00 00 03 22 00 01";
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    write_hex(world.peer, "e0 02 94 00");
    run_until(&world, is_disconnected);
    world.seen_count = 0;
    run_until(&world, is_connected_again);
    for (int i = 0; i < 3; i++)
        publish_to(&world, "topic");
    run_until(&world, broker_saw_four);
    for (int i = 1; i < 4; i++)
        CU_ASSERT_TRUE(seen_is(&world.seen[i], "30 09 00 05 74 6f 70 69 63 00 78"));
    end(&world);
}

/* A session begun with Clean Start 1 would not last: that connection only wipes. */
static void
connect_clean_wipes_and_then_connects_to_stay(void)
{
    struct world world;

    begin(&world);
    world.clean_start = true;
    world.options.version = MQTT_3_1_1;
    world.scenes[0].reply = "20 02 00 00";
    world.scenes[1].reply = "20 02 00 00";
    world.scene_count = 2;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_TRUE(seen_is(&world.seen[0], "10 0f 00 04 4d 51 54 54 04 02 00 3c 00 03 67 77 31"));
    CU_ASSERT_TRUE(seen_is(&world.seen[1], "e0 00"));
    CU_ASSERT_TRUE(seen_is(&world.seen[2], "10 0f 00 04 4d 51 54 54 04 00 00 3c 00 03 67 77 31"));
    CU_ASSERT_EQUAL(world.connected, 1);
    CU_ASSERT_EQUAL(status_of(&world).connects, 1);
    end(&world);
}

static void
connect_clean_with_session_present_is_rejected(void)
{
    struct world world;

    begin(&world);
    world.clean_start = true;
    world.scenes[0].reply = "20 03 01 00 00";
    open_upstream(&world, "127.0.0.1");
    run_until(&world, broker_saw_disconnect);
    CU_ASSERT_TRUE(seen_is(last_seen(&world), "e0 01 82"));
    CU_ASSERT_EQUAL(world.connected, 0);

    world.clean_start = false; /* it is asked again at the next attempt */
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(last_seen(&world)->octets[9], 0);
    end(&world);
}

static void
connected_server_disconnect_is_reported_by_name(void)
{
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    write_hex(world.peer, "40 02 00 07 e0 01 8e 40 02 00 08");
    run_until(&world, is_disconnected);
    CU_ASSERT_EQUAL(world.packets, 1);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error,
                           "broker sent DISCONNECT: 0x8e session taken over");
    run_until(&world, is_connected_again);
    CU_ASSERT_EQUAL(level_of(last_seen(&world)), 5);
    end(&world);
}

static void
connected_proven_5_is_kept_when_the_broker_closes_silently(void)
{
    struct world world;

    begin(&world);
    world.scenes[1] = (struct scene){"", true};
    world.scenes[2].reply = "20 03 01 00 00";
    world.scene_count = 3;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    close_peer(&world);
    run_until(&world, is_connected_again);
    CU_ASSERT_EQUAL(world.connections, 3);
    CU_ASSERT_EQUAL(level_of(&world.seen[1]), 5);
    CU_ASSERT_EQUAL(level_of(&world.seen[2]), 5);
    end(&world);
}

static void
connected_large_packet_and_its_neighbours_are_delivered(void)
{
    static uint8_t payload[99997];
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    write_hex(world.peer, "40 02 00 07 30 a1 8d 06 00 01 61 00");
    bufferevent_write(world.peer, payload, sizeof payload);
    while (world.packets < 2 && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.last_type, MQTT_PUBLISH);
    CU_ASSERT_EQUAL(world.last_payload, sizeof payload);
    write_hex(world.peer, "62 02 00 09");
    while (world.packets < 3 && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.last_type, MQTT_PUBREL);
    CU_ASSERT_FALSE(world.late);
    end(&world);
}

static void
send_is_refused_unless_connected_and_within_limits(void)
{
    static uint8_t payload[200];
    struct mqtt_packet ack = {.type = MQTT_PUBACK, .packet_id = 7};
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .topic = dm_span_text("a")};
    struct mqtt_packet own = {.type = MQTT_CONNECT};
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 08 00 00 05 27 00 00 00 64";
    open_upstream(&world, "127.0.0.1");
    const struct upstream_ops *ops = world.upstream->ops;
    CU_ASSERT_EQUAL(ops->send(world.upstream, &ack), DM_IO);
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(ops->send(world.upstream, &own), DM_INVALID);
    publish.payload = dm_span(payload, 94);
    CU_ASSERT_EQUAL(ops->send(world.upstream, &publish), DM_OK);
    publish.payload = dm_span(payload, 95);
    CU_ASSERT_EQUAL(ops->send(world.upstream, &publish), DM_INVALID);
    CU_ASSERT_EQUAL(ops->send(world.upstream, &ack), DM_OK);
    while (world.seen_count < 3 && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.seen[1].len, 100);
    CU_ASSERT_TRUE(seen_is(&world.seen[2], "40 02 00 07"));
    end(&world);
}

static void
send_qos_0_is_refused_while_a_mebibyte_waits(void)
{
    static uint8_t payload[60000];
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .topic = dm_span_text("a")};
    struct world world;
    unsigned count = 0;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    publish.payload = dm_span(payload, sizeof payload);
    while (count < 100 && world.upstream->ops->send(world.upstream, &publish) == DM_OK)
        count++;
    CU_ASSERT_EQUAL(count, 18);
    publish.qos = 1;
    publish.packet_id = 1;
    CU_ASSERT_EQUAL(world.upstream->ops->send(world.upstream, &publish), DM_OK);
    while (world.seen_count < 20 && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    publish.qos = 0;
    CU_ASSERT_EQUAL(world.upstream->ops->send(world.upstream, &publish), DM_OK);
    end(&world);
}

static void
broker_that_does_not_read_is_not_read_either(void)
{
    static uint8_t payload[4093];
    static const unsigned total = 400;
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    world.echo = 60000;
    bufferevent_disable(world.peer, EV_READ);
    for (unsigned i = 0; i < total; i++) {
        write_hex(world.peer, "30 81 20 00 01 61 00");
        bufferevent_write(world.peer, payload, sizeof payload);
    }
    size_t packets = 0;
    for (unsigned idle = 0; idle < 100 && !world.late; idle++) {
        event_base_loop(world.base, EVLOOP_NONBLOCK);
        if (world.packets != packets)
            idle = 0;
        packets = world.packets;
    }
    CU_ASSERT_TRUE(packets > 0 && packets < total);
    bufferevent_enable(world.peer, EV_READ);
    while (world.octets < total * world.echo && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.packets, total);
    CU_ASSERT_FALSE(world.late);
    end(&world);
}

static void
keepalive_of_the_server_is_honoured_and_its_answer_seen(void) /* R79 */
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "20 06 00 00 03 13 00 01";
    world.answer_ping = true;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    while (world.seen_count < 3 && !world.late) /* CONNECT and two PINGREQ */
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_TRUE(broker_saw_ping(&world));
    CU_ASSERT_EQUAL(world.packets, 0);
    CU_ASSERT_EQUAL(world.disconnected, 0);
    end(&world);
}

static void
keepalive_without_answer_ends_the_connection(void)
{
    struct world world;

    begin(&world);
    world.options.keepalive_s = 1;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, broker_saw_ping);
    CU_ASSERT_EQUAL(world.disconnected, 0);
    run_until(&world, is_disconnected);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error, "no answer to PINGREQ within 5 s");
    run_until(&world, is_connected_again);
    end(&world);
}

/* Lines of the log that contain `text`, while stderr goes to the file `fd`. */
static unsigned
count_lines(int fd, const char *text)
{
    char log[4096];
    unsigned count = 0;
    ssize_t len = pread(fd, log, sizeof log - 1, 0);

    log[len > 0 ? len : 0] = '\0';
    for (const char *at = strstr(log, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

static bool
has_tried_three_times(const struct world *world)
{
    return attempts == 3 && is_waiting_with_error(world);
}

static void
refused_port_is_retried_until_it_opens_and_logged_once(void)
{
    struct world world;
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);

    begin(&world);
    stop_broker(&world);
    dup2(fileno(log), STDERR_FILENO);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, has_tried_three_times);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error, "cannot connect: Connection refused");
    start_broker(&world);
    run_until(&world, is_connected);
    dup2(before, STDERR_FILENO);
    CU_ASSERT_EQUAL(count_lines(fileno(log), "Connection refused"), 1);
    CU_ASSERT_EQUAL(count_lines(fileno(log), "connected with MQTT 5, session new"), 1);
    CU_ASSERT_EQUAL(status_of(&world).connects, 1);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error, "");
    end(&world);
    close(before);
    fclose(log);
}

static void
every_address_of_a_name_is_tried(void)
{
    struct world world;

    begin(&world);
    open_upstream(&world, "two.example");
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(world.connections, 1);
    CU_ASSERT_EQUAL(attempts, 1);
    end(&world);
}

static void
unknown_name_is_reported_and_retried(void)
{
    struct world world;

    begin(&world);
    open_upstream(&world, "missing.example");
    run_until(&world, has_tried_three_times);
    CU_ASSERT_STRING_EQUAL(status_of(&world).error,
                           "cannot find the host: Name or service not known");
    end(&world);
}

/* Runs until the thread is inside the slow look-up. */
static void
start_slow_lookup(struct world *world)
{
    sem_init(&lookup_entered, 0, 0);
    sem_init(&lookup_may_go, 0, 0);
    begin(world);
    open_upstream(world, "slow.example");
    while (status_of(world).state != UPSTREAM_CONNECTING && !world->late)
        event_base_loop(world->base, EVLOOP_ONCE);
    sem_wait(&lookup_entered);
}

static void
slow_name_does_not_stop_the_loop(void)
{
    struct world world;

    start_slow_lookup(&world);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(status_of(&world).state, UPSTREAM_CONNECTING);
    sem_post(&lookup_may_go);
    run_until(&world, is_connected);
    end(&world);
}

static void
free_while_resolving_leaves_the_thread_alone(void)
{
    struct world world;

    start_slow_lookup(&world);
    close_upstream(&world);
    end(&world);
    sem_post(&lookup_may_go); /* only now the thread returns, to nobody */
}

/* Another broker on the same loop, first among the URLs, that does not listen yet. */
static void
prepare_first(struct world *first, struct world *world)
{
    *first = (struct world){.base = world->base, .scene_count = 1};
    first->scenes[0].reply = "20 03 00 00 00";
    start_broker(first);
    stop_broker(first);
    snprintf(first->url, sizeof first->url, "mqtt://127.0.0.1:%u", first->port);
    world->urls[0] = first->url;
    world->options.url_count = 1;
}

static void
second_broker_is_connected_while_the_first_is_away_and_left_when_it_is_back(void)
{
    struct world world, first;

    begin(&world);
    prepare_first(&first, &world);
    world.options.return_ms = 20;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(world.session.broker, 1);
    CU_ASSERT_EQUAL(world.asked_for, 1);
    CU_ASSERT_STRING_EQUAL(status_of(&world).url, world.url);
    CU_ASSERT_STRING_EQUAL(status_of(&world).urls[0].error, "cannot connect: Connection refused");
    attempts = 0;
    while (attempts < 2 && !world.late) /* it looks, and stays */
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.disconnected, 0);
    world.busy = 3;
    start_broker(&first);
    run_until(&world, is_connected_again);
    CU_ASSERT_EQUAL(world.busy, 0);
    CU_ASSERT_EQUAL(first.connections, 4); /* three looks, and the one that stays */
    CU_ASSERT_TRUE(seen_is(last_seen(&world), "e0 00"));
    CU_ASSERT_EQUAL(world.disconnected, 1);
    CU_ASSERT_EQUAL(world.session.broker, 0);
    CU_ASSERT_STRING_EQUAL(status_of(&world).urls[0].error, "");
    close_upstream(&world);
    close_peer(&first);
    stop_broker(&first);
    end(&world);
}

static void
second_broker_is_not_left_without_being_told_to_and_a_round_begins_with_the_first(void)
{
    struct world world, first;

    begin(&world);
    prepare_first(&first, &world);
    world.options.return_ms = UPSTREAM_NEVER;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    start_broker(&first);
    attempts = 0;
    close_peer(&world); /* so soon that it does not count as a success: the round goes on */
    run_until(&world, is_connected_again);
    CU_ASSERT_EQUAL(world.session.broker, 0);
    CU_ASSERT_EQUAL(attempts, 1);
    close_upstream(&world);
    close_peer(&first);
    stop_broker(&first);
    end(&world);
}

static void
connected_topic_alias_is_answered_with_0x94(void)
{
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    write_hex(world.peer, "30 07 00 01 61 03 23 00 01");
    run_until(&world, broker_saw_disconnect);
    CU_ASSERT_TRUE(seen_is(last_seen(&world), "e0 01 94"));
    end(&world);
}

/* Mosquitto 2.0 does so, and would do it again after every reconnect. */
static void
connected_message_beyond_our_receive_maximum_is_taken(void)
{
    struct world world;

    begin(&world);
    world.options.receive_maximum = 2;
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    write_hex(world.peer,
              "32 06 00 01 61 00 01 00 32 06 00 01 61 00 02 00 32 06 00 01 61 00 03 00");
    while (world.packets < 3 && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(world.packets, 3);
    CU_ASSERT_EQUAL(world.disconnected, 0);
    end(&world);
}

static void
free_before_the_loop_runs(void)
{
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    end(&world);
}

static void
free_while_dialing(void)
{
    struct world world;

    begin(&world);
    stop_broker(&world);
    open_upstream(&world, "two.example");
    while (status_of(&world).state != UPSTREAM_CONNECTING && !world.late)
        event_base_loop(world.base, EVLOOP_ONCE);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    end(&world);
    CU_ASSERT_EQUAL(world.connected + world.disconnected, 0);
}

static void
free_while_greeting(void)
{
    struct world world;

    begin(&world);
    world.scenes[0].reply = "";
    open_upstream(&world, "127.0.0.1");
    run_until(&world, broker_saw_connect);
    CU_ASSERT_EQUAL(status_of(&world).state, UPSTREAM_CONNECTING);
    end(&world);
    CU_ASSERT_EQUAL(world.connected + world.disconnected, 0);
}

static void
free_while_waiting(void)
{
    struct world world;

    begin(&world);
    stop_broker(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_waiting_with_error);
    end(&world);
}

static void
free_while_connected_writes_what_waits_and_disconnect(void)
{
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .topic = dm_span_text("a")};
    struct world world;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    CU_ASSERT_EQUAL(world.upstream->ops->send(world.upstream, &publish), DM_OK);
    close_upstream(&world);
    run_until(&world, broker_saw_disconnect);
    CU_ASSERT_TRUE(seen_is(last_seen(&world), "e0 00"));
    CU_ASSERT_EQUAL(world.seen_count, 3);
    end(&world);
}

static void
free_does_not_wait_long_for_a_broker_that_does_not_read(void)
{
    static uint8_t payload[60000];
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .qos = 1, .packet_id = 1};
    struct world world;
    struct timeval before, after;

    begin(&world);
    open_upstream(&world, "127.0.0.1");
    run_until(&world, is_connected);
    publish.topic = dm_span_text("a");
    publish.payload = dm_span(payload, sizeof payload);
    for (unsigned i = 0; i < 400; i++) /* more than the kernel keeps for a reader that is away */
        CU_ASSERT_EQUAL(world.upstream->ops->send(world.upstream, &publish), DM_OK);
    evutil_gettimeofday(&before, NULL);
    close_upstream(&world);
    evutil_gettimeofday(&after, NULL);
    CU_ASSERT_TRUE(after.tv_sec - before.tv_sec <= 3);
    end(&world);
}

static const struct unit_test tests[] = {
    UNIT_TEST(open_with_bad_url_gives_the_reason),
    UNIT_TEST(connect_5_sends_its_options_and_reports_what_is_granted),
    UNIT_TEST(connect_311_by_option_speaks_311_and_assumes_twenty),
    UNIT_TEST(connect_falls_back_when_5_is_refused_with_0x84),
    UNIT_TEST(connect_falls_back_when_5_is_refused_in_the_form_of_311),
    UNIT_TEST(connect_falls_back_when_5_is_answered_by_closing),
    UNIT_TEST(connect_5_by_option_does_not_fall_back),
    UNIT_TEST(connect_refused_gives_reason_and_the_broker_s_words_escaped),
    UNIT_TEST(connect_clean_wipes_and_then_connects_to_stay),
    UNIT_TEST(connect_clean_with_session_present_is_rejected),
    UNIT_TEST(greeting_malformed_connack_is_answered_with_0x81),
    UNIT_TEST(greeting_other_packet_before_connack_is_answered_with_0x82),
    UNIT_TEST(connected_malformed_packet_is_answered_with_0x81_and_reconnect),
    UNIT_TEST(connected_packet_longer_than_maximum_is_answered_with_0x95),
    UNIT_TEST(connected_second_connack_is_answered_with_0x82),
    UNIT_TEST(connected_topic_is_sent_once_if_the_broker_takes_aliases),
    UNIT_TEST(connected_broker_that_refuses_its_aliases_gets_none),
    UNIT_TEST(connected_server_disconnect_is_reported_by_name),
    UNIT_TEST(connected_proven_5_is_kept_when_the_broker_closes_silently),
    UNIT_TEST(connected_large_packet_and_its_neighbours_are_delivered),
    UNIT_TEST(send_is_refused_unless_connected_and_within_limits),
    UNIT_TEST(send_qos_0_is_refused_while_a_mebibyte_waits),
    UNIT_TEST(broker_that_does_not_read_is_not_read_either),
    UNIT_TEST(keepalive_of_the_server_is_honoured_and_its_answer_seen),
    UNIT_TEST(keepalive_without_answer_ends_the_connection),
    UNIT_TEST(refused_port_is_retried_until_it_opens_and_logged_once),
    UNIT_TEST(every_address_of_a_name_is_tried),
    UNIT_TEST(unknown_name_is_reported_and_retried),
    UNIT_TEST(slow_name_does_not_stop_the_loop),
    UNIT_TEST(free_while_resolving_leaves_the_thread_alone),
    UNIT_TEST(second_broker_is_connected_while_the_first_is_away_and_left_when_it_is_back),
    UNIT_TEST(second_broker_is_not_left_without_being_told_to_and_a_round_begins_with_the_first),
    UNIT_TEST(connected_topic_alias_is_answered_with_0x94),
    UNIT_TEST(connected_message_beyond_our_receive_maximum_is_taken),
    UNIT_TEST(free_before_the_loop_runs),
    UNIT_TEST(free_while_dialing),
    UNIT_TEST(free_while_greeting),
    UNIT_TEST(free_while_waiting),
    UNIT_TEST(free_while_connected_writes_what_waits_and_disconnect),
    UNIT_TEST(free_does_not_wait_long_for_a_broker_that_does_not_read),
};

UNIT_MAIN("upstream", tests)
