/* SPDX-License-Identifier: Apache-2.0 */
/* The table of every configuration key (design.md section 9, spec/serial.md). */
#include "config_keys.h"

#include <stdio.h>
#include <string.h>

#include <dormouse/framing.h>
#include <dormouse/log.h>

#include "config.h"
#include "config_values.h"

#define MEMBER(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define GLOBAL(field) MEMBER(struct config, field)
#define LINK(field) MEMBER(struct config_link, field)
#define CLIENT(field) MEMBER(struct config_client, field)
#define MISSING .availability = CONFIG_MISSING
#define PROTECTS .availability = CONFIG_MISSING_PROTECTS

const struct config_section_info config_sections[SECTION_COUNT] = {
    [SECTION_GATEWAY] = {"gateway", "gateway", false, "The gateway itself"},
    [SECTION_BROKER] = {"broker", "broker", false, "The connection to the MQTT broker"},
    [SECTION_SESSIONS] = {"sessions", "sessions", false, "Sessions of devices and their limits"},
    [SECTION_STORE] = {"store", "store", false, "What is kept on disk, and how"},
    [SECTION_UDP] = {"udp", "udp lan", true, "A UDP link; repeat with other names for more"},
    [SECTION_SERIAL] = {"serial", "serial barn", true,
                        "A serial port; repeat with other names for more"},
    [SECTION_TOPICS] = {"topics", "topics", false, "Pre-defined topic ids that every device knows"},
    [SECTION_CLIENT] = {"client", "client pump-*", true,
                        "Devices whose client id matches the pattern (* and ? as in file names); "
                        "the first matching section wins"},
    [SECTION_MAP] = {"map", "map", false, "Topics rewritten between devices and broker"},
    [SECTION_CONTROL] = {"control", "control", false, "How operators reach the running gateway"},
};

