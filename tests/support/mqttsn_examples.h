/* SPDX-License-Identifier: Apache-2.0 */
/* Every complete example message of the protocol reference, as octets and as struct. */
#ifndef DORMOUSE_TESTS_MQTTSN_EXAMPLES_H
#define DORMOUSE_TESTS_MQTTSN_EXAMPLES_H

#include <dormouse/mqttsn.h>

#define WIRE(octets) (const uint8_t *)(octets), sizeof(octets) - 1
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

struct example {
    const uint8_t *octets;
    size_t len;
    struct mqttsn_packet packet;
};

/* Section 1.6 of the reference, in its order. */
static const struct example examples[] = {
    {WIRE("\x05\x00\x01\x03\x84"), {.type = MQTTSN_ADVERTISE, .gateway_id = 1, .duration_s = 900}},
    {WIRE("\x03\x01\x01"), {.type = MQTTSN_SEARCHGW, .radius = 1}},
    {WIRE("\x03\x02\x01"), {.type = MQTTSN_GWINFO, .gateway_id = 1}},
    {WIRE("\x06\x02\x01\x02\x12\x34"),
     {.type = MQTTSN_GWINFO, .gateway_id = 1, .data = TEXT("\x02\x12\x34")}},
    {WIRE("\x0A\x04\x0C\x01\x00\x3C\x64\x65\x76\x31"),
     {.type = MQTTSN_CONNECT,
      .will = true,
      .clean_session = true,
      .protocol_id = 1,
      .duration_s = 60,
      .client_id = TEXT("dev1")}},
    {WIRE("\x0A\x04\x00\x01\x00\x3C\x64\x65\x76\x31"),
     {.type = MQTTSN_CONNECT, .protocol_id = 1, .duration_s = 60, .client_id = TEXT("dev1")}},
    {WIRE("\x03\x05\x00"), {.type = MQTTSN_CONNACK}},
    {WIRE("\x02\x06"), {.type = MQTTSN_WILLTOPICREQ}},
    {WIRE("\x0A\x07\x30\x64\x65\x76\x31\x2F\x73\x74"),
     {.type = MQTTSN_WILLTOPIC,
      .has_flags = true,
      .qos = 1,
      .retain = true,
      .topic_name = TEXT("dev1/st")}},
    {WIRE("\x02\x07"), {.type = MQTTSN_WILLTOPIC}},
    {WIRE("\x02\x08"), {.type = MQTTSN_WILLMSGREQ}},
    {WIRE("\x06\x09\x6C\x6F\x73\x74"), {.type = MQTTSN_WILLMSG, .data = TEXT("lost")}},
    {WIRE("\x0F\x0A\x00\x00\x00\x01\x64\x65\x76\x31\x2F\x74\x65\x6D\x70"),
     {.type = MQTTSN_REGISTER, .msg_id = 1, .topic_name = TEXT("dev1/temp")}},
    {WIRE("\x0F\x0A\x00\x05\x01\x01\x63\x6D\x64\x2F\x72\x65\x73\x65\x74"),
     {.type = MQTTSN_REGISTER, .topic_id = 5, .msg_id = 0x0101, .topic_name = TEXT("cmd/reset")}},
    {WIRE("\x07\x0B\x00\x05\x00\x01\x00"), {.type = MQTTSN_REGACK, .topic_id = 5, .msg_id = 1}},
    {WIRE("\x0B\x0C\x20\x00\x05\x00\x02\x32\x31\x2E\x35"),
     {.type = MQTTSN_PUBLISH, .qos = 1, .topic_id = 5, .msg_id = 2, .data = TEXT("21.5")}},
    {WIRE("\x0B\x0C\xA0\x00\x05\x00\x02\x32\x31\x2E\x35"),
     {.type = MQTTSN_PUBLISH,
      .dup = true,
      .qos = 1,
      .topic_id = 5,
      .msg_id = 2,
      .data = TEXT("21.5")}},
    {WIRE("\x0B\x0C\x50\x00\x05\x00\x03\x32\x31\x2E\x35"),
     {.type = MQTTSN_PUBLISH,
      .qos = 2,
      .retain = true,
      .topic_id = 5,
      .msg_id = 3,
      .data = TEXT("21.5")}},
    {WIRE("\x0B\x0C\x61\x00\x07\x00\x00\x32\x31\x2E\x35"),
     {.type = MQTTSN_PUBLISH,
      .qos = -1,
      .topic_type = MQTTSN_TOPIC_PREDEFINED,
      .topic_id = 7,
      .data = TEXT("21.5")}},
    {WIRE("\x0B\x0C\x62\x74\x70\x00\x00\x32\x31\x2E\x35"),
     {.type = MQTTSN_PUBLISH,
      .qos = -1,
      .topic_type = MQTTSN_TOPIC_SHORT,
      .topic_id = 0x7470,
      .data = TEXT("21.5")}},
    {WIRE("\x07\x0D\x00\x05\x00\x02\x00"), {.type = MQTTSN_PUBACK, .topic_id = 5, .msg_id = 2}},
    {WIRE("\x07\x0D\x00\x05\x00\x02\x02"),
     {.type = MQTTSN_PUBACK, .topic_id = 5, .msg_id = 2, .return_code = MQTTSN_INVALID_TOPIC_ID}},
    {WIRE("\x04\x0F\x00\x03"), {.type = MQTTSN_PUBREC, .msg_id = 3}},
    {WIRE("\x04\x10\x00\x03"), {.type = MQTTSN_PUBREL, .msg_id = 3}},
    {WIRE("\x04\x0E\x00\x03"), {.type = MQTTSN_PUBCOMP, .msg_id = 3}},
    {WIRE("\x0A\x12\x20\x00\x04\x63\x6D\x64\x2F\x2B"),
     {.type = MQTTSN_SUBSCRIBE, .qos = 1, .msg_id = 4, .topic_name = TEXT("cmd/+")}},
    {WIRE("\x07\x12\x01\x00\x05\x00\x07"),
     {.type = MQTTSN_SUBSCRIBE, .topic_type = MQTTSN_TOPIC_PREDEFINED, .msg_id = 5, .topic_id = 7}},
    {WIRE("\x07\x12\x42\x00\x06\x74\x70"),
     {.type = MQTTSN_SUBSCRIBE,
      .qos = 2,
      .topic_type = MQTTSN_TOPIC_SHORT,
      .msg_id = 6,
      .topic_id = 0x7470}},
    {WIRE("\x0A\x14\x00\x00\x07\x63\x6D\x64\x2F\x2B"),
     {.type = MQTTSN_UNSUBSCRIBE, .msg_id = 7, .topic_name = TEXT("cmd/+")}},
    {WIRE("\x08\x13\x20\x00\x00\x00\x04\x00"), {.type = MQTTSN_SUBACK, .qos = 1, .msg_id = 4}},
    {WIRE("\x08\x13\x00\x00\x07\x00\x05\x00"), {.type = MQTTSN_SUBACK, .topic_id = 7, .msg_id = 5}},
    {WIRE("\x04\x15\x00\x07"), {.type = MQTTSN_UNSUBACK, .msg_id = 7}},
    {WIRE("\x02\x16"), {.type = MQTTSN_PINGREQ}},
    {WIRE("\x06\x16\x64\x65\x76\x31"), {.type = MQTTSN_PINGREQ, .client_id = TEXT("dev1")}},
    {WIRE("\x02\x17"), {.type = MQTTSN_PINGRESP}},
    {WIRE("\x02\x18"), {.type = MQTTSN_DISCONNECT}},
    {WIRE("\x04\x18\x02\x58"),
     {.type = MQTTSN_DISCONNECT, .has_duration = true, .duration_s = 600}},
    {WIRE("\x0A\x1A\x10\x64\x65\x76\x31\x2F\x73\x74"),
     {.type = MQTTSN_WILLTOPICUPD,
      .has_flags = true,
      .retain = true,
      .topic_name = TEXT("dev1/st")}},
    {WIRE("\x02\x1A"), {.type = MQTTSN_WILLTOPICUPD}},
    {WIRE("\x03\x1B\x00"), {.type = MQTTSN_WILLTOPICRESP}},
    {WIRE("\x05\x1C\x62\x79\x65"), {.type = MQTTSN_WILLMSGUPD, .data = TEXT("bye")}},
    {WIRE("\x03\x1D\x00"), {.type = MQTTSN_WILLMSGRESP}},
};
#define EXAMPLE_COUNT (sizeof examples / sizeof examples[0])

#endif
