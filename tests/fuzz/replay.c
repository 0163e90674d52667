/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over kept inputs, without libFuzzer: any compiler, every test run. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

static void
fail(const char *what, const char *path)
{
    fprintf(stderr, "%s ", what);
    perror(path);
    exit(EXIT_FAILURE);
}

/* The input stands in memory of exactly its size, so that a sanitizer sees a read beyond it. */
static void
replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        fail("cannot open", path);
    rewind(file);
    uint8_t *data = fuzz_alloc((size_t)size);
    if (fread(data, 1, (size_t)size, file) != (size_t)size)
        fail("cannot read", path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

static size_t
replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    size_t played = 0;

    if (count < 0)
        fail("cannot read", folder);
    for (int i = 0; i < count; i++) {
        char path[4096];

        if (entries[i]->d_name[0] != '.') {
            int len = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);

            if (len < 0 || (size_t)len >= sizeof path)
                fail("too long:", folder);
            /* The name of an input that ends the process is the last one printed. */
            printf("%s\n", entries[i]->d_name);
            fflush(stdout);
            replay_file(path);
            played++;
        }
        free(entries[i]);
    }
    free(entries);
    return played;
}

int
main(int argc, char **argv)
{
    size_t played = 0;

    for (int i = 1; i < argc; i++)
        played += replay_folder(argv[i]);
    if (played == 0) {
        fprintf(stderr, "usage: %s FOLDER... (with at least one input)\n", argv[0]);
        return EXIT_FAILURE;
    }
    printf("%zu inputs\n", played);
    return EXIT_SUCCESS;
}