/* One shape for all rows is easier to scan. */
/* clang-format off */
const struct config_key config_keys[] = {
    {.section = SECTION_GATEWAY, .name = "id", .type = CONFIG_INTEGER, GLOBAL(gateway_id),
     .fallback = "1", .min = "1", .max = "255",
     .text = "GwId: the number of this gateway in ADVERTISE and GWINFO"},
    {.section = SECTION_GATEWAY, .name = "name", .type = CONFIG_TEXT, GLOBAL(name), .unit = "name",
     .check = config_check_name,
     .text = "Name in status topics and in the client id; the host name if not set"},
    {.section = SECTION_GATEWAY, .name = "state_dir", .type = CONFIG_TEXT, GLOBAL(state_dir),
     .fallback = "/var/lib/dormouse", .unit = "absolute path", .check = config_check_path,
     .text = "Directory of the database; only the gateway's user may enter it"},
    {.section = SECTION_GATEWAY, .name = "advertise", .type = CONFIG_DURATION, GLOBAL(advertise_ms),
     .fallback = "16m", .min = "1s", .max = "9h", .off = "never", .zero_is_off = true,
     .text = "T_ADV: time between two ADVERTISE messages; 0 is never"},
    {.section = SECTION_GATEWAY, .name = "standby_for", .type = CONFIG_INTEGER, GLOBAL(standby_for),
     .fallback = "none", .min = "0", .max = "255", .off = "none",
     .text = "GwId of another gateway; this one is silent until that one stops advertising"},
    {.section = SECTION_GATEWAY, .name = "log_level", .type = CONFIG_TEXT, GLOBAL(log_level),
     .fallback = "info", .unit = "error, warning, notice, info or debug; also MODULE=LEVEL with commas between",
     .check = log_check_levels,
     .text = "Less important lines are not logged; info, packet=debug also logs every message of the devices"},

    {.section = SECTION_BROKER, .name = "url", .type = CONFIG_LIST, GLOBAL(urls),
     .repeatable = true, .fallback = "mqtt://localhost:1883",
     .unit = "mqtt://HOST[:PORT], mqtts://HOST[:PORT] or mqtt+unix:///PATH", .check = config_check_url,
     .text = "Where the broker is; mqtts is TLS; may repeat up to 8 times, to fail over in this order"},
    {.section = SECTION_BROKER, .name = "return_to_first", .type = CONFIG_DURATION,
     GLOBAL(return_ms), .fallback = "never", .min = "1s", .max = "365d", .off = "never",
     .text = "How often to look, while connected to another broker, whether the first one is back, and then go there"},
    {.section = SECTION_BROKER, .name = "version", .type = CONFIG_CHOICE, GLOBAL(version),
     .fallback = "auto", .choices = "auto 5 3.1.1",
     .text = "MQTT version; auto tries 5 and then 3.1.1"},
    {.section = SECTION_BROKER, .name = "client_id", .type = CONFIG_TEXT, GLOBAL(client_id),
     .unit = "text", .check = config_check_text,
     .text = "MQTT client id; dormouse-NAME- and 6 digits made from the machine id if not set"},
    {.section = SECTION_BROKER, .name = "username", .type = CONFIG_TEXT, GLOBAL(username),
     .unit = "text", .check = config_check_text,
     .text = "User name at the broker; none if not set"},
    {.section = SECTION_BROKER, .name = "password", .type = CONFIG_PASSWORD, GLOBAL(password),
     .unit = "text",
     .text = "Password at the broker; refused if others may use the file it stands in"},
    {.section = SECTION_BROKER, .name = "password_file", .type = CONFIG_PASSWORD_FILE,
     GLOBAL(password), .unit = "absolute path", .check = config_check_path,
     .text = "File with the password in one line; refused if others may use it"},
    {.section = SECTION_BROKER, .name = "ca_file", .type = CONFIG_TEXT, GLOBAL(ca_file),
     .unit = "absolute path", .check = config_check_path,
     .text = "PEM file of the CAs one of which must have signed the broker's certificate; those of the system if not set"},
    {.section = SECTION_BROKER, .name = "cert_file", .type = CONFIG_TEXT, GLOBAL(cert_file),
     .unit = "absolute path", .check = config_check_path,
     .text = "PEM file of the gateway's certificate and those between it and its CA"},
    {.section = SECTION_BROKER, .name = "key_file", .type = CONFIG_TEXT, GLOBAL(key_file),
     .unit = "absolute path", .check = config_check_path,
     .text = "PEM file of the private key of cert_file, not encrypted; refused if others may use it"},
    {.section = SECTION_BROKER, .name = "keepalive", .type = CONFIG_DURATION, GLOBAL(keepalive_ms),
     .fallback = "60s", .min = "5s", .max = "18h",
     .text = "MQTT keep-alive of the connection; has nothing to do with that of devices"},
    {.section = SECTION_BROKER, .name = "receive_maximum", .type = CONFIG_INTEGER,
     GLOBAL(receive_maximum), .fallback = "1000", .min = "1", .max = "65535",
     .text = "QoS 1 and 2 messages the broker may send before the first is acknowledged"},
    {.section = SECTION_BROKER, .name = "topic_prefix", .type = CONFIG_TEXT, GLOBAL(topic_prefix),
     .fallback = "", .unit = "topic name", .check = config_check_topic,
     .text = "Put before every topic of every device"},

    {.section = SECTION_SESSIONS, .name = "upstream", .type = CONFIG_CHOICE,
     GLOBAL(settings.upstream), .fallback = "shared", .choices = "shared own", .per_client = true,
     .text = "shared: one connection to the broker for all devices; own: one for each, with its client id; counts for sessions that begin"},
    {.section = SECTION_SESSIONS, .name = "hold", .type = CONFIG_CHOICE, GLOBAL(settings.hold),
     .fallback = "broker", .choices = "broker gateway", .per_client = true,
     .text = "With upstream = own: where messages wait for a device that is away; counts for sessions that begin"},
    {.section = SECTION_SESSIONS, .name = "will", .type = CONFIG_CHOICE, GLOBAL(settings.will),
     .fallback = "gateway", .choices = "gateway broker", .per_client = true,
     .text = "With upstream = own: who publishes the will of a lost device; the broker does it also when the gateway dies"},
    {.section = SECTION_SESSIONS, .name = "own_max", .type = CONFIG_INTEGER, GLOBAL(own_max),
     .fallback = "10000", .min = "1", .max = "1000000",
     .text = "Own connections at once; a CONNECT beyond is answered with congestion; each is an open file"},
    {.section = SECTION_SESSIONS, .name = "max_clients", .type = CONFIG_INTEGER,
     GLOBAL(max_clients), .fallback = "10000", .min = "1", .max = "1000000",
     .text = "Sessions the gateway keeps; a CONNECT beyond is answered with congestion"},
    {.section = SECTION_SESSIONS, .name = "client_id_max", .type = CONFIG_INTEGER,
     GLOBAL(client_id_max), .fallback = "252", .min = "1", .max = "252", .unit = "octets",
     .text = "A CONNECT with a longer client id is refused; the specification says 23"},
    {.section = SECTION_SESSIONS, .name = "unknown_clients", .type = CONFIG_CHOICE,
     GLOBAL(unknown_clients), .fallback = "accept", .choices = "accept reject",
     .text = "reject: only devices that match a [client] section may connect"},
    {.section = SECTION_SESSIONS, .name = "queue_messages", .type = CONFIG_INTEGER,
     GLOBAL(settings.queue_messages), .fallback = "1000", .min = "1", .max = "1000000", .per_client = true,
     .text = "Messages that may wait for one device"},
    {.section = SECTION_SESSIONS, .name = "queue_bytes", .type = CONFIG_SIZE, GLOBAL(settings.queue_bytes),
     .fallback = "256k", .min = "1k", .max = "1G", .per_client = true,
     .text = "Octets of topic and payload that may wait for one device"},
    {.section = SECTION_SESSIONS, .name = "total_bytes", .type = CONFIG_SIZE, GLOBAL(total_bytes),
     .fallback = "64M", .min = "64k", .max = "64G",
     .text = "Octets that may wait for all devices together: topic, payload and 128 for each message"},
    {.section = SECTION_SESSIONS, .name = "overflow", .type = CONFIG_CHOICE, GLOBAL(settings.overflow),
     .fallback = "drop_oldest", .choices = "drop_oldest drop_newest latest", .per_client = true,
     .text = "What a full queue drops; latest keeps one message per topic"},
    {.section = SECTION_SESSIONS, .name = "max_age", .type = CONFIG_DURATION, GLOBAL(settings.max_age_ms),
     .fallback = "never", .min = "1s", .max = "3650d", .off = "never", .per_client = true,
     .text = "Messages that waited longer are dropped"},
    {.section = SECTION_SESSIONS, .name = "queue_qos0", .type = CONFIG_CHOICE, GLOBAL(settings.queue_qos0),
     .fallback = "asleep", .choices = "never asleep always", .per_client = true,
     .text = "When QoS 0 messages wait for a device; always includes devices that are offline"},
    {.section = SECTION_SESSIONS, .name = "expiry", .type = CONFIG_DURATION, GLOBAL(settings.expiry_ms),
     .fallback = "never", .min = "1m", .max = "3650d", .off = "never", .per_client = true,
     .text = "A persistent session without any contact is removed after this time"},
    {.section = SECTION_SESSIONS, .name = "spool_bytes", .type = CONFIG_SIZE, GLOBAL(spool_bytes),
     .fallback = "64M", .min = "64k", .max = "64G",
     .text = "Octets from devices kept while the broker is away, with 128 for each message; then congestion"},
    {.section = SECTION_SESSIONS, .name = "uplink_ack", .type = CONFIG_CHOICE, GLOBAL(settings.uplink_ack),
     .fallback = "broker", .choices = "broker store", .per_client = true,
     .text = "Whose word a device's PUBACK waits for: the broker's or the disk's"},
    {.section = SECTION_SESSIONS, .name = "store_after", .type = CONFIG_DURATION,
     GLOBAL(settings.store_after_ms), .fallback = "1s", .min = "0ms", .max = "1h", .per_client = true,
     .text = "A message not acknowledged for this long is put on disk"},
    {.section = SECTION_SESSIONS, .name = "retry", .type = CONFIG_DURATION, GLOBAL(settings.retry_ms),
     .fallback = "10s", .min = "1s", .max = "1h", .per_client = true,
     .text = "T_retry: an unanswered message to a device is sent again after this time"},
    {.section = SECTION_SESSIONS, .name = "retry_count", .type = CONFIG_INTEGER,
     GLOBAL(settings.retry_count), .fallback = "3", .min = "1", .max = "100", .per_client = true,
     .text = "N_retry: how often it is sent again before the device counts as silent"},
    {.section = SECTION_SESSIONS, .name = "tolerance", .type = CONFIG_DECIMAL, GLOBAL(settings.tolerance),
     .fallback = "1.5", .min = "1.1", .max = "10", .per_client = true,
     .text = "A device is lost after its keep-alive or sleep duration times this"},
    {.section = SECTION_SESSIONS, .name = "resume_ignores_clean", .type = CONFIG_BOOLEAN,
     GLOBAL(settings.resume_ignores_clean), .fallback = "no", .per_client = true,
     .text = "A sleeping device keeps its session at CONNECT, whatever its CleanSession flag says"},
    {.section = SECTION_SESSIONS, .name = "awake_max", .type = CONFIG_DURATION,
     GLOBAL(settings.awake_max_ms), .fallback = "1m", .min = "1s", .max = "1h", .off = "never",
     .per_client = true,
     .text = "Messages that come later in an awake period than this wait for the next one"},

    {.section = SECTION_STORE, .name = "sync", .type = CONFIG_FIRST_CHOICE, GLOBAL(sync_full),
     .fallback = "full", .choices = "full normal",
     .text = "full: what is acknowledged survives power failure; normal: a crash only"},
    {.section = SECTION_STORE, .name = "commit_interval", .type = CONFIG_DURATION,
     GLOBAL(commit_interval_ms), .fallback = "2ms", .min = "0ms", .max = "10s",
     .text = "At most one commit in this time, unless there is much to commit"},

    {.section = SECTION_UDP, .name = "listen", .type = CONFIG_LIST, LINK(listen),
     .repeatable = true, .fallback = "0.0.0.0:1883", .unit = "ADDRESS:PORT",
     .check = config_check_endpoint,
     .text = "Where to receive; also [::]:1883; may repeat"},
    {.section = SECTION_UDP, .name = "multicast", .type = CONFIG_LIST, LINK(multicast),
     .repeatable = true, .unit = "ADDRESS:PORT", .check = config_check_group,
     .example = "multicast = 225.1.1.1:1883",
     .text = "Group for gateway discovery; none if not set; may repeat"},
    {.section = SECTION_UDP, .name = "interface", .type = CONFIG_TEXT, LINK(interface),
     .unit = "name", .check = config_check_interface,
     .text = "Network interface of the multicast groups; as the system's routes say if not set"},
    {.section = SECTION_UDP, .name = "multicast_ttl", .type = CONFIG_INTEGER, LINK(multicast_ttl),
     .fallback = "1", .min = "1", .max = "255",
     .text = "Routers that multicast messages may pass, plus one"},
    {.section = SECTION_UDP, .name = "forwarders", .type = CONFIG_WORDS, LINK(forwarders),
     .unit = "addresses with spaces between, or *", .check = config_check_forwarder,
     .text = "Addresses that may send encapsulated messages (0xFE); * is any"},
    {.section = SECTION_UDP, .name = "qos_minus_one", .type = CONFIG_CHOICE, LINK(qos_minus_one),
     .fallback = "no", .choices = "no yes names",
     .text = "Accept QoS -1 messages, which come without a session; names: those with a name, too"},
    {.section = SECTION_UDP, .name = "mtu", .type = CONFIG_INTEGER, LINK(mtu), .fallback = "1400",
     .min = "7", .max = "65535", .unit = "octets",
     .text = "Largest message"},
    {.section = SECTION_UDP, .name = "dtls", .type = CONFIG_CHOICE, PROTECTS, .fallback = "off",
     .choices = "off psk cert",
     .text = "DTLS between devices and gateway"},
    {.section = SECTION_UDP, .name = "topics.N", .type = CONFIG_TOPIC, LINK(topics),
     .example = "topics.7 = yard/button", .check = config_check_topic,
     .text = "Pre-defined topic id N, 1 .. 65534, on this link (QoS -1 senders have no client id)"},

    {.section = SECTION_SERIAL, .name = "device", .type = CONFIG_TEXT, LINK(device),
     .unit = "absolute path", .check = config_check_path, .example = "device = /dev/dormouse/barn",
     .text = "The port; a link is followed at every open; required"},
    {.section = SECTION_SERIAL, .name = "tx_device", .type = CONFIG_TEXT, LINK(tx_device),
     .unit = "absolute path", .check = config_check_path,
     .text = "A second port for sending (LoRaLink)"},
    {.section = SECTION_SERIAL, .name = "framing", .type = CONFIG_FRAMING, LINK(framing),
     .fallback = "raw",
     .text = "How messages stand in the stream of octets"},
    {.section = SECTION_SERIAL, .name = "encapsulation", .type = CONFIG_CHOICE, LINK(encapsulation),
     .fallback = "auto", .choices = "auto off always",
     .text = "Forwarder encapsulation (0xFE); auto answers each node as it came"},
    {.section = SECTION_SERIAL, .name = "baud", .type = CONFIG_INTEGER, LINK(baud),
     .fallback = "115200", .min = "1", .max = "4000000", .unit = "bit/s",
     .text = "Speed of the line"},
    {.section = SECTION_SERIAL, .name = "mode", .type = CONFIG_CHOICE, LINK(mode), .fallback = "8N1",
     .choices = "8N1 8E1 8O1 8N2 8E2 8O2",
     .text = "Data bits, parity and stop bits"},
    {.section = SECTION_SERIAL, .name = "flow", .type = CONFIG_CHOICE, LINK(flow),
     .fallback = "none", .choices = "none rtscts xonxoff",
     .text = "Flow control"},
    {.section = SECTION_SERIAL, .name = "mtu", .type = CONFIG_INTEGER, LINK(mtu), .fallback = "255",
     .min = "7", .max = "65535", .unit = "octets",
     .text = "Largest message"},
    {.section = SECTION_SERIAL, .name = "frame_gap", .type = CONFIG_DURATION, LINK(frame_gap_ms),
     .fallback = "50ms", .min = "0ms", .max = "10s",
     .text = "Silence that ends a broken frame; 0 is off; at least 20ms on USB"},
    {.section = SECTION_SERIAL, .name = "qos_minus_one", .type = CONFIG_CHOICE,
     LINK(qos_minus_one), .fallback = "no", .choices = "no yes names",
     .text = "Accept QoS -1 messages, which come without a session; names: those with a name, too"},
    {.section = SECTION_SERIAL, .name = "topics.N", .type = CONFIG_TOPIC, LINK(topics),
     .example = "topics.7 = barn/door", .check = config_check_topic,
     .text = "Pre-defined topic id N, 1 .. 65534, on this link"},
    {.section = SECTION_SERIAL, .name = "advertise", .type = CONFIG_BOOLEAN, LINK(advertise),
     .fallback = "no",
     .text = "Send ADVERTISE on this port"},
    {.section = SECTION_SERIAL, .name = "tx_gap", .type = CONFIG_DURATION, LINK(tx_gap_ms),
     .fallback = "0ms", .min = "0ms", .max = "1h",
     .text = "Least silence between two frames sent"},
    {.section = SECTION_SERIAL, .name = "tx_rate", .type = CONFIG_SIZE, LINK(tx_rate), .fallback = "0",
     .min = "0", .max = "1M",
     .text = "Octets sent in a second on average; 0 is no limit"},
    {.section = SECTION_SERIAL, .name = "duty_cycle", .type = CONFIG_DECIMAL, LINK(duty_cycle),
     .fallback = "100%", .min = "0.01%", .max = "100%", .unit = "%",
     .text = "Share of the time that the radio may spend sending; needs air_rate"},
    {.section = SECTION_SERIAL, .name = "air_rate", .type = CONFIG_INTEGER, LINK(air_rate),
     .fallback = "0", .min = "0", .max = "4000000", .unit = "bit/s",
     .text = "How fast the radio sends, for duty_cycle; a LoRa modem at SF9 does some 1760"},
    {.section = SECTION_SERIAL, .name = "tx_queue", .type = CONFIG_INTEGER, LINK(tx_queue),
     .fallback = "16", .min = "1", .max = "65535", .unit = "frames",
     .text = "Frames that may wait for the port"},
    {.section = SECTION_SERIAL, .name = "ack_timeout", .type = CONFIG_DURATION, LINK(ack_timeout_ms),
     .fallback = "0ms", .min = "0ms", .max = "1m",
     .text = "How long to wait for the radio's transmit status; 0 is what the framing needs"},
    {.section = SECTION_SERIAL, .name = "rs485", .type = CONFIG_CHOICE, LINK(rs485), .fallback = "off",
     .choices = "off kernel auto-direction",
     .text = "Who switches the direction of an RS-485 bus: nobody, the driver, or the hardware"},
    {.section = SECTION_SERIAL, .name = "turnaround", .type = CONFIG_DURATION, LINK(turnaround_ms),
     .fallback = "0ms", .min = "0ms", .max = "1s",
     .text = "Silence after the last octet received, before sending"},
    {.section = SECTION_SERIAL, .name = "echo", .type = CONFIG_CHOICE, LINK(echo), .fallback = "none",
     .choices = "none discard",
     .text = "discard: the bus returns what was sent, which is dropped"},
    {.section = SECTION_SERIAL, .name = "dtr", .type = CONFIG_CHOICE, LINK(dtr), .fallback = "leave",
     .choices = "leave on off",
     .text = "The DTR line after opening"},
    {.section = SECTION_SERIAL, .name = "rts", .type = CONFIG_CHOICE, LINK(rts), .fallback = "leave",
     .choices = "leave on off",
     .text = "The RTS line after opening"},
    {.section = SECTION_SERIAL, .name = "open_delay", .type = CONFIG_DURATION, LINK(open_delay_ms),
     .fallback = "0s", .min = "0s", .max = "1m",
     .text = "What is received so soon after opening is thrown away"},
    {.section = SECTION_SERIAL, .name = "low_latency", .type = CONFIG_BOOLEAN, LINK(low_latency),
     .fallback = "yes",
     .text = "Ask the driver not to gather octets (ASYNC_LOW_LATENCY)"},
    {.section = SECTION_SERIAL, .name = "max_nodes", .type = CONFIG_INTEGER, LINK(max_nodes),
     .fallback = "256", .min = "1", .max = "65535",
     .text = "Nodes that one port remembers"},
    {.section = SECTION_SERIAL, .name = "tx_prefix", .type = CONFIG_TEXT, LINK(tx_prefix),
     .unit = "octets in hexadecimal", .check = config_check_hex,
     .text = "Put before every frame sent (EBYTE modules in fixed mode)"},
    {.section = SECTION_SERIAL, .name = "rx_trailer", .type = CONFIG_INTEGER, LINK(rx_trailer),
     .fallback = "0", .min = "0", .max = "16", .unit = "octets",
     .text = "Octets behind every frame received, not part of it (RSSI)"},
    {.section = SECTION_SERIAL, .name = "address", .type = CONFIG_INTEGER, LINK(address),
     .fallback = "default", .min = "0", .max = "254", .off = "default",
     .text = "The gateway's own address on the line: 1 by default with rh-serial, 0 with hc12"},
    {.section = SECTION_SERIAL, .name = "pan", .type = CONFIG_INTEGER, LINK(pan), .fallback = "1",
     .min = "0", .max = "255",
     .text = "The radio network (aquila)"},
    {.section = SECTION_SERIAL, .name = "key", .type = CONFIG_TEXT, LINK(key),
     .unit = "32 hex digits", .check = config_check_key, .secret = true,
     .text = "Encryption key of the radio network (aquila); without it there is none"},
    {.section = SECTION_SERIAL, .name = "pause", .type = CONFIG_DURATION, LINK(pause_ms),
     .fallback = "10m", .min = "0s", .max = "365d", .off = "never",
     .text = "While the port is away, nobody is lost for so long; never: however long it is"},

    {.section = SECTION_TOPICS, .name = "N", .type = CONFIG_TOPIC, GLOBAL(topics),
     .example = "1 = sensors/temperature", .check = config_check_topic,
     .text = "Pre-defined topic id N, 1 .. 65534, for every device"},

    {.section = SECTION_CLIENT, .name = "username", .type = CONFIG_TEXT, CLIENT(username),
     .unit = "text", .check = config_check_text,
     .text = "User name of the devices' own connections to the broker; without it that of [broker] with its password"},
    {.section = SECTION_CLIENT, .name = "password", .type = CONFIG_PASSWORD, CLIENT(password),
     .unit = "text",
     .text = "Its password; refused if others may use the file it stands in"},
    {.section = SECTION_CLIENT, .name = "password_file", .type = CONFIG_PASSWORD_FILE,
     CLIENT(password), .unit = "absolute path", .check = config_check_path,
     .text = "File with its password in one line; refused if others may use it"},
    {.section = SECTION_CLIENT, .name = "topics.N", .type = CONFIG_TOPIC, CLIENT(topics),
     .example = "topics.20 = pumps/%c/speed", .check = config_check_client_topic,
     .text = "Pre-defined topic id N, 1 .. 65534, of these devices; %c is the client id"},
    {.section = SECTION_CLIENT, .name = "topic_prefix", .type = CONFIG_TEXT, CLIENT(topic_prefix),
     .unit = "topic name with / at the end", .check = config_check_prefix,
     .text = "Put before every topic of these devices; %c is the client id"},
    {.section = SECTION_CLIENT, .name = "publish", .type = CONFIG_LIST, CLIENT(publish),
     .repeatable = true, .unit = "topic filter", .check = config_check_client_filter,
     .example = "publish = pumps/%c/#",
     .text = "Topics these devices may publish to; all if not set; may repeat; %c is the client id"},
    {.section = SECTION_CLIENT, .name = "subscribe", .type = CONFIG_LIST, CLIENT(subscribe),
     .repeatable = true, .unit = "topic filter", .check = config_check_client_filter,
     .example = "subscribe = pumps/%c/cmd/#",
     .text = "Topics these devices may subscribe to; all if not set; may repeat; %c is the client id"},
    {.section = SECTION_CLIENT, .name = "links", .type = CONFIG_WORDS, CLIENT(links),
     .unit = "names with spaces between", .check = config_check_name,
     .text = "Links these devices may use; any if not set"},
    {.section = SECTION_CLIENT, .name = "address", .type = CONFIG_TEXT, CLIENT(address),
     .unit = "address", .check = config_check_address,
     .text = "The one address of this device, as dormouse sessions shows it; any if not set"},
    {.section = SECTION_CLIENT, .name = "psk_file", .type = CONFIG_TEXT, PROTECTS,
     .unit = "absolute path", .check = config_check_path,
     .text = "File with the pre-shared key for DTLS"},

    {.section = SECTION_MAP, .name = "rule", .type = CONFIG_LIST, GLOBAL(rules),
     .repeatable = true, .unit = "FILTER -> TOPIC", .check = config_check_rule,
     .example = "rule = sensors/+/t -> site1/%1/temperature",
     .text = "A device's topics on the left are the broker's on the right, %1 to %9 for its wildcards; may repeat"},

    {.section = SECTION_CONTROL, .name = "socket", .type = CONFIG_TEXT, GLOBAL(control_socket),
     .fallback = "/run/dormouse/control.sock", .unit = "absolute path",
     .check = config_check_socket,
     .text = "Socket of the operator's command, for the group of the gateway"},
    {.section = SECTION_CONTROL, .name = "http", .type = CONFIG_TEXT, GLOBAL(http),
     .fallback = "127.0.0.1:8183", .unit = "ADDRESS:PORT", .check = config_check_endpoint,
     .empty_is_off = true,
     .text = "Where the status page and the HTTP API are; off if empty"},
    {.section = SECTION_CONTROL, .name = "token_file", .type = CONFIG_PASSWORD_FILE,
     GLOBAL(http_token), .unit = "absolute path", .check = config_check_path,
     .text = "File with the token, in one line, without which nothing can be changed over HTTP; "
             "required if http is not a loopback address; refused if others may use it"},
    {.section = SECTION_CONTROL, .name = "status_topics", .type = CONFIG_TEXT,
     GLOBAL(status_topics), .unit = "topic name", .check = config_check_topic, .empty_is_off = true,
     .example = "status_topics = dormouse/barn",
     .text = "Where at the broker retained messages tell how gateway and devices are; "
             "dormouse/NAME if not set, none if empty"},
    {.section = SECTION_CONTROL, .name = "status_interval", .type = CONFIG_DURATION,
     GLOBAL(status_interval_ms), .fallback = "10s", .min = "1s", .max = "1h",
     .text = "Each of these messages is replaced so often at most"},
    {.section = SECTION_CONTROL, .name = "home_assistant", .type = CONFIG_TEXT,
     GLOBAL(home_assistant), .fallback = "", .unit = "topic name", .check = config_check_topic,
     .example = "home_assistant = homeassistant",
     .text = "Discovery prefix of Home Assistant, which then shows gateway and devices; off if not set; needs status_topics"},
};
/* clang-format on */

