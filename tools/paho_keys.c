/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of gateway.conf of the Eclipse Paho MQTT-SN gateway, of all its versions. */
#include "paho_keys.h"

#include <string.h>

#define V4 (PAHO_NETWORK_UDP | PAHO_NETWORK_DTLS)
#define V6 (PAHO_NETWORK_UDP6 | PAHO_NETWORK_DTLS6)
#define DTLS (PAHO_NETWORK_DTLS | PAHO_NETWORK_DTLS6)

/* One shape for all rows is easier to scan. */
/* clang-format off */
const struct paho_key_info paho_keys[PAHO_KEY_COUNT] = {
    [PAHO_KEY_GATEWAY_ID] = {.names = {"GatewayID"}},
    [PAHO_KEY_GATEWAY_NAME] = {.names = {"GatewayName"}},
    [PAHO_KEY_KEEP_ALIVE] = {.names = {"KeepAlive"}},
    [PAHO_KEY_BROKER_NAME] = {.names = {"BrokerName"}},
    [PAHO_KEY_BROKER_PORT] = {.names = {"BrokerPortNo"}},
    [PAHO_KEY_BROKER_SECURE_PORT] = {.names = {"BrokerSecurePortNo"}},
    [PAHO_KEY_SECURE_CONNECTION] = {.names = {"SecureConnection"}},
    [PAHO_KEY_LOGIN_ID] = {.names = {"LoginID"}},
    [PAHO_KEY_PASSWORD] = {.names = {"Password"}},
    [PAHO_KEY_CA_FILE] = {.names = {"RootCAfile"}},
    [PAHO_KEY_CERTIFICATE] = {.names = {"CertsKey", "CertsFile", "CertKey"}},
    [PAHO_KEY_PRIVATE_KEY] = {.names = {"PrivateKey"}},
    [PAHO_KEY_MAX_CLIENTS] = {.names = {"MaxNumberOfClients"}},
    [PAHO_KEY_AGGREGATING] = {.names = {"AggregatingGateway"}},
    [PAHO_KEY_AUTHENTICATION] = {.names = {"ClientAuthentication", "ClientAuthorization"}},
    [PAHO_KEY_QOS_MINUS_ONE] = {.names = {"QoS-1"}},
    [PAHO_KEY_FORWARDER] = {.names = {"Forwarder"}},
    [PAHO_KEY_PREDEFINED] = {.names = {"PredefinedTopic"}},
    [PAHO_KEY_CLIENTS_LIST] = {.names = {"ClientsList"}},
    [PAHO_KEY_QOS_MINUS_ONE_LIST] = {.names = {"QoS-1ClientsList"}},
    [PAHO_KEY_FORWARDERS_LIST] = {.names = {"ForwardersList"}},
    [PAHO_KEY_PREDEFINED_LIST] = {.names = {"PredefinedTopicList"}},
    [PAHO_KEY_UDP_PORT] = {.names = {"GatewayPortNo"}, .networks = V4},
    [PAHO_KEY_UDP_GROUP] = {.names = {"MulticastIP"}, .networks = V4},
    [PAHO_KEY_UDP_GROUP_PORT] = {.names = {"MulticastPortNo"}, .networks = V4},
    [PAHO_KEY_UDP_TTL] = {.names = {"MulticastTTL"}, .networks = V4},
    [PAHO_KEY_UDP6_PORT] = {.names = {"GatewayIPv6PortNo", "GatewayUDP6Port"}, .networks = V6},
    [PAHO_KEY_UDP6_GROUP] = {.names = {"MulticastIPv6", "GatewayUDP6Broadcast"}, .networks = V6},
    [PAHO_KEY_UDP6_GROUP_PORT] = {.names = {"MulticastIPv6PortNo"}, .networks = V6},
    [PAHO_KEY_UDP6_INTERFACE] = {.names = {"MulticastIPv6If", "GatewayUDP6If"}, .networks = V6},
    [PAHO_KEY_UDP6_HOPS] = {.names = {"MulticastHops", "GatewayUDP6Hops"}, .networks = V6},
    [PAHO_KEY_XBEE_BAUD] = {.names = {"Baudrate", "XBee Baudrate"}, .networks = PAHO_NETWORK_XBEE},
    [PAHO_KEY_XBEE_DEVICE] = {.names = {"SerialDevice"}, .networks = PAHO_NETWORK_XBEE},
    [PAHO_KEY_XBEE_API_MODE] = {.names = {"ApiMode"}, .networks = PAHO_NETWORK_XBEE},
    [PAHO_KEY_LORALINK_BAUD] = {.names = {"BaudrateLoRaLink"}, .networks = PAHO_NETWORK_LORALINK},
    [PAHO_KEY_LORALINK_RX] = {.names = {"DeviceRxLoRaLink"}, .networks = PAHO_NETWORK_LORALINK},
    [PAHO_KEY_LORALINK_TX] = {.names = {"DeviceTxLoRaLink"}, .networks = PAHO_NETWORK_LORALINK},
    [PAHO_KEY_CA_PATH] = {.names = {"RootCApath"},
     .advice = "no equivalent: ca_file of [broker] is one PEM file, without it those of the system count"},
    [PAHO_KEY_MQTT_VERSION] = {.names = {"MQTTVersion"},
     .advice = "not needed: version = auto tries MQTT 5 and then 3.1.1"},
    [PAHO_KEY_MAX_INFLIGHT] = {.names = {"MaxInflightMsgs"},
     .advice = "no equivalent: one message is under way to a device, and queue_messages may wait for it"},
    [PAHO_KEY_UDP6_BIND] = {.names = {"GatewayUDP6Bind"}, .networks = V6,
     .advice = "not taken over: the link listens at all addresses; write it into listen if that is too many"},
    [PAHO_KEY_DTLS_CERTIFICATE] = {.names = {"DtlsCertsKey"}, .networks = DTLS,
     .advice = "DTLS is not built in yet"},
    [PAHO_KEY_DTLS_PRIVATE_KEY] = {.names = {"DtlsPrivKey"}, .networks = DTLS,
     .advice = "DTLS is not built in yet"},
    [PAHO_KEY_RFCOMM_ADDRESS] = {.names = {"RFCOMMAddress", "BleAddress"},
     .advice = "no equivalent: Dormouse has no Bluetooth link"},
    [PAHO_KEY_SHARED_MEMORY] = {.names = {"ShearedMemory"},
     .advice = "not needed: dormouse trace and log_level show the packets"},
};
/* clang-format on */

static const char *const network_names[] = {"udp", "udp6", "dtls", "dtls6", "xbee", "loralink"};

enum paho_key
paho_key_find(const char *name)
{
    for (int key = 0; key < PAHO_KEY_COUNT; key++)
        for (size_t i = 0; i < 3 && paho_keys[key].names[i] != NULL; i++)
            if (strcmp(paho_keys[key].names[i], name) == 0)
                return (enum paho_key)key;
    return PAHO_KEY_COUNT;
}

enum paho_network
paho_network_find(const char *name)
{
    for (unsigned i = 0; i < sizeof(network_names) / sizeof(network_names[0]); i++)
        if (strcmp(network_names[i], name) == 0)
            return (enum paho_network)(1U << i);
    return PAHO_NETWORK_UNKNOWN;
}

const char *
paho_network_name(unsigned networks)
{
    for (unsigned i = 0; i < sizeof(network_names) / sizeof(network_names[0]); i++)
        if (networks & 1U << i)
            return network_names[i];
    return "none";
}
