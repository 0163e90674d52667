/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, columns, migrations and the SQL of every store operation. */
#include "store_schema.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* Without rowid where the key has several columns or is text: one tree instead of two. */
const char *const schema_migrations[SCHEMA_VERSION] = {
    "CREATE TABLE broker ("
    " broker TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE filter ("
    " filter TEXT PRIMARY KEY,"
    " upstream_id INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE inbound ("
    " packet_id INTEGER PRIMARY KEY);"
    "CREATE TABLE session ("
    " session INTEGER PRIMARY KEY,"
    " client_id TEXT NOT NULL,"
    " clean INTEGER NOT NULL,"
    " mode INTEGER NOT NULL,"
    " keepalive_s INTEGER NOT NULL,"
    " sleep_s INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL,"
    " address TEXT NOT NULL);"
    "CREATE TABLE topic ("
    " session INTEGER NOT NULL,"
    " topic_id INTEGER NOT NULL,"
    " topic TEXT NOT NULL,"
    " epoch INTEGER NOT NULL,"
    " PRIMARY KEY (session, topic_id)) WITHOUT ROWID;"
    "CREATE TABLE subscription ("
    " session INTEGER NOT NULL,"
    " filter TEXT NOT NULL,"
    " topic_type INTEGER NOT NULL,"
    " topic_id INTEGER NOT NULL,"
    " qos INTEGER NOT NULL,"
    " upstream_id INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " PRIMARY KEY (session, filter)) WITHOUT ROWID;"
    "CREATE TABLE message ("
    " message INTEGER PRIMARY KEY,"
    " topic TEXT NOT NULL,"
    " payload BLOB NOT NULL,"
    " qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL);"
    "CREATE TABLE delivery ("
    " session INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " message INTEGER NOT NULL,"
    " msg_id INTEGER NOT NULL,"
    " qos INTEGER NOT NULL,"
    " sent INTEGER NOT NULL,"
    " PRIMARY KEY (session, position)) WITHOUT ROWID;"
    "CREATE TABLE spool ("
    " position INTEGER PRIMARY KEY,"
    " session INTEGER NOT NULL,"
    " msg_id INTEGER NOT NULL,"
    " packet_id INTEGER NOT NULL,"
    " topic TEXT NOT NULL,"
    " payload BLOB NOT NULL,"
    " qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL);",
    "CREATE TABLE upstream_release (" /* RELEASE alone is a word of SQL */
    " packet_id INTEGER PRIMARY KEY);"
    "CREATE TABLE will ("
    " session INTEGER PRIMARY KEY,"
    " topic TEXT NOT NULL,"
    " payload BLOB NOT NULL,"
    " qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL);"
    "CREATE TABLE received ("
    " session INTEGER NOT NULL,"
    " msg_id INTEGER NOT NULL,"
    " content INTEGER NOT NULL,"
    " PRIMARY KEY (session, msg_id)) WITHOUT ROWID;"
    "ALTER TABLE delivery ADD COLUMN released INTEGER NOT NULL DEFAULT 0;",
    "CREATE TABLE clock ("
    " boot TEXT PRIMARY KEY,"
    " gateway_ms INTEGER NOT NULL,"
    " boot_ms INTEGER NOT NULL,"
    " wall_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "ALTER TABLE filter RENAME TO old_filter;"
    "CREATE TABLE filter ("
    " filter TEXT NOT NULL,"
    " upstream_id INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " PRIMARY KEY (filter, upstream_id)) WITHOUT ROWID;"
    "INSERT INTO filter SELECT filter, upstream_id, 1 FROM old_filter WHERE filter <> '';"
    "INSERT INTO filter SELECT filter, 0, upstream_id FROM old_filter WHERE filter = '';"
    "DROP TABLE old_filter;"
    "ALTER TABLE inbound ADD COLUMN content INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE session ADD COLUMN msg_id INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN packet_id INTEGER NOT NULL DEFAULT 0;",
    "CREATE TABLE copy ("
    " session INTEGER NOT NULL,"
    " qos INTEGER NOT NULL,"
    " message INTEGER NOT NULL,"
    " content INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " filters BLOB NOT NULL,"
    " taken INTEGER NOT NULL,"
    " PRIMARY KEY (session, qos)) WITHOUT ROWID;",
    "ALTER TABLE delivery ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE broker RENAME TO old_broker;"
    "CREATE TABLE broker ("
    " broker INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL,"
    " used INTEGER NOT NULL);"
    "INSERT INTO broker SELECT 0, broker, 0 FROM old_broker;"
    "DROP TABLE old_broker;"
    "ALTER TABLE filter RENAME TO old_filter;"
    "CREATE TABLE filter ("
    " broker INTEGER NOT NULL,"
    " filter TEXT NOT NULL,"
    " upstream_id INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " PRIMARY KEY (broker, filter, upstream_id)) WITHOUT ROWID;"
    "INSERT INTO filter SELECT 0, filter, upstream_id, position FROM old_filter;"
    "DROP TABLE old_filter;"
    "ALTER TABLE inbound RENAME TO old_inbound;"
    "CREATE TABLE inbound ("
    " broker INTEGER NOT NULL,"
    " packet_id INTEGER NOT NULL,"
    " content INTEGER NOT NULL,"
    " PRIMARY KEY (broker, packet_id)) WITHOUT ROWID;"
    "INSERT INTO inbound SELECT 0, packet_id, content FROM old_inbound;"
    "DROP TABLE old_inbound;"
    "ALTER TABLE upstream_release RENAME TO old_release;"
    "CREATE TABLE upstream_release ("
    " broker INTEGER NOT NULL,"
    " packet_id INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " sent INTEGER NOT NULL,"
    " PRIMARY KEY (broker, packet_id)) WITHOUT ROWID;"
    "INSERT INTO upstream_release SELECT 0, packet_id, 0, 0 FROM old_release;"
    "DROP TABLE old_release;"
    "ALTER TABLE copy RENAME TO old_copy;"
    "CREATE TABLE copy ("
    " session INTEGER NOT NULL,"
    " broker INTEGER NOT NULL,"
    " qos INTEGER NOT NULL,"
    " message INTEGER NOT NULL,"
    " content INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " filters BLOB NOT NULL,"
    " taken INTEGER NOT NULL,"
    " PRIMARY KEY (session, broker, qos)) WITHOUT ROWID;"
    "INSERT INTO copy SELECT session, 0, qos, message, content, position, filters, taken"
    " FROM old_copy;"
    "DROP TABLE old_copy;"
    "ALTER TABLE message ADD COLUMN broker INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE session ADD COLUMN upstream INTEGER NOT NULL DEFAULT 0;",
};

