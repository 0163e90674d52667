/* SPDX-License-Identifier: Apache-2.0 */
/* The framing FUZZ_FRAMING: any stream in any chunks, and every message delivered once more through
 * it. Built once for each framing. */
#include <dormouse/framing.h>
#include <dormouse/mqttsn.h>

#include <string.h>

#include "fuzz.h"
#include "radio_frame.h"

enum { STREAM_MAX = 8192, LOG_MAX = STREAM_MAX * 32, PIECE_MAX = 127 };

struct octet_list {
    size_t len;
    uint8_t octets[LOG_MAX];
};

struct run {
    size_t mtu;
    const struct framing_traits *traits;
    uint64_t count;             /* of messages */
    struct octet_list messages; /* node and message, each after its length (put_span) */
    struct octet_list events;   /* all that was told of each event */
    struct framing_counters counters;
};

static void
put(struct octet_list *list, const void *octets, size_t len)
{
    FUZZ_CHECK(len <= sizeof list->octets - list->len, "more than was fed");
    if (len > 0)
        memcpy(list->octets + list->len, octets, len);
    list->len += len;
}

static void
put_number(struct octet_list *list, unsigned number)
{
    put(list, (uint8_t[]){(uint8_t)(number >> 8), (uint8_t)number}, 2);
}

static void
put_span(struct octet_list *list, struct dm_span span)
{
    put_number(list, (unsigned)span.len);
    put(list, span.data, span.len);
}

static struct dm_span
take_span(struct fuzz_input *list)
{
    return fuzz_span(list, fuzz_number(list));
}

/* Only what counts for the type: the rest may be anything. */
static void
log_event(struct octet_list *list, const struct framing_event *event)
{
    const struct framing_quality *quality = &event->quality;

    put_number(list, event->type);
    put_span(list, event->node);
    put_span(list, event->octets);
    put_number(list, event->type == FRAMING_CONFIRMED ? event->id : 0);
    put_number(list, event->type == FRAMING_CONFIRMED && event->taken);
    put_number(list, event->type == FRAMING_PAYLOAD ? event->payload : 0);
    put_number(list, quality->has_rssi ? (uint16_t)quality->rssi : 0);
    put_number(list, quality->has_lqi ? quality->lqi : 0);
    put_number(list, quality->has_snr ? (uint16_t)quality->snr : 0);
    if (event->type == FRAMING_NOTE)
        put(list, event->text, strlen(event->text));
}

/* A message, and there is no more of it. */
static bool
is_message(struct dm_span octets, size_t mtu)
{
    size_t total = 0;

    return octets.len <= mtu && mqttsn_measure(octets.data, octets.len, mtu, &total) == DM_OK &&
           total == octets.len;
}

static void
take_message(struct run *run, const struct framing_event *event)
{
    FUZZ_CHECK(event->octets.len <= run->mtu, "longer than the mtu");
    FUZZ_CHECK(is_message(event->octets, run->mtu), "not one plausible message");
    FUZZ_CHECK(event->node.len == run->traits->node_len, "not a node of this framing");
    run->count++;
    put_span(&run->messages, event->node);
    put_span(&run->messages, event->octets);
}

static void
deliver(void *ctx, const struct framing_event *event)
{
    struct run *run = ctx;

    FUZZ_CHECK(event->node.len == 0 || event->node.len == run->traits->node_len,
               "not a node of this framing");
    log_event(&run->events, event);
    switch (event->type) {
    case FRAMING_MESSAGE:
        take_message(run, event);
        break;
    case FRAMING_CONFIRMED:
        FUZZ_CHECK(run->traits->window > 0, "nothing is confirmed here");
        break;
    case FRAMING_REPLY:
        FUZZ_CHECK(event->octets.len > 0, "an empty reply");
        break;
    case FRAMING_PAYLOAD:
    case FRAMING_NOTE:
        break;
    }
}

static struct framing *
open_framing(struct run *run, unsigned gap_ms)
{
    struct framing *framing = framing_new(
        &(struct framing_options){.name = FUZZ_FRAMING, .mtu = run->mtu, .gap_ms = gap_ms});

    FUZZ_CHECK(framing != NULL, "no framing");
    run->traits = framing_traits(framing);
    run->count = 0;
    run->messages.len = 0;
    run->events.len = 0;
    return framing;
}

/* `chunks` tells the sizes in turn, and, with a gap, how long the line was idle before each. */
static void
feed(struct run *run, struct dm_span stream, struct dm_span chunks, unsigned gap_ms)
{
    struct framing *framing = open_framing(run, gap_ms);
    const struct framing_counters *counters = framing_counters(framing);
    uint64_t now_ms = 1;
    size_t turn = 0;

    if (stream.len % 2 != 0) /* so that both ways are taken where a framing can */
        (void)framing_pair(framing, true, deliver, run);
    framing_hello(framing, deliver, run);
    for (size_t i = 0; i < stream.len;) {
        size_t chunk = chunks.len > 0 ? 1u + chunks.data[turn++ % chunks.len] : stream.len;

        if (chunk > stream.len - i)
            chunk = stream.len - i;
        framing_feed(framing, stream.data + i, chunk, now_ms, deliver, run);
        now_ms += gap_ms > 0 ? chunk : 0;
        i += chunk;
    }
    FUZZ_CHECK(counters->rx_frames == run->count, "frames are miscounted");
    FUZZ_CHECK(counters->rx_garbage <= stream.len, "more garbage than octets");
    FUZZ_CHECK(counters->rx_crc_errors + counters->rx_oversize <= counters->rx_garbage,
               "a bad frame is no garbage");
    FUZZ_CHECK(gap_ms > 0 || counters->rx_gap_resets == 0, "a gap where none is looked for");
    run->counters = *counters;
    framing_free(framing);
}

