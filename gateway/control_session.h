/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about sessions and to what operators do to them. Each takes the request and gives the
 * answer, which may be an error, for the caller to delete; NULL: no memory. */
#ifndef DORMOUSE_CONTROL_SESSION_H
#define DORMOUSE_CONTROL_SESSION_H

#include "control.h"

struct cJSON;

#define CONTROL_LIST_MAX 100000 /* of offset and limit */

/* State, address, link quality and periods. */
void control_session_where(struct cJSON *object, const struct control_source *source,
                           const struct engine_session_status *session);

struct cJSON *control_session_list(const struct control_source *source,
                                   const struct cJSON *request);
struct cJSON *control_session_show(const struct control_source *source,
                                   const struct cJSON *request);
struct cJSON *control_session_queue(const struct control_source *source,
                                    const struct cJSON *request);
struct cJSON *control_session_drop(const struct control_source *source,
                                   const struct cJSON *request);
struct cJSON *control_session_disconnect(const struct control_source *source,
                                         const struct cJSON *request);
struct cJSON *control_session_forget(const struct control_source *source,
                                     const struct cJSON *request);

#endif
