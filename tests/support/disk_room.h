/* SPDX-License-Identifier: Apache-2.0 */
/* A small file system in memory, and a balloon in it that leaves as much room as a test wants. */
#ifndef DORMOUSE_TESTS_DISK_ROOM_H
#define DORMOUSE_TESTS_DISK_ROOM_H

#include <stddef.h>

#define DISK_ROOM_PAGE 4096u /* room is counted in these */

/* Mounts it on an existing directory, for this process and its children only. */
void disk_room_mount(const char *directory, size_t octets);
void disk_room_unmount(const char *directory);

/* Blows the balloon up, or lets air out, until `pages` are free. */
void disk_room_leave(const char *directory, unsigned pages);
/* No balloon. */
void disk_room_free(const char *directory);

#endif
