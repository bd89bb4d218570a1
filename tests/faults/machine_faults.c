/* This Source Code Form is subject to the terms of the Mozilla Public
 * License, v. 2.0. If a copy of the MPL was not distributed with this
 * file, You can obtain one at https://mozilla.org/MPL/2.0/. */

/* A library to preload: disk and name service fail when a test says so.
 *
 * MACHINE_FAULTS_CONTROL is a file with three numbers of 32 bits that are looked at anew each time: the errno that
 * operations fail with that change something below the directory MACHINE_FAULTS_DIRECTORY, an absolute path without
 * symbolic links (0: nothing fails); how many of a hundred do; and whether the name service gives no answer. A write
 * that fails with ENOSPC writes half of its bytes first, as it does on a disk that is full. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile const int32_t *control;
static char directory[PATH_MAX];
static size_t directory_length;
static unsigned int operations;

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("MACHINE_FAULTS_DIRECTORY");
    const char *control_path = getenv("MACHINE_FAULTS_CONTROL");
    if (path == NULL || control_path == NULL)
        return;
    snprintf(directory, sizeof directory, "%s", path);
    directory_length = strlen(directory);
    int descriptor = open(control_path, O_RDONLY | O_CLOEXEC);
    void *map = descriptor < 0 ? MAP_FAILED : mmap(NULL, 12, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED) {
        perror(control_path);
        abort();
    }
    close(descriptor);
    control = map;
}

/* The errno that an operation on a path is to fail with, or 0. */
static int fault_of_path(const char *path)
{
    if (control == NULL || control[0] == 0 || path == NULL || strncmp(path, directory, directory_length) != 0)
        return 0;
    /* A number that looks random, the same in each run of a process. */
    uint32_t number = __atomic_add_fetch(&operations, 1, __ATOMIC_RELAXED) * 2654435761u;
    return (int32_t)((number >> 8) % 100) < control[1] ? control[0] : 0;
}

static int fault_of_descriptor(int descriptor)
{
    char link[64], path[PATH_MAX];
    if (control == NULL || control[0] == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fault_of_path(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(fault)                                                                                                 \
    do {                                                                                                               \
        int error = (fault);                                                                                           \
        if (error != 0) {                                                                                              \
            errno = error;                                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
    } while (0)

/* O_TMPFILE has more bits than its own. */
#define NEEDS_MODE(flags) (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE)

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        mode_t mode = 0;                                                                                               \
        if (NEEDS_MODE(flags)) {                                                                                       \
            va_list arguments;                                                                                         \
            va_start(arguments, flags);                                                                                \
            mode = va_arg(arguments, mode_t);                                                                          \
            va_end(arguments);                                                                                         \
        }                                                                                                              \
        if ((flags & O_ACCMODE) != O_RDONLY)                                                                           \
            FAIL_IF(fault_of_path(path));                                                                              \
        return REAL(name)(path, flags, mode);                                                                          \
    }

OPEN(open)
OPEN(open64)

ssize_t write(int descriptor, const void *data, size_t size)
{
    int error = fault_of_descriptor(descriptor);
    if (error == ENOSPC && size > 1)
        return REAL(write)(descriptor, data, size / 2);
    FAIL_IF(error);
    return REAL(write)(descriptor, data, size);
}

int fsync(int descriptor)
{
    FAIL_IF(fault_of_descriptor(descriptor));
    return REAL(fsync)(descriptor);
}

int mkdir(const char *path, mode_t mode)
{
    FAIL_IF(fault_of_path(path));
    return REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to)
{
    FAIL_IF(fault_of_path(to));
    return REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    FAIL_IF(fault_of_path(to));
    return REAL(link)(from, to);
}

int linkat(int from_descriptor, const char *from, int to_descriptor, const char *to, int flags)
{
    FAIL_IF(fault_of_path(to));
    return REAL(linkat)(from_descriptor, from, to_descriptor, to, flags);
}

int unlink(const char *path)
{
    FAIL_IF(fault_of_path(path));
    return REAL(unlink)(path);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    while (control != NULL && control[2] && node != NULL && (hints == NULL || !(hints->ai_flags & AI_NUMERICHOST)))
        usleep(20000);
    return REAL(getaddrinfo)(node, service, hints, result);
}