static void
check_alike(const struct run *run, const struct run *other)
{
    FUZZ_CHECK(other->events.len == run->events.len &&
                   memcmp(other->events.octets, run->events.octets, run->events.len) == 0,
               "chunks give other events");
    FUZZ_CHECK(memcmp(&other->counters, &run->counters, sizeof run->counters) == 0,
               "chunks are counted otherwise");
}

/* To memory of exactly the promised size. */
static uint8_t *
encode(const struct framing *framing, const struct framing_frame *frame, size_t *written)
{
    size_t room = framing_encoded_max(framing, frame->message.len);
    uint8_t *octets = fuzz_alloc(room);
    size_t unused;

    FUZZ_CHECK(framing_encode(framing, frame, octets, room, written) == DM_OK && *written <= room,
               "a message that came in cannot go out");
    FUZZ_CHECK(framing_encode(framing, frame, octets, *written - 1, &unused) == DM_FULL,
               "a frame without its end");
    FUZZ_CHECK(framing_encode(framing, frame, octets, *written, written) == DM_OK,
               "no room in just enough");
    return octets;
}

/* A bridge of aquila forwards long messages only in one direction. */
static bool
can_go_out(struct dm_span message)
{
    return strcmp(FUZZ_FRAMING, "aquila") != 0 || message.data[0] == message.len;
}

/* What the gateway sends it can receive where the line has no nodes. */
static void
check_encoding(const struct run *wanted)
{
    static struct run again;
    struct fuzz_input list = {wanted->messages.octets, wanted->messages.len};

    again.mtu = wanted->mtu;
    struct framing *framing = open_framing(&again, 0);
    while (list.left > 0) {
        struct framing_frame frame = {.node = take_span(&list), .id = 1};
        size_t written = 0;

        frame.message = take_span(&list);
        if (!can_go_out(frame.message))
            continue;
        uint8_t *octets = encode(framing, &frame, &written);
        if (again.traits->node_len == 0)
            framing_feed(framing, octets, written, 0, deliver, &again);
        free(octets);
    }
    if (again.traits->node_len == 0) {
        FUZZ_CHECK(dm_span_equal(dm_span(again.messages.octets, again.messages.len),
                                 dm_span(wanted->messages.octets, wanted->messages.len)),
                   "frames of our own are read otherwise");
        FUZZ_CHECK(framing_counters(framing)->rx_garbage == 0, "a frame of our own is garbage");
    }
    framing_free(framing);
}

/* The frame of a piece as it comes in: its message, or, from a radio, all of its content. 0: none.
 */
static size_t
frame_piece(const struct framing *framing, struct dm_span piece, uint8_t *stream, size_t room)
{
    uint8_t frame[RADIO_FRAME_MAX(PIECE_MAX)];
    size_t written = radio_frame(FUZZ_FRAMING, piece, frame);

    if (written > 0 && written <= room)
        memcpy(stream, frame, written);
    else if (written > 0 ||
             framing_encode(framing, &(struct framing_frame){.message = piece, .id = 1}, stream,
                            room, &written) != DM_OK)
        return 0;
    return written;
}

/* A stream of whole frames, for what no mutation finds: a right check. Each piece of the input has
 * a length before it; the upper half of the lengths are pieces that stand as they are. */
static struct dm_span
compose(struct fuzz_input *input, size_t mtu)
{
    static struct run run;
    static uint8_t stream[STREAM_MAX];
    size_t used = 0;

    run.mtu = mtu;
    struct framing *framing = open_framing(&run, 0);
    while (input->left > 0) {
        uint8_t len = fuzz_octet(input);
        struct dm_span piece = fuzz_span(input, len & PIECE_MAX);
        size_t room = sizeof stream - used;
        size_t written = 0;

        if (len > PIECE_MAX && piece.len <= room) {
            for (; written < piece.len; written++)
                stream[used + written] = piece.data[written];
        } else if (len <= PIECE_MAX) {
            written = frame_piece(framing, piece, stream + used, room);
            if (written > 0 && is_message(piece, mtu)) {
                put_span(&run.messages, dm_span(NULL, 0));
                put_span(&run.messages, piece);
            }
        }
        used += written;
    }
    framing_free(framing);
    check_encoding(&run);
    return dm_span(stream, used);
}

static void
check_list_of_targets(void)
{
    for (const char *const *name = framing_names(); *name != NULL; name++) {
        char word[64];

        snprintf(word, sizeof word, " %s ", *name);
        FUZZ_CHECK(strstr(" " FUZZ_FRAMINGS " ", word) != NULL, "a framing without a target");
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t mtus[] = {2, 5, 32, 64, 255, 260, 1400, 65535};
    static struct run whole;
    static struct run other;
    struct fuzz_input input = {data, len};
    uint8_t head = fuzz_octet(&input);
    struct dm_span chunks = fuzz_span(&input, head >> 3 & 15u);
    const uint8_t single = 0;
    size_t mtu = mtus[head & 7u];

    check_list_of_targets();
    if (mtu > framing_traits_of(FUZZ_FRAMING)->mtu_max)
        mtu = framing_traits_of(FUZZ_FRAMING)->mtu_max;
    whole.mtu = other.mtu = mtu;
    struct dm_span stream = head > 0x7F ? compose(&input, mtu) : fuzz_span(&input, STREAM_MAX);
    feed(&whole, stream, dm_span(NULL, 0), 0);
    feed(&other, stream, dm_span(&single, 1), 0);
    check_alike(&whole, &other);
    feed(&other, stream, chunks, 0);
    check_alike(&whole, &other);
    feed(&other, stream, chunks, 20);
    check_encoding(&whole);
    return 0;
}
