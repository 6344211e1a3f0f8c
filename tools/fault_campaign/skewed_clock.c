/* A host's own clock for several hosts on one machine: preloaded (LD_PRELOAD) into all that a host starts.
 *
 * The file that SKEWED_CLOCK names holds three numbers of 64 bits, the first two in nanoseconds: what is added to the
 * wall clock and to the times of files, and what is added to the clock that counts on while a machine sleeps
 * (CLOCK_BOOTTIME). It is mapped, so that the clocks of processes that run can be set. CLOCK_MONOTONIC stays as it is:
 * the kernel wakes by it. The third is when the clock was made, in seconds: files that are older, as the modules of
 * Python are, belong to the machine and keep their times.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000L

static const volatile int64_t *offsets;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("SKEWED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, 3 * sizeof *offsets, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        offsets = mapped;
}

static void add(struct timespec *to, int64_t offset)
{
    int64_t sum = (int64_t)to->tv_sec * BILLION + to->tv_nsec + offset;
    to->tv_sec = sum / BILLION;
    to->tv_nsec = sum % BILLION;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, which, now) != 0)
        return -1;
    if (offsets && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE || which == CLOCK_TAI))
        add(now, offsets[0]);
    else if (offsets && which == CLOCK_BOOTTIME)
        add(now, offsets[1]);
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}

#define SHIFT(status)                                                          \
    if (result == 0 && offsets && (status)->st_mtim.tv_sec >= offsets[2]) {   \
        add(&(status)->st_atim, offsets[0]);                                   \
        add(&(status)->st_mtim, offsets[0]);                                   \
        add(&(status)->st_ctim, offsets[0]);                                   \
    }                                                                          \
    return result;

#define BY_PATH(name, type)                                             \
    int name(const char *restrict path, struct type *restrict status)   \
    {                                                                   \
        int (*next)(const char *, struct type *) = dlsym(RTLD_NEXT, #name); \
        int result = next(path, status);                                \
        SHIFT(status)                                                   \
    }

#define BY_FD(name, type)                                        \
    int name(int fd, struct type *status)                        \
    {                                                            \
        int (*next)(int, struct type *) = dlsym(RTLD_NEXT, #name); \
        int result = next(fd, status);                           \
        SHIFT(status)                                            \
    }

#define AT_FOLDER(name, type)                                                                  \
    int name(int folder, const char *restrict path, struct type *restrict status, int flags)   \
    {                                                                                          \
        int (*next)(int, const char *, struct type *, int) = dlsym(RTLD_NEXT, #name);          \
        int result = next(folder, path, status, flags);                                        \
        SHIFT(status)                                                                          \
    }

BY_PATH(stat, stat)
BY_PATH(lstat, stat)
BY_PATH(stat64, stat64)
BY_PATH(lstat64, stat64)
BY_FD(fstat, stat)
BY_FD(fstat64, stat64)
AT_FOLDER(fstatat, stat)
AT_FOLDER(fstatat64, stat64)
