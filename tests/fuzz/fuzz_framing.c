/* SPDX-License-Identifier: Apache-2.0 */
/* Every framing: any stream in any chunks, and every message delivered once more through it. */
#include <dormouse/framing.h>
#include <dormouse/mqttsn.h>

#include "fuzz.h"

enum { STREAM_MAX = 8192 };

/* The messages that came out, one behind the other, each after its length. */
struct delivered {
    size_t mtu;
    uint64_t count;
    size_t len;
    uint8_t octets[STREAM_MAX * 4];
};

static void
deliver(void *ctx, const struct framing_event *event)
{
    struct delivered *delivered = ctx;
    const uint8_t *message = event->octets.data;
    size_t len = event->octets.len;
    size_t total = 0;

    if (event->type != FRAMING_MESSAGE)
        return;

    FUZZ_CHECK(len <= delivered->mtu, "longer than the mtu");
    FUZZ_CHECK(mqttsn_measure(message, len, delivered->mtu, &total) == DM_OK && total == len,
               "not one plausible message");
    FUZZ_CHECK(delivered->len + len + 2 <= sizeof delivered->octets, "more than was fed");
    delivered->count++;
    delivered->octets[delivered->len++] = (uint8_t)(len >> 8);
    delivered->octets[delivered->len++] = (uint8_t)len;
    memcpy(delivered->octets + delivered->len, message, len);
    delivered->len += len;
}

static struct framing *
open_framing(const char *name, size_t mtu, unsigned gap_ms)
{
    struct framing *framing =
        framing_new(&(struct framing_options){.name = name, .mtu = mtu, .gap_ms = gap_ms});

    FUZZ_CHECK(framing != NULL, "no framing");
    return framing;
}

/* `chunks` tells the sizes in turn, and, with a gap, how long the line was idle before each. */
static void
feed(const char *name, struct dm_span stream, struct dm_span chunks, unsigned gap_ms,
     struct delivered *delivered)
{
    struct framing *framing = open_framing(name, delivered->mtu, gap_ms);
    const struct framing_counters *counters = framing_counters(framing);
    uint64_t now_ms = 1;
    size_t turn = 0;

    delivered->count = 0;
    delivered->len = 0;
    for (size_t i = 0; i < stream.len;) {
        size_t chunk = chunks.len > 0 ? 1u + chunks.data[turn++ % chunks.len] : stream.len;

        if (chunk > stream.len - i)
            chunk = stream.len - i;
        framing_feed(framing, stream.data + i, chunk, now_ms, deliver, delivered);
        now_ms += gap_ms > 0 ? chunk : 0;
        i += chunk;
    }
    FUZZ_CHECK(counters->rx_frames == delivered->count, "frames are miscounted");
    FUZZ_CHECK(counters->rx_garbage <= stream.len, "more garbage than octets");
    FUZZ_CHECK(gap_ms > 0 || counters->rx_gap_resets == 0, "a gap where none is looked for");
    framing_free(framing);
}

static void
check_encoding(const char *name, const struct delivered *wanted)
{
    static struct delivered again;
    struct framing *framing = open_framing(name, wanted->mtu, 0);

    again.mtu = wanted->mtu;
    again.count = 0;
    again.len = 0;
    for (size_t i = 0; i < wanted->len;) {
        size_t len = (size_t)wanted->octets[i] << 8 | wanted->octets[i + 1];
        size_t room = framing_encoded_max(framing, len);
        uint8_t *frame = fuzz_alloc(room);
        size_t written = 0;

        FUZZ_CHECK(
            framing_encode(framing,
                           &(struct framing_frame){.message = dm_span(wanted->octets + i + 2, len)},
                           frame, room, &written) == DM_OK &&
                written <= room,
            "a message that came in cannot go out");
        framing_feed(framing, frame, written, 0, deliver, &again);
        free(frame);
        i += 2 + len;
    }
    FUZZ_CHECK(
        dm_span_equal(dm_span(again.octets, again.len), dm_span(wanted->octets, wanted->len)),
        "frames of our own are read otherwise");
    FUZZ_CHECK(framing_counters(framing)->rx_garbage == 0, "a frame of our own is garbage");
    framing_free(framing);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t mtus[] = {2, 5, 32, 64, 255, 260, 1400, 65535};
    static struct delivered whole;
    static struct delivered other;
    struct fuzz_input input = {data, len};
    uint8_t head = fuzz_octet(&input);
    struct dm_span chunks = fuzz_span(&input, head >> 3 & 15u);
    struct dm_span stream = fuzz_span(&input, STREAM_MAX);
    const uint8_t single = 0;

    for (const char *const *name = framing_names(); *name != NULL; name++) {
        const struct framing_traits *traits = framing_traits_of(*name);
        size_t mtu = mtus[head & 7u];
        whole.mtu = other.mtu = mtu < traits->mtu_max ? mtu : traits->mtu_max;
        feed(*name, stream, dm_span(NULL, 0), 0, &whole);
        feed(*name, stream, dm_span(&single, 1), 0, &other);
        FUZZ_CHECK(other.count == whole.count && other.len == whole.len &&
                       memcmp(other.octets, whole.octets, whole.len) == 0,
                   "octet by octet gives other messages");
        feed(*name, stream, chunks, 0, &other);
        FUZZ_CHECK(other.count == whole.count && other.len == whole.len &&
                       memcmp(other.octets, whole.octets, whole.len) == 0,
                   "chunks give other messages");
        feed(*name, stream, chunks, 20, &other);
        if (traits->node_len == 0) /* else the two directions differ */
            check_encoding(*name, &whole);
    }
    return 0;
}