#define COLUMN(name, type, field)                                                                  \
    {                                                                                              \
        name, SCHEMA_##type, offsetof(struct store_record, field)                                  \
    }

static const struct schema_column clock_columns[] = {
    COLUMN("boot", TEXT, name),
    COLUMN("gateway_ms", U64, clock.gateway_ms),
    COLUMN("boot_ms", U64, clock.boot_ms),
    COLUMN("wall_ms", U64, clock.wall_ms),
};
static const struct schema_column broker_columns[] = {
    COLUMN("broker", U64, broker),
    COLUMN("name", TEXT, name),
    COLUMN("used", U64, order),
};
static const struct schema_column filter_columns[] = {
    COLUMN("broker", U64, broker),
    COLUMN("filter", TEXT, name),
    COLUMN("upstream_id", U32, upstream_id),
    COLUMN("position", U64, order),
};
static const struct schema_column inbound_columns[] = {
    COLUMN("broker", U64, broker),
    COLUMN("packet_id", U16, packet_id),
    COLUMN("content", U64, content),
};
static const struct schema_column session_columns[] = {
    COLUMN("session", U64, session),
    COLUMN("client_id", TEXT, client_id),
    COLUMN("clean", BOOL, clean),
    COLUMN("mode", U8, mode),
    COLUMN("keepalive_s", U16, keepalive_s),
    COLUMN("sleep_s", U16, sleep_s),
    COLUMN("epoch", U32, epoch),
    COLUMN("address", TEXT, address),
    COLUMN("msg_id", U16, msg_id),
    COLUMN("upstream", U8, upstream),
};
static const struct schema_column will_columns[] = {
    COLUMN("session", U64, session),  COLUMN("topic", TEXT, name),
    COLUMN("payload", BLOB, payload), COLUMN("qos", U8, qos),
    COLUMN("retain", BOOL, retain),
};
static const struct schema_column received_columns[] = {
    COLUMN("session", U64, session),
    COLUMN("msg_id", U16, msg_id),
    COLUMN("content", U64, content),
};
static const struct schema_column topic_columns[] = {
    COLUMN("session", U64, session),
    COLUMN("topic_id", U16, topic_id),
    COLUMN("topic", TEXT, name),
    COLUMN("epoch", U32, epoch),
};
static const struct schema_column subscription_columns[] = {
    COLUMN("session", U64, session),
    COLUMN("filter", TEXT, name),
    COLUMN("topic_type", U8, topic_type),
    COLUMN("topic_id", U16, topic_id),
    COLUMN("qos", U8, qos),
    COLUMN("upstream_id", U32, upstream_id),
    COLUMN("position", U64, order),
};
static const struct schema_column message_columns[] = {
    COLUMN("message", U64, message),     COLUMN("topic", TEXT, name),
    COLUMN("payload", BLOB, payload),    COLUMN("qos", U8, qos),
    COLUMN("retain", BOOL, retain),      COLUMN("expires", U64, expires),
    COLUMN("packet_id", U16, packet_id), COLUMN("broker", U64, broker),
};
static const struct schema_column delivery_columns[] = {
    COLUMN("session", U64, session),
    COLUMN("position", U64, order),
    COLUMN("message", U64, message),
    COLUMN("msg_id", U16, msg_id),
    COLUMN("qos", U8, qos),
    COLUMN("sent", BOOL, sent),
    COLUMN("released", BOOL, released),
    COLUMN("expires", U64, expires),
};
static const struct schema_column spool_columns[] = {
    COLUMN("position", U64, order), COLUMN("session", U64, session),
    COLUMN("msg_id", U16, msg_id),  COLUMN("packet_id", U16, packet_id),
    COLUMN("topic", TEXT, name),    COLUMN("payload", BLOB, payload),
    COLUMN("qos", U8, qos),         COLUMN("retain", BOOL, retain),
};
static const struct schema_column upstream_release_columns[] = {
    COLUMN("broker", U64, broker),
    COLUMN("packet_id", U16, packet_id),
    COLUMN("position", U64, order),
    COLUMN("sent", BOOL, sent),
};
static const struct schema_column copy_columns[] = {
    COLUMN("session", U64, session),  COLUMN("broker", U64, broker),
    COLUMN("qos", U8, qos),           COLUMN("message", U64, message),
    COLUMN("content", U64, content),  COLUMN("position", U64, order),
    COLUMN("filters", BLOB, payload), COLUMN("taken", BOOL, taken),
};
/* The same rows, found by their broker. */
static const struct schema_column copy_of_broker_columns[] = {
    COLUMN("broker", U64, broker),
};
static const struct schema_table copy_of_broker = {"copy", STORE_COPY_PUT, copy_of_broker_columns,
                                                   1, 1};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define TABLE(name, op, keys)                                                                      \
    {                                                                                              \
#name, op, name##_columns, LENGTH(name##_columns), keys                                    \
    }

