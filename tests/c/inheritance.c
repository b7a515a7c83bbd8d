/*
 * A program that is started while threads log in, look up names and wait on cancel handles inherits
 * no descriptor of the library at any moment.
 */
#include "resolver.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static volatile int over;
static int logins;

static void *log_in_repeatedly(void *unused) {
    (void)unused;
    while (!over) {
        cd_options *options = named_options();
        cd_cancel *cancel = cd_cancel_new();
        CHECK_CODE(CD_OK, log_in_as(options, cancel, 0, ADA));
        cd_cancel_free(cancel);
        cd_options_free(options);
        __atomic_add_fetch(&logins, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* The started program: prints the number of its descriptors other than the three streams. */
static int count_inherited(void) {
    int descriptor, inherited = 0;
    for (descriptor = 3; descriptor < 1024; descriptor++) {
        char path[40], target[200];
        ssize_t size;
        if (fcntl(descriptor, F_GETFD) < 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        size = readlink(path, target, sizeof target - 1);
        fprintf(stderr, "inherited: %d, %.*s\n", descriptor, size < 0 ? 0 : (int)size, target);
        inherited++;
    }
    return inherited > 100 ? 100 : inherited;
}

/* Alternates posix_spawn() with fork() and execv(). */
static pid_t start(int round) {
    static char program[] = "/proc/self/exe", inherited[] = "inherited";
    char *arguments[] = {program, inherited, NULL};
    pid_t child = -1;
    if (round % 2 == 0) {
        need(posix_spawn(&child, program, NULL, NULL, arguments, environ) == 0, "posix_spawn");
        return child;
    }
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        execv(program, arguments);
        _exit(101);
    }
    return child;
}

int main(int count, char **arguments) {
    pthread_t threads[4];
    int i, descriptor;
    if (count == 2 && strcmp(arguments[1], "inherited") == 0)
        return count_inherited();
    resolver_start();
    end_if_hanging();
    /* Descriptors that this program inherited do not belong to the library. */
    for (descriptor = 3; descriptor < 1024; descriptor++)
        close(descriptor);
    for (i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, log_in_repeatedly, NULL) == 0, "pthread_create");
    /* On a busy machine until enough logins were made, too. */
    for (i = 0; i < repeats(200) || __atomic_load_n(&logins, __ATOMIC_RELAXED) <= 50; i++) {
        int status = 0;
        pid_t child = start(i);
        need(waitpid(child, &status, 0) == child, "waitpid");
        CHECK(status == 0);
    }
    over = 1;
    printf("%d programs started", i);
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf(" during %d logins\n", logins);
    return checks_result();
}
