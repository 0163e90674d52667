/* SPDX-License-Identifier: Apache-2.0 */
/* The options of dormouse pub and sub. Letters are those of mosquitto_pub and mosquitto_sub. */
#include "options_table.h"

#include "options.h"

#define AT(field) .offset = offsetof(struct options, field)
#define PUB .commands = OPTIONS_FOR_PUB
#define SUB .commands = OPTIONS_FOR_SUB
#define BOTH .commands = (OPTIONS_FOR_PUB | OPTIONS_FOR_SUB)
#define SECONDS(low, high)                                                                         \
    .kind = OPTION_SECONDS, .min = (low), .max = (high), .argument = "SECONDS"
#define NUMBER(low, high) .kind = OPTION_NUMBER, .min = (low), .max = (high)

const struct option_spec option_specs[] = {
    {"host", 'h', BOTH, .kind = OPTION_TEXT, AT(host), .argument = "HOST",
     .help = "gateway to speak to (default: localhost)"},
    {"port", 'p', BOTH, NUMBER(1, 65535), AT(port), .argument = "PORT",
     .help = "its UDP port (default: 1883)"},
    {"bind", 0, BOTH, .kind = OPTION_TEXT, AT(bind), .argument = "ADDRESS:PORT",
     .help = "local UDP address, so that several runs are\none peer"},
    {"serial", 0, BOTH, .kind = OPTION_TEXT, AT(serial), .argument = "DEVICE",
     .help = "speak over this serial port instead of UDP"},
    {"baud", 0, BOTH, NUMBER(50, 4000000), AT(baud), .argument = "NUMBER",
     .help = "speed of the serial port (default: 115200)"},
    {"framing", 0, BOTH, .kind = OPTION_FRAMING, .argument = "NAME",
     .help = "framing on the serial port: raw or slip\n(default: raw)"},
    {"node-id", 0, BOTH, .kind = OPTION_NODE_ID, .argument = "HEX",
     .help = "speak encapsulated (0xFE), as a device with\nthis node id behind a forwarder"},
    {"client-id", 'i', BOTH, .kind = OPTION_CLIENT_ID, .argument = "ID",
     .help = "client id (default: dormouse-COMMAND-PID)"},
    {"id", 0, BOTH, .kind = OPTION_CLIENT_ID, .argument = "ID"},
    {"persistent", 'c', BOTH, .kind = OPTION_FALSE, AT(clean_session),
     .help = "keep the session in the gateway (needs -i)"},
    {"disable-clean-session", 0, BOTH, .kind = OPTION_FALSE, AT(clean_session)},
    {"clean", 0, BOTH, .kind = OPTION_TRUE, AT(clean_session),
     .help = "begin with a fresh session (the default)"},
    {"keepalive", 'k', BOTH, NUMBER(0, 65535), AT(keepalive_s), .argument = "SECONDS",
     .help = "keep alive; 0 = no pings (default: 60)"},
    {"retry", 0, BOTH, SECONDS(10, 3600000), AT(retry_ms),
     .help = "repeat a request after this (default: 10)"},
    {"retries", 0, BOTH, NUMBER(1, 100), AT(retry_count), .argument = "NUMBER",
     .help = "so many times (default: 3)"},
    {"no-disconnect", 0, BOTH, .kind = OPTION_FALSE, AT(disconnect),
     .help = "leave without DISCONNECT, as a device that\nlost power"},
    {"no-connect", 0, SUB, .kind = OPTION_FALSE, AT(connect),
     .help = "with --sleep: the session is asleep already,\nbegin with PINGREQ (needs -i)"},
    {"connect", 0, SUB, .kind = OPTION_TRUE, AT(connect),
     .help = "begin with CONNECT (the default)"},
    {"topic", 't', PUB, .kind = OPTION_TOPIC, .value = MQTTSN_TOPIC_NORMAL, .argument = "NAME",
     .help = "topic name to send to"},
    {"topic", 't', SUB, .kind = OPTION_TOPIC, .value = MQTTSN_TOPIC_NORMAL, .argument = "FILTER",
     .help = "topic name or filter to subscribe to; several\n-t, -T and --short are possible"},
    {"topic-id", 'T', BOTH, .kind = OPTION_TOPIC, .value = MQTTSN_TOPIC_PREDEFINED,
     .argument = "NUMBER", .help = "pre-defined topic id"},
    {"short", 0, BOTH, .kind = OPTION_TOPIC, .value = MQTTSN_TOPIC_SHORT, .argument = "XX",
     .help = "short topic name of two characters"},
    {"qos", 'q', PUB, .kind = OPTION_QOS, .argument = "QOS",
     .help = "-1, 0 or 1 (default: 0); -1 sends without a\nconnection, to -T or --short"},
    {"qos", 'q', SUB, .kind = OPTION_QOS, .argument = "QOS",
     .help = "0 or 1, for every subscription (default: 0)"},
    {"message", 'm', PUB, .kind = OPTION_SOURCE, .value = OPTIONS_SOURCE_TEXT, .argument = "TEXT",
     .help = "the message"},
    {"file", 'f', PUB, .kind = OPTION_SOURCE, .value = OPTIONS_SOURCE_FILE, .argument = "FILE",
     .help = "the content of FILE is the message"},
    {"stdin-line", 'l', PUB, .kind = OPTION_SOURCE, .value = OPTIONS_SOURCE_LINES,
     .help = "each line of standard input is a message"},
    {"null-message", 'n', PUB, .kind = OPTION_SOURCE, .value = OPTIONS_SOURCE_NULL,
     .help = "an empty message"},
    {"stdin-file", 's', PUB, .kind = OPTION_SOURCE, .value = OPTIONS_SOURCE_STDIN,
     .help = "all of standard input is the message"},
    {"retain", 'r', PUB, .kind = OPTION_TRUE, AT(retain), .help = "the broker retains the message"},
    {"sleep", 0, SUB, NUMBER(1, 65535), AT(sleep_s), .argument = "SECONDS",
     .help =
         "after subscribing go to sleep for SECONDS, and\nwake each 0.8 x SECONDS for what waits"},
    {"wakes", 0, SUB, NUMBER(0, UINT32_MAX - 1), AT(wakes), .argument = "NUMBER",
     .help = "exit after so many wake cycles; 0 = as soon\nas it is asleep"},
    {"count", 'C', SUB, NUMBER(1, UINT32_MAX), AT(count), .argument = "NUMBER",
     .help = "exit after so many messages"},
    {"timeout", 'W', BOTH, SECONDS(1, 86400000), AT(timeout_ms),
     .help = "exit with status 27 after SECONDS"},
    {"no-newline", 'N', SUB, .kind = OPTION_FALSE, AT(newline),
     .help = "print no line end after a message"},
    {"verbose", 'v', SUB, .kind = OPTION_TRUE, AT(verbose),
     .help = "print the topic before the message"},
    {"ready", 0, SUB, .kind = OPTION_TRUE, AT(ready),
     .help = "print 'connected', 'subscribed', 'asleep' on\nstandard error when it is so"},
    {"debug", 'd', BOTH, .kind = OPTION_TRUE, AT(debug),
     .help = "print every packet on standard error"},
    {"quiet", 0, BOTH, .kind = OPTION_TRUE, AT(quiet), .help = "print no errors and notices"},
    {"help", 0, BOTH, .kind = OPTION_TRUE, AT(help), .help = "print this help"},
};

const size_t option_spec_count = sizeof option_specs / sizeof option_specs[0];