enum {
    CLOCK,
    BROKER,
    FILTER,
    INBOUND,
    SESSION,
    WILL,
    RECEIVED,
    TOPIC,
    SUBSCRIPTION,
    MESSAGE,
    DELIVERY,
    SPOOL,
    RELEASE,
    COPY,
};

const struct schema_table schema_tables[SCHEMA_TABLE_COUNT] = {
    [CLOCK] = TABLE(clock, STORE_CLOCK_PUT, 1),
    [BROKER] = TABLE(broker, STORE_BROKER_PUT, 1),
    [FILTER] = TABLE(filter, STORE_FILTER_PUT, 3),
    [INBOUND] = TABLE(inbound, STORE_INBOUND_PUT, 2),
    [SESSION] = TABLE(session, STORE_SESSION_PUT, 1),
    [WILL] = TABLE(will, STORE_WILL_PUT, 1),
    [RECEIVED] = TABLE(received, STORE_RECEIVED_PUT, 2),
    [TOPIC] = TABLE(topic, STORE_TOPIC_PUT, 2),
    [SUBSCRIPTION] = TABLE(subscription, STORE_SUBSCRIPTION_PUT, 2),
    [MESSAGE] = TABLE(message, STORE_MESSAGE_PUT, 1),
    [DELIVERY] = TABLE(delivery, STORE_DELIVERY_PUT, 2),
    [SPOOL] = TABLE(spool, STORE_SPOOL_PUT, 1),
    [RELEASE] = TABLE(upstream_release, STORE_RELEASE_PUT, 2),
    [COPY] = TABLE(copy, STORE_COPY_PUT, 3),
};

#define PUT(op, table, columns)                                                                    \
    {                                                                                              \
        op, &schema_tables[table], LENGTH(columns), false                                          \
    }
#define DELETE(op, table, keys)                                                                    \
    {                                                                                              \
        op, &schema_tables[table], keys, true                                                      \
    }

