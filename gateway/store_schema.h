/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the database looks like: tables, columns, the steps from each version of the schema to the
 * next, and the SQL of every store operation. Text only, no SQLite calls.
 */
#ifndef DORMOUSE_STORE_SCHEMA_H
#define DORMOUSE_STORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "store.h"

#define SCHEMA_APPLICATION_ID 0x446f726d /* "Dorm": marks the file as ours */
#define SCHEMA_VERSION 7

/* schema_migrations[n] makes version n + 1 of version n. A step that was published never changes.
 */
extern const char *const schema_migrations[SCHEMA_VERSION];

enum schema_type {
    SCHEMA_BOOL,
    SCHEMA_U8,
    SCHEMA_U16,
    SCHEMA_U32,
    SCHEMA_U64,  /* kept in 63 bits */
    SCHEMA_TEXT, /* a blob if it is not valid UTF-8 */
    SCHEMA_BLOB,
};

struct schema_column {
    const char *name;
    enum schema_type type;
    size_t offset; /* of the field in struct store_record */
};

struct schema_table {
    const char *name;
    enum store_op put; /* the operation that makes a row */
    const struct schema_column *columns;
    size_t column_count;
    size_t key_count; /* the first columns are the primary key */
};

/* In the order in which rows are loaded. */
#define SCHEMA_TABLE_COUNT 14
extern const struct schema_table schema_tables[SCHEMA_TABLE_COUNT];

/* One statement that an operation runs; it binds the first `bound` columns of the table. */
struct schema_step {
    enum store_op op;
    const struct schema_table *table;
    size_t bound;
    bool deletes; /* rows whose first `bound` columns match; false: puts a row */
};

/* The steps of one operation stand together, in the order in which they run. */
#define SCHEMA_STEP_COUNT 41
extern const struct schema_step schema_steps[SCHEMA_STEP_COUNT];

/* Valid UTF-8 without NUL, which the sqlite3 shell shows whole: text; all else is a blob. */
bool schema_is_text(struct dm_span octets);

#define SCHEMA_SQL_SIZE 512
void schema_step_sql(const struct schema_step *step, char sql[SCHEMA_SQL_SIZE]);
/* Every row of the table in the order of its keys. */
void schema_load_sql(const struct schema_table *table, char sql[SCHEMA_SQL_SIZE]);

#endif
