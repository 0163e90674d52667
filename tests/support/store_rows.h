/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as one number, by the columns that the schema gives them; and files of earlier schemas. */
#ifndef DORMOUSE_TESTS_STORE_ROWS_H
#define DORMOUSE_TESTS_STORE_ROWS_H

#include "store_fixture.h"
#include "store_schema.h"

#define ROW_HASH_START UINT64_C(14695981039346656037)

static inline uint64_t
hash_octets(uint64_t hash, const void *octets, size_t len)
{
    const uint8_t *data = octets;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

static inline uint64_t
hash_column(uint64_t hash, const struct schema_column *column, const struct store_record *record)
{
    static const size_t sizes[] = {
        [SCHEMA_BOOL] = sizeof(bool),    [SCHEMA_U8] = sizeof(uint8_t),
        [SCHEMA_U16] = sizeof(uint16_t), [SCHEMA_U32] = sizeof(uint32_t),
        [SCHEMA_U64] = sizeof(uint64_t),
    };
    const void *field = (const uint8_t *)record + column->offset;

    if (column->type != SCHEMA_TEXT && column->type != SCHEMA_BLOB)
        return hash_octets(hash, field, sizes[column->type]);
    const struct dm_span *span = field;
    hash = hash_octets(hash, &span->len, sizeof span->len);
    return hash_octets(hash, span->data, span->len);
}

/* Equal rows, equal numbers. Goes on with one more row, so that the order counts, too. */
static inline uint64_t
hash_row(uint64_t hash, const struct store_record *record)
{
    hash = hash_octets(hash, &record->op, sizeof record->op);
    for (size_t i = 0; i < SCHEMA_TABLE_COUNT; i++) {
        const struct schema_table *table = &schema_tables[i];
        for (size_t c = 0; table->put == record->op && c < table->column_count; c++)
            hash = hash_column(hash, &table->columns[c], record);
    }
    return hash;
}

/* A database of version 1 to SCHEMA_VERSION with two rows, as that version left it, in a directory
 * without one. */
static inline void
make_old_database(struct fixture *f, unsigned version)
{
    char sql[256];

    with_database(f, "PRAGMA journal_mode = WAL", NULL, 0);
    for (unsigned step = 0; step < version; step++)
        with_database(f, schema_migrations[step], NULL, 0);
    snprintf(sql, sizeof sql,
             "INSERT INTO inbound %s;"
             "PRAGMA application_id = %d; PRAGMA user_version = %u;",
             version < 6 ? "(packet_id) VALUES (50), (51)" : "VALUES (0, 50, 0), (0, 51, 0)",
             SCHEMA_APPLICATION_ID, version);
    with_database(f, sql, NULL, 0);
}

#endif
