/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a JSON answer, which is not trusted to be complete, as texts and as rows of a table. */
#ifndef DORMOUSE_TOOLS_OPERATOR_VALUES_H
#define DORMOUSE_TOOLS_OPERATOR_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <dormouse/result.h>

#include "table.h"

struct cJSON;

#define VALUES_TEXT_MAX 256 /* octets of one value as text */

extern const char values_absent[]; /* stands for what is missing */

/* False: missing, not a number, negative, or too large to be exact. */
bool values_number(const struct cJSON *object, const char *key, uint64_t *number);
/* False: missing, not a number, or beyond 16 bits. */
bool values_signed(const struct cJSON *object, const char *key, int *number);
bool values_is_true(const struct cJSON *object, const char *key);

/* Each of these writes to text[VALUES_TEXT_MAX] and returns it. */
const char *values_text(char *text, const struct cJSON *object, const char *key); /* escaped */
const char *values_count(char *text, const struct cJSON *object, const char *key);
/* `human` is one of human.h. */
const char *values_human(char *text, const struct cJSON *object, const char *key,
                         const char *(*human)(char *text, uint64_t number));
/* "-71 dBm"; a number that is not negative is the radio's own. */
const char *values_rssi(char *text, const struct cJSON *object);
const char *values_snr(char *text, const struct cJSON *object); /* "9 dB" */

/* The most telling figure of how well the device's radio was heard. */
const char *values_signal(char *text, const struct cJSON *session);

/* Adds the cells of a row. */
typedef enum dm_result values_add(struct table *table, const struct cJSON *object);

enum dm_result values_add_row(struct table *table, const char *const *cells, size_t count);
/* A row for each object of the list. */
enum dm_result values_print_table(const struct table_column *columns, size_t count, values_add *add,
                                  const struct cJSON *list, FILE *out);

#endif
