/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: one table of keys, and the struct it fills. */
#ifndef DORMOUSE_CONFIG_H
#define DORMOUSE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <dormouse/result.h>

#define CONFIG_NEVER UINT64_MAX      /* the duration "never" */
#define CONFIG_NO_GATEWAY UINT16_MAX /* no GwId */
#define CONFIG_RULES_MAX 64          /* as of every key that repeats */

struct config_topic { /* a pre-defined topic id */
    uint16_t id;
    char *name;
};

struct config_topics {
    struct config_topic *items;
    size_t count;
};

struct config_strings {
    char **items;
    size_t count;
};

enum config_link_kind { CONFIG_UDP, CONFIG_SERIAL };

/* A [udp NAME] or [serial NAME] section, in the order of the file. */
struct config_link {
    enum config_link_kind kind;
    char *name;
    uint16_t mtu;
    struct config_topics topics;
    char *qos_minus_one; /* "no", "yes", "names" */
    /* udp */
    struct config_strings listen;
    struct config_strings multicast;
    char *interface; /* of the multicast groups; NULL if not set */
    uint8_t multicast_ttl;
    struct config_strings forwarders;
    /* serial */
    bool advertise;
    char *device;
    char *framing;
    char *encapsulation; /* "auto", "off", "always" */
    char *flow;          /* "none", "rtscts", "xonxoff" */
    uint32_t baud;
    uint64_t frame_gap_ms;
    char *tx_device; /* NULL if not set */
    char *mode;      /* "8N1" */
    uint64_t tx_gap_ms, turnaround_ms, open_delay_ms;
    uint64_t ack_timeout_ms; /* 0: the framing's own */
    uint32_t tx_rate;        /* octets in a second; 0: no limit */
    double duty_cycle;       /* per cent */
    uint32_t air_rate;       /* bit/s; 0: not set */
    uint16_t tx_queue, max_nodes;
    char *rs485;     /* "off", "kernel", "auto-direction" */
    char *echo;      /* "none", "discard" */
    char *dtr, *rts; /* "leave", "on", "off" */
    bool low_latency;
    char *tx_prefix; /* hex digits, perhaps with spaces; NULL if not set */
    uint8_t rx_trailer;
    uint8_t address, pan;
    char *key;         /* 32 hex digits; NULL if not set */
    uint64_t pause_ms; /* or CONFIG_NEVER */
};

/* The keys of [sessions] that [client PATTERN] knows too. */
struct config_settings {
    uint32_t queue_messages;
    uint64_t queue_bytes;
    char *overflow;   /* "drop_oldest", "drop_newest", "latest" */
    char *queue_qos0; /* "never", "asleep", "always" */
    uint64_t max_age_ms;
    uint64_t expiry_ms;
    char *uplink_ack; /* "broker", "store" */
    uint64_t store_after_ms;
    uint64_t retry_ms;
    uint32_t retry_count;
    double tolerance;
    bool resume_ignores_clean;
    uint64_t awake_max_ms;
    char *upstream; /* "shared", "own" */
    char *hold;     /* "broker", "gateway" */
    char *will;     /* "gateway", "broker" */
};

/* A [client PATTERN] section, in the order of the file. */
struct config_client {
    struct config_settings settings; /* those of [sessions] where the section has none */
    uint32_t own_settings;           /* a bit for each it has, in the order of config_keys */
    char *pattern;
    bool uses_client_id; /* "%c", the client id, stands in one of its texts */
    struct config_topics topics;
    struct config_strings publish, subscribe; /* topic filters; empty: everything is allowed */
    struct config_strings links;              /* names; empty: any */
    char *topic_prefix;                       /* NULL if not set */
    char *address;                            /* "udp:lan:10.0.0.7:1883"; NULL: any */
    char *username, *password; /* NULL if not set; then those of the broker count */
};

struct config {
    struct config_settings settings; /* first, as in struct config_client */
    /* [gateway] */
    uint8_t gateway_id;
    uint16_t standby_for; /* GwId, 0 .. 255, or CONFIG_NO_GATEWAY */
    uint64_t advertise_ms;
    char *name; /* never NULL: host name if not set */
    char *state_dir;
    char *log_level;
    /* [broker] */
    struct config_strings urls; /* never empty */
    uint64_t return_ms;         /* to the first of them, or CONFIG_NEVER */
    char *version;   /* "auto", "5", "3.1.1" */
    char *client_id; /* never NULL */
    char *username;  /* NULL if not set */
    char *password;  /* NULL if not set; also from password_file */
    char *ca_file, *cert_file, *key_file; /* NULL if not set */
    uint64_t keepalive_ms;
    uint16_t receive_maximum;
    char *topic_prefix; /* never NULL */
    /* [sessions] */
    uint32_t max_clients;
    uint32_t own_max;
    uint8_t client_id_max; /* octets */
    char *unknown_clients; /* "accept", "reject" */
    uint64_t total_bytes;
    uint64_t spool_bytes;
    /* [store] */
    bool sync_full;
    uint64_t commit_interval_ms;
    /* [control] */
    char *control_socket;
    char *http;       /* "127.0.0.1:8183"; empty: off */
    char *http_token; /* NULL if not set; what token_file holds */
    char *status_topics; /* never NULL: dormouse/NAME if not set; empty: none */
    uint64_t status_interval_ms;
    char *home_assistant; /* discovery prefix; empty: off */

    struct config_topics topics; /* [topics] */
    struct config_strings rules; /* [map] */
    struct config_link *links;
    size_t link_count;
    struct config_client *clients;
    size_t client_count;
};

/* `warning` false: an error. Text is "file:line: [section] key: reason" without a newline; what is
 * about a line or a file as a whole has no key or no line. Borrowed during the call. */
typedef void config_report(void *ctx, bool warning, const char *text);

/*
 * Reads `path` and conf.d/NAME.ini beside it, in order of name. Every error and warning goes to
 * `report`, then the result is DM_OK (perhaps with warnings) or DM_INVALID (at least one error;
 * *config is NULL). DM_IO: a file cannot be read, DM_NO_MEMORY (both reported too). Release with
 * config_free.
 */
enum dm_result config_load(const char *path, config_report *report, void *ctx,
                           struct config **config);
void config_free(struct config *config);

/* Writes a commented example file with every key, its default, unit, range and meaning. */
void config_print_example(FILE *out);

#endif
