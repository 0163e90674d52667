/* SPDX-License-Identifier: Apache-2.0 */
/* Topic names and filters: validity, and matching compared with a plain reading of the rules. */
#include "fuzz.h"
#include "topic.h"

/* The first level of a text, which is taken off it. `more`: another level follows. */
static struct dm_span
take_level(struct dm_span *text, bool *more)
{
    size_t len = 0;

    while (len < text->len && text->data[len] != '/')
        len++;
    *more = len < text->len;
    struct dm_span level = dm_span(text->data, len);

    *text = dm_span(text->data + len + *more, text->len - len - *more);
    return level;
}

/* MQTT 5 section 4.7, level by level. */
static bool
matches_by_levels(struct dm_span filter, struct dm_span name)
{
    bool more_filter = true;
    bool more_name = true;
    bool at_root = true;

    while (more_filter) {
        struct dm_span pattern = take_level(&filter, &more_filter);
        bool any = dm_span_equal(pattern, dm_span_text("+"));
        bool rest = dm_span_equal(pattern, dm_span_text("#"));

        if (at_root && (any || rest) && name.len > 0 && name.data[0] == '$')
            return false;
        if (rest)
            return true; /* the level above it, too */
        if (!more_name)
            return false;
        struct dm_span level = take_level(&name, &more_name);

        if (!any && !dm_span_equal(pattern, level))
            return false;
        at_root = false;
    }
    return !more_name;
}

static void
check_name(struct dm_span name)
{
    bool reserved = name.data[0] == '$';

    FUZZ_CHECK(topic_text_is_valid(name) && !topic_has_wildcard(name), "not a name");
    FUZZ_CHECK(topic_filter_is_valid(name), "a name is a filter, too");
    FUZZ_CHECK(topic_matches(name, name), "a name does not match itself");
    FUZZ_CHECK(topic_matches(dm_span_text("#"), name) == !reserved, "# matches wrongly");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    struct dm_span filter = fuzz_span(&input, fuzz_octet(&input));
    /* Memory of its own, so that a read beyond the filter does not fall into the name. */
    uint8_t *memory = fuzz_alloc(filter.len);

    if (filter.len > 0)
        memcpy(memory, filter.data, filter.len);
    filter.data = memory;
    struct dm_span name = fuzz_span(&input, input.left);
    bool name_valid = topic_name_is_valid(name);
    bool filter_valid = topic_filter_is_valid(filter);

    FUZZ_CHECK(!topic_is_harmless(filter) || topic_text_is_valid(filter), "harmless, but invalid");
    if (name_valid)
        check_name(name);
    if (filter_valid && name_valid) {
        bool matches = topic_matches(filter, name);

        FUZZ_CHECK(matches == matches_by_levels(filter, name), "matches otherwise, level by level");
        if (!topic_has_wildcard(filter))
            FUZZ_CHECK(matches == dm_span_equal(filter, name), "a plain filter is the name");
    }
    free(memory);
    return 0;
}
