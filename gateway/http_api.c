/* SPDX-License-Identifier: Apache-2.0 */
/* The paths of the API: each asks what a request at the control socket asks, and gives its answer.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "control_json.h"
#include "control_session.h"
#include "http_private.h"
#include "http_request.h"

enum { ID_SIZE = 1024 };

#define SESSIONS_PATH "/api/v1/sessions"

static const char json_type[] = "application/json";

/* True if the method is one of the path's; else it was answered. */
static bool
check_method(struct evhttp_request *request, bool changes)
{
    bool posts = evhttp_request_get_command(request) == EVHTTP_REQ_POST;

    if (posts == changes)
        return true;
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow",
                      changes ? "POST" : "GET, HEAD");
    http_reply_error(request, 405, changes ? "only POST here" : "only GET here");
    return false;
}

/* Only a page of ours or a program may change something, and only with the token. False: it was
 * answered. */
static bool
check_right(const struct http *http, struct evhttp_request *request)
{
    struct evkeyvalq *in = evhttp_request_get_input_headers(request);
    const char *origin = evhttp_find_header(in, "Origin");
    const char *host = evhttp_find_header(in, "Host");

    if (origin != NULL && (host == NULL || !http_origin_is_ours(origin, host))) {
        http_reply_error(request, 403, "asked for by a page of another site");
    } else if (!http_content_is_json(evhttp_find_header(in, "Content-Type"))) {
        http_reply_error(request, 415, "the body must be application/json or absent");
    } else if (http->token == NULL) {
        http_reply_error(request, 403, "read-only: no token_file is configured");
    } else if (!http_token_matches(evhttp_find_header(in, "Authorization"), http->token)) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "WWW-Authenticate", "Bearer");
        http_reply_error(request, 401, "needs Authorization: Bearer TOKEN");
    } else {
        return true;
    }
    return false;
}

/* NULL: no memory, and then no answer either. */
static cJSON *
new_question(const char *command, const char *client_id)
{
    cJSON *question = cJSON_CreateObject();

    cJSON_AddStringToObject(question, "command", command);
    if (client_id != NULL)
        cJSON_AddStringToObject(question, "client_id", client_id);
    return question;
}

/* What the control socket refuses is either not there or wrongly asked for. */
static int
code_of(const char *answer)
{
    int code = 200;

    if (strncmp(answer, "{\"error\":", 9) == 0) {
        cJSON *object = cJSON_Parse(answer);
        const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "error"));

        code = error != NULL && (strncmp(error, "no session", 10) == 0 ||
                                 strcmp(error, "unknown command") == 0)
                   ? 404
                   : 400;
        cJSON_Delete(object);
    }
    return code;
}

/* With what the control socket answers. */
static void
answer_question(const struct http *http, struct evhttp_request *request, const cJSON *question)
{
    char *text = cJSON_PrintUnformatted(question);
    char *answer = text != NULL ? control_answer(&http->source, dm_span_text(text)) : NULL;

    if (answer == NULL)
        http_reply_error(request, 503, "out of memory");
    else
        http_reply_text(request, code_of(answer), json_type, answer);
    free(answer);
    free(text);
}

static void
answer_command(const struct http *http, struct evhttp_request *request, const char *command,
               const char *client_id)
{
    cJSON *question = new_question(command, client_id);

    answer_question(http, request, question);
    cJSON_Delete(question);
}

/* ---- the list of sessions ---- */

/* What the query asks for, as the control socket is asked. NULL, or what is wrong. */
static const char *
read_query(const struct evkeyvalq *values, cJSON *question)
{
    static const char *const texts[][2] = {{"state", "state"}, {"filter", "part"}};
    static const char *const numbers[][2] = {{"offset", "offset: is no number in 0 .. 100000"},
                                             {"limit", "limit: is no number in 0 .. 100000"}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = evhttp_find_header(values, texts[i][0]);

        if (text != NULL)
            cJSON_AddStringToObject(question, texts[i][1], text);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const char *text = evhttp_find_header(values, numbers[i][0]);
        size_t number;

        if (text == NULL)
            continue;
        if (!http_number_parse(text, CONTROL_LIST_MAX, &number))
            return numbers[i][1];
        cJSON_AddNumberToObject(question, numbers[i][0], (double)number);
    }
    return NULL;
}

