/* Preloaded into a process, keeps of each of its database's files what was last synced.
 *
 * After each fsync and fdatasync of a file whose name begins with "netra.db", the file is copied
 * into the directory NETRA_SYNCED. What was written since is not in the copy: so these files are
 * what a power cut leaves when the disk has lost everything that it was not told to keep. A file
 * that was deleted is there until its directory is synced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const NAMES[] = {"netra.db-journal", "netra.db-wal"};

static void forget(const char *directory, const char *kept) {
    char path[8192];
    snprintf(path, sizeof path, "%s/netra.db", directory);
    if (access(path, F_OK) != 0) return;
    for (unsigned number = 0; number < sizeof NAMES / sizeof *NAMES; number++) {
        snprintf(path, sizeof path, "%s/%s", directory, NAMES[number]);
        if (access(path, F_OK) == 0) continue;
        snprintf(path, sizeof path, "%s/%s", kept, NAMES[number]);
        unlink(path);
    }
}

static void keep(int descriptor) {
    char link[64], path[4096], kept[8192], part[8256], buffer[65536];
    const char *directory = getenv("NETRA_SYNCED"), *name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (directory == NULL || length < 0) return;
    path[length] = 0;
    forget(path, directory);
    name = strrchr(path, '/');
    if (name == NULL || strncmp(name, "/netra.db", 9) != 0) return;
    snprintf(kept, sizeof kept, "%s%s", directory, name);
    snprintf(part, sizeof part, "%s.part", kept);
    int from = open(path, O_RDONLY), to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || to < 0) _exit(99);
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, length) != length) _exit(99);
    close(from);
    close(to);
    if (length < 0 || rename(part, kept) != 0) _exit(99);
}

#define KEEPING(name)                                              \
    int name(int descriptor) {                                     \
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);  \
        int result = real(descriptor);                             \
        if (result == 0) keep(descriptor);                         \
        return result;                                             \
    }

KEEPING(fsync)
KEEPING(fdatasync)