const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

const char *
config_key_topic_id(const struct config_key *key, const char *name)
{
    return name + strlen(key->name) - 1;
}

static bool
key_matches(const struct config_key *key, const char *name)
{
    if (key->type == CONFIG_TOPIC)
        return strncmp(key->name, name, strlen(key->name) - 1) == 0;
    return strcmp(key->name, name) == 0;
}

const struct config_key *
config_key_find(enum config_section section, const char *name)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool known = key->section == section || (section == SECTION_CLIENT && key->per_client);
        if (known && key_matches(key, name))
            return key;
    }
    return NULL;
}

/* What does not fit is left out. */
static void
append(char *buffer, size_t size, const char *text)
{
    size_t len = strlen(buffer);
    snprintf(buffer + len, size - len, "%s", text);
}

/* Words with one space between them. */
static void
append_words(char *buffer, size_t size, const char *words)
{
    for (; *words != '\0'; words++)
        append(buffer, size, *words == ' ' ? ", " : (char[]){*words, '\0'});
}

static void
append_framings(char *buffer, size_t size)
{
    for (const char *const *name = framing_names(); *name != NULL; name++) {
        append(buffer, size, *buffer != '\0' ? ", " : "");
        append(buffer, size, *name);
    }
}

static void
append_range(const struct config_key *key, char *buffer, size_t size)
{
    append(buffer, size, key->min);
    append(buffer, size, " .. ");
    append(buffer, size, key->max);
    if (key->type == CONFIG_SIZE)
        append(buffer, size, " octets");
    if (key->type == CONFIG_INTEGER && key->unit != NULL) {
        append(buffer, size, " ");
        append(buffer, size, key->unit);
    }
    if (key->off != NULL) {
        append(buffer, size, ", ");
        append(buffer, size, key->off);
    }
}

const char *
config_key_values(const struct config_key *key, char *buffer, size_t size)
{
    *buffer = '\0';
    switch (key->type) {
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_DECIMAL:
        append_range(key, buffer, size);
        break;
    case CONFIG_CHOICE:
    case CONFIG_FIRST_CHOICE:
        append_words(buffer, size, key->choices);
        break;
    case CONFIG_FRAMING:
        append_framings(buffer, size);
        break;
    case CONFIG_BOOLEAN:
        append(buffer, size, "yes, no");
        break;
    case CONFIG_TOPIC:
        append(buffer, size, "topic name");
        break;
    case CONFIG_TEXT:
    case CONFIG_LIST:
    case CONFIG_WORDS:
    case CONFIG_PASSWORD:
    case CONFIG_PASSWORD_FILE:
        append(buffer, size, key->unit);
        break;
    }
    return buffer;
}
