/* SPDX-License-Identifier: Apache-2.0 */
/* What the HTTP server judges without I/O. */
#include "unit.h"

#include <string.h>

#include "http_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
host_of_this_machine_is_ours(void)
{
    static const char *const hosts[] = {
        "localhost",
        "LOCALHOST:8183",
        "127.0.0.1:8183",
        "[::1]",
        "[::1]:8183",
        "10.0.0.7",
        "10.0.0.7:80",
        "barn",
        "barn:8183",
        "Barn.local",
        "barn.local:1",
        "barn.example.org",
        "BARN.example.org:65535",
    };

    for (size_t i = 0; i < COUNT(hosts); i++)
        CU_ASSERT_TRUE(http_host_is_ours(hosts[i], "10.0.0.7", "barn.example.org"));
}

static void
host_of_strangers_is_not_ours(void)
{
    static const char *const hosts[] = {
        "",
        ":80",
        "evil.example",
        "localhost.evil.example",
        "barn.evil",
        "barn.",
        "barnx",
        "bar",
        "10.0.0.8",
        "10.0.0.7.",
        "127.0.0.1.evil",
        "127.0.0.1:80:90",
        "[::1",
        "[::1]x",
        "[::1]:",
        "localhost:",
        "localhost:a",
        "localhost:123456",
        "localhost/",
        "localhost@evil",
        " localhost",
        "barn.example.org.evil",
        "example.org",
        "barn.localx",
    };

    for (size_t i = 0; i < COUNT(hosts); i++)
        CU_ASSERT_FALSE(http_host_is_ours(hosts[i], "10.0.0.7", "barn.example.org"));
}

static void
host_without_a_machine_name_matches_no_suffix(void)
{
    CU_ASSERT_FALSE(http_host_is_ours(".local", "", ""));
    CU_ASSERT_FALSE(http_host_is_ours("x", "", ""));
    CU_ASSERT_TRUE(http_host_is_ours("localhost", "", ""));
}

static void
origin_is_ours_if_it_is_the_host(void)
{
    CU_ASSERT_TRUE(http_origin_is_ours("http://barn:8183", "barn:8183"));
    CU_ASSERT_TRUE(http_origin_is_ours("https://Barn", "barn"));
    CU_ASSERT_FALSE(http_origin_is_ours("http://barn:8184", "barn:8183"));
    CU_ASSERT_FALSE(http_origin_is_ours("http://barn", "barn:8183"));
    CU_ASSERT_FALSE(http_origin_is_ours("http://evil/barn:8183", "barn:8183"));
    CU_ASSERT_FALSE(http_origin_is_ours("barn:8183", "barn:8183"));
    CU_ASSERT_FALSE(http_origin_is_ours("null", "barn:8183"));
    CU_ASSERT_FALSE(http_origin_is_ours("", "barn:8183"));
}

static void
token_matches_only_itself(void)
{
    CU_ASSERT_TRUE(http_token_matches("Bearer geheim", "geheim"));
    CU_ASSERT_TRUE(http_token_matches("bearer geheim", "geheim"));
    CU_ASSERT_FALSE(http_token_matches(NULL, "geheim"));
    CU_ASSERT_FALSE(http_token_matches("", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer ", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer ", ""));
    CU_ASSERT_FALSE(http_token_matches("Basic geheim", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer geheiM", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer Geheim", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer gehei", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer geheimgeheim", "geheim"));
    CU_ASSERT_FALSE(http_token_matches("Bearer geheim ", "geheim"));
}

static void
content_type_is_json_or_absent(void)
{
    CU_ASSERT_TRUE(http_content_is_json(NULL));
    CU_ASSERT_TRUE(http_content_is_json("application/json"));
    CU_ASSERT_TRUE(http_content_is_json("Application/JSON; charset=utf-8"));
    CU_ASSERT_FALSE(http_content_is_json(""));
    CU_ASSERT_FALSE(http_content_is_json("application/jsonp"));
    CU_ASSERT_FALSE(http_content_is_json("text/plain"));
    CU_ASSERT_FALSE(http_content_is_json("application/x-www-form-urlencoded"));
}

/* Of a copy that ends where the text does, so that the sanitizer sees a read beyond it. */
static enum dm_result
decode(const char *text, char *out, size_t size)
{
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, text, len);
    enum dm_result result = http_percent_decode(dm_span(copy, len), out, size);
    free(copy);
    return result;
}

static void
percent_decode_undoes_the_encoding(void)
{
    static const char *const texts[][2] = {
        {"", ""},        {"abc", "abc"},       {"a%2Fb", "a/b"}, {"%41", "A"},
        {"%c3%A4", "ä"}, {"%25%32%35", "%25"}, {"a+b", "a+b"},
    };
    char out[16];

    for (size_t i = 0; i < COUNT(texts); i++) {
        CU_ASSERT_EQUAL(decode(texts[i][0], out, sizeof out), DM_OK);
        CU_ASSERT_STRING_EQUAL(out, texts[i][1]);
    }
}

static void
percent_decode_refuses_what_is_no_encoding(void)
{
    static const char *const texts[] = {"%", "%4", "a%", "a%4", "%zz", "%4g", "%g4", "%00", "%-1"};
    char out[16];

    for (size_t i = 0; i < COUNT(texts); i++)
        CU_ASSERT_EQUAL(decode(texts[i], out, sizeof out), DM_INVALID);
}

static void
percent_decode_stays_within_its_buffer(void)
{
    char out[4];

    CU_ASSERT_EQUAL(decode("a%62c", out, sizeof out), DM_OK);
    CU_ASSERT_STRING_EQUAL(out, "abc");
    CU_ASSERT_EQUAL(decode("abcd", out, sizeof out), DM_FULL);
    CU_ASSERT_EQUAL(decode("", out, 0), DM_FULL);
}

static void
number_parse_takes_decimal_digits_only(void)
{
    size_t number = 0;

    CU_ASSERT_TRUE(http_number_parse("0", 10, &number));
    CU_ASSERT_TRUE(http_number_parse("10", 10, &number));
    CU_ASSERT_EQUAL(number, 10);
    CU_ASSERT_FALSE(http_number_parse("11", 10, &number));
    CU_ASSERT_FALSE(http_number_parse("", 10, &number));
    CU_ASSERT_FALSE(http_number_parse("-1", 10, &number));
    CU_ASSERT_FALSE(http_number_parse("+1", 10, &number));
    CU_ASSERT_FALSE(http_number_parse("1x", 10, &number));
    CU_ASSERT_FALSE(http_number_parse("18446744073709551617", 10, &number));
}

static const struct unit_test tests[] = {
    UNIT_TEST(host_of_this_machine_is_ours),
    UNIT_TEST(host_of_strangers_is_not_ours),
    UNIT_TEST(host_without_a_machine_name_matches_no_suffix),
    UNIT_TEST(origin_is_ours_if_it_is_the_host),
    UNIT_TEST(token_matches_only_itself),
    UNIT_TEST(content_type_is_json_or_absent),
    UNIT_TEST(percent_decode_undoes_the_encoding),
    UNIT_TEST(percent_decode_refuses_what_is_no_encoding),
    UNIT_TEST(percent_decode_stays_within_its_buffer),
    UNIT_TEST(number_parse_takes_decimal_digits_only),
};

UNIT_MAIN("http request", tests)
