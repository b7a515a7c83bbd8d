/*
 * Shared code of the baselines in C: their arguments and their output.
 *
 * PROGRAM BASE_URL CA_FILE LOGINS logs in that often, one after another, and prints the last token.
 * PROGRAM BASE_URL CA_FILE LOGINS THREADS measures times: it logs in once, each thread warms up,
 * then all threads log in that often at the same time. It prints nanoseconds: of the first login,
 * the CPU and the wall time of all threads' logins, and of each of these logins.
 *
 * A baseline defines the four functions below. Its handle is created once. A thread logs in with a
 * caller, which may be the handle itself.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define USERNAME "ada@example.com"
#define PASSWORD "correct horse battery staple"

static void *open_handle(const char *base_url, const char *ca_file);
static void *open_caller(void *handle);
/* Returns a token, which the caller frees, or exits the process. */
static char *login(void *caller);
static void close_all(void *handle);

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void log_in(void *caller) {
    free(login(caller));
}

struct thread {
    pthread_t id;
    void *handle;
    int64_t *took;
    int logins;
    pthread_barrier_t *warm, *end;
};

static void *run(void *argument) {
    struct thread *thread = argument;
    void *caller = open_caller(thread->handle);
    for (int i = 0; i <= thread->logins / 10; i++)
        log_in(caller);
    pthread_barrier_wait(thread->warm);
    for (int i = 0; i < thread->logins; i++) {
        int64_t start = nanoseconds(CLOCK_MONOTONIC);
        log_in(caller);
        thread->took[i] = nanoseconds(CLOCK_MONOTONIC) - start;
    }
    pthread_barrier_wait(thread->end);
    return NULL;
}

static void time_threads(void *handle, int logins, int count) {
    struct thread *threads = calloc((size_t)count, sizeof *threads);
    pthread_barrier_t warm, end;
    pthread_barrier_init(&warm, NULL, (unsigned)count + 1);
    pthread_barrier_init(&end, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        threads[i] =
            (struct thread){.handle = handle, .logins = logins, .warm = &warm, .end = &end};
        threads[i].took = calloc((size_t)logins, sizeof *threads[i].took);
        pthread_create(&threads[i].id, NULL, run, &threads[i]);
    }
    pthread_barrier_wait(&warm);
    int64_t wall = nanoseconds(CLOCK_MONOTONIC), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    pthread_barrier_wait(&end);
    printf("%lld\n", (long long)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu));
    printf("%lld\n", (long long)(nanoseconds(CLOCK_MONOTONIC) - wall));
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        for (int k = 0; k < logins; k++)
            printf("%lld\n", (long long)threads[i].took[k]);
        free(threads[i].took);
    }
    free(threads);
}

int main(int count, char **arguments) {
    if (count < 4)
        return 2;
    void *handle = open_handle(arguments[1], arguments[2]);
    int logins = atoi(arguments[3]);
    if (count == 4) {
        void *caller = open_caller(handle);
        for (int i = 1; i < logins; i++)
            log_in(caller);
        char *token = login(caller);
        puts(token);
        free(token);
    } else {
        int64_t start = nanoseconds(CLOCK_MONOTONIC);
        void *caller = open_caller(handle);
        log_in(caller);
        printf("%lld\n", (long long)(nanoseconds(CLOCK_MONOTONIC) - start));
        time_threads(handle, logins, atoi(arguments[4]));
    }
    close_all(handle);
    return 0;
}