static void
answer_list(const struct http *http, struct evhttp_request *request)
{
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    struct evkeyvalq values = {0};

    if (text != NULL && *text != '\0' && evhttp_parse_query_str(text, &values) != 0) {
        http_reply_error(request, 400, "the query makes no sense");
        return;
    }
    cJSON *question = new_question("sessions", NULL);
    const char *wrong = read_query(&values, question);

    evhttp_clear_headers(&values);
    if (wrong != NULL)
        http_reply_error(request, 400, wrong);
    else
        answer_question(http, request, question);
    cJSON_Delete(question);
}

/* ---- one session ---- */

static const struct action {
    const char *path;    /* behind the id */
    const char *command; /* of the control socket */
    bool changes;
} actions[] = {
    {"", "show", false},         {"/queue", "queue", false},    {"/disconnect", "disconnect", true},
    {"/forget", "forget", true}, {"/drop-queue", "drop", true},
};

/* `rest` is the path behind "/api/v1/sessions/". */
static bool
answer_session(const struct http *http, struct evhttp_request *request, const char *rest)
{
    size_t len = strcspn(rest, "/");
    const struct action *action = NULL;
    char id[ID_SIZE], name[256];

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(rest + len, actions[i].path) == 0)
            action = &actions[i];
    if (action == NULL || len == 0)
        return false;
    if (!check_method(request, action->changes) || (action->changes && !check_right(http, request)))
        return true;
    if (http_percent_decode(dm_span(rest, len), id, sizeof id) != DM_OK) {
        http_reply_error(request, 400, "this is no client id");
        return true;
    }
    if (action->changes)
        log_notice("http", "%s %s", action->command,
                   log_escape(name, sizeof name, dm_span_text(id)));
    answer_command(http, request, action->command, id);
    return true;
}

/* ---- the rest ---- */

/* A gateway without its broker does what it is for, so that this is no reason to restart it. */
static void
answer_health(const struct http *http, struct evhttp_request *request)
{
    struct store_status store;
    struct upstream_status broker;
    char text[sizeof store.error + sizeof broker.error + 64] = "ok\n";

    http->source.store->ops->status(http->source.store, &store);
    http->source.upstream->ops->status(http->source.upstream, &broker);
    if (store.degraded)
        snprintf(text, sizeof text, "store degraded: %s\n", store.error);
    else if (broker.state != UPSTREAM_CONNECTED)
        snprintf(text, sizeof text, "ok, but the broker is away: %s\n",
                 broker.error[0] != '\0' ? broker.error : "connecting");
    http_reply_text(request, store.degraded ? 503 : 200, "text/plain; charset=utf-8", text);
}

static void
answer_metrics(struct http *http, struct evhttp_request *request)
{
    struct evbuffer *body = evbuffer_new();

    if (body == NULL) {
        http_reply_error(request, 503, "out of memory");
        return;
    }
    http_metrics(http, body);
    http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", body);
    evbuffer_free(body);
}

bool
http_api(struct http *http, struct evhttp_request *request, const char *path)
{
    static const char *const paths[] = {"/healthz", "/metrics", "/api/v1/status", SESSIONS_PATH,
                                        "/api/v1/events"};
    size_t which = 0, count = sizeof paths / sizeof paths[0];

    if (strncmp(path, SESSIONS_PATH "/", sizeof SESSIONS_PATH) == 0)
        return answer_session(http, request, path + sizeof SESSIONS_PATH);
    while (which < count && strcmp(path, paths[which]) != 0)
        which++;
    if (which == count)
        return false;
    if (!check_method(request, false))
        return true;
    switch (which) {
    case 0:
        answer_health(http, request);
        break;
    case 1:
        answer_metrics(http, request);
        break;
    case 2:
        answer_command(http, request, "status", NULL);
        break;
    case 3:
        answer_list(http, request);
        break;
    default:
        http_events_listen(http->events, request);
        break;
    }
    return true;
}
