/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a Paho gateway from memory, and what becomes of them. */
#include "paho_fixture.h"

#include <stdlib.h>
#include <string.h>

static void
must(int ok)
{
    if (!ok)
        abort();
}

void
paho_fixture_parse(const void *octets, size_t len, const char *path, enum paho_form form,
                   struct paho_file *file)
{
    FILE *in = tmpfile();

    must(in != NULL && fwrite(octets, 1, len, in) == len);
    rewind(in);
    must(paho_file_parse(in, path, form, file) == DM_OK);
    fclose(in);
}

void
paho_fixture_init(struct paho_fixture *fixture, const char *gateway, const char *clients,
                  const char *topics)
{
    *fixture = (struct paho_fixture){0};
    paho_fixture_parse(gateway, strlen(gateway), "g", PAHO_FORM_SETTINGS, &fixture->config.gateway);
    if (clients != NULL)
        paho_fixture_parse(clients, strlen(clients), "c", PAHO_FORM_LIST,
                           &fixture->config.lists[PAHO_LIST_CLIENTS]);
    if (topics != NULL)
        paho_fixture_parse(topics, strlen(topics), "t", PAHO_FORM_LIST, &fixture->config.topics);
    must(paho_config_complete(&fixture->config) == DM_OK);
}

void
paho_fixture_write(struct paho_fixture *fixture, enum paho_network network)
{
    free(fixture->ini);
    free(fixture->findings);
    FILE *ini = open_memstream(&fixture->ini, &fixture->ini_len);
    FILE *findings = open_memstream(&fixture->findings, &fixture->findings_len);
    must(ini != NULL && findings != NULL);
    fixture->count = paho_ini_write(&fixture->config, network, ini, findings);
    must(fclose(ini) == 0 && fclose(findings) == 0);
}

void
paho_fixture_fini(struct paho_fixture *fixture)
{
    paho_config_free(&fixture->config);
    free(fixture->ini);
    free(fixture->findings);
}