const struct schema_step schema_steps[SCHEMA_STEP_COUNT] = {
    PUT(STORE_SESSION_PUT, SESSION, session_columns),
    DELETE(STORE_SESSION_DELETE, SESSION, 1),
    DELETE(STORE_SESSION_DELETE, WILL, 1),
    DELETE(STORE_SESSION_DELETE, RECEIVED, 1),
    DELETE(STORE_SESSION_DELETE, TOPIC, 1),
    DELETE(STORE_SESSION_DELETE, SUBSCRIPTION, 1),
    DELETE(STORE_SESSION_DELETE, DELIVERY, 1),
    DELETE(STORE_SESSION_DELETE, COPY, 1),
    PUT(STORE_WILL_PUT, WILL, will_columns),
    DELETE(STORE_WILL_DELETE, WILL, 1),
    PUT(STORE_RECEIVED_PUT, RECEIVED, received_columns),
    DELETE(STORE_RECEIVED_DELETE, RECEIVED, 2),
    PUT(STORE_TOPIC_PUT, TOPIC, topic_columns),
    PUT(STORE_SUBSCRIPTION_PUT, SUBSCRIPTION, subscription_columns),
    DELETE(STORE_SUBSCRIPTION_DELETE, SUBSCRIPTION, 2),
    PUT(STORE_MESSAGE_PUT, MESSAGE, message_columns),
    DELETE(STORE_MESSAGE_DELETE, MESSAGE, 1),
    PUT(STORE_DELIVERY_PUT, DELIVERY, delivery_columns),
    DELETE(STORE_DELIVERY_DELETE, DELIVERY, 2),
    PUT(STORE_SPOOL_PUT, SPOOL, spool_columns),
    DELETE(STORE_SPOOL_DELETE, SPOOL, 1),
    PUT(STORE_INBOUND_PUT, INBOUND, inbound_columns),
    DELETE(STORE_INBOUND_DELETE, INBOUND, 2),
    PUT(STORE_RELEASE_PUT, RELEASE, upstream_release_columns),
    DELETE(STORE_RELEASE_DELETE, RELEASE, 2),
    PUT(STORE_FILTER_PUT, FILTER, filter_columns),
    DELETE(STORE_FILTER_DELETE, FILTER, 3),
    DELETE(STORE_BROKER_PUT, FILTER, 1),
    DELETE(STORE_BROKER_PUT, INBOUND, 1),
    DELETE(STORE_BROKER_PUT, RELEASE, 1),
    {STORE_BROKER_PUT, &copy_of_broker, 1, true},
    PUT(STORE_BROKER_PUT, BROKER, broker_columns),
    PUT(STORE_BROKER_USE, BROKER, broker_columns),
    DELETE(STORE_BROKER_DELETE, FILTER, 1),
    DELETE(STORE_BROKER_DELETE, INBOUND, 1),
    DELETE(STORE_BROKER_DELETE, RELEASE, 1),
    {STORE_BROKER_DELETE, &copy_of_broker, 1, true},
    DELETE(STORE_BROKER_DELETE, BROKER, 1),
    PUT(STORE_COPY_PUT, COPY, copy_columns),
    DELETE(STORE_CLOCK_PUT, CLOCK, 0),
    PUT(STORE_CLOCK_PUT, CLOCK, clock_columns),
};

struct sql_text {
    char *text; /* of SCHEMA_SQL_SIZE octets */
    size_t used;
};

static void __attribute__((format(printf, 2, 3))) add(struct sql_text *sql, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(sql->text + sql->used, SCHEMA_SQL_SIZE - sql->used, format, arguments);
    va_end(arguments);
    assert(len >= 0 && (size_t)len < SCHEMA_SQL_SIZE - sql->used);
    sql->used += (size_t)len;
}

static void
add_names(struct sql_text *sql, const struct schema_table *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(sql, "%s%s", i > 0 ? ", " : "", table->columns[i].name);
}

void
schema_step_sql(const struct schema_step *step, char sql[SCHEMA_SQL_SIZE])
{
    const struct schema_table *table = step->table;
    struct sql_text out = {.text = sql};

    if (step->deletes) {
        add(&out, "DELETE FROM %s", table->name);
        for (size_t i = 0; i < step->bound; i++)
            add(&out, " %s %s = ?", i == 0 ? "WHERE" : "AND", table->columns[i].name);
        return;
    }
    add(&out, "INSERT OR REPLACE INTO %s (", table->name);
    add_names(&out, table, table->column_count);
    add(&out, ") VALUES (");
    for (size_t i = 0; i < step->bound; i++)
        add(&out, "%s", i > 0 ? ", ?" : "?");
    add(&out, ")");
}

void
schema_load_sql(const struct schema_table *table, char sql[SCHEMA_SQL_SIZE])
{
    struct sql_text out = {.text = sql};

    add(&out, "SELECT ");
    add_names(&out, table, table->column_count);
    add(&out, " FROM %s ORDER BY ", table->name);
    add_names(&out, table, table->key_count);
}

bool
schema_is_text(struct dm_span octets)
{
    static const uint32_t smallest[] = {0, 1, 0x80, 0x800, 0x10000}; /* by length in octets */
    size_t i = 0;

    while (i < octets.len) {
        uint8_t head = octets.data[i++];
        size_t len = head < 0x80 ? 1 : head < 0xc0 ? 0 : head < 0xe0 ? 2 : head < 0xf0 ? 3 : 4;
        if (head == 0 || head > 0xf4 || len == 0 || len - 1 > octets.len - i)
            return false;
        uint32_t point = len == 1 ? head : head & (0x7fu >> len);
        for (size_t more = len - 1; more > 0; more--, i++) {
            if ((octets.data[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (octets.data[i] & 0x3fu);
        }
        if (point < smallest[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}
