/*
 * Threads share one set of options and one cancel handle, and each login gets its own result. Other
 * threads read the tokens and errors in parallel, and another one frees all objects long after the
 * threads that made them have ended.
 */
#include "check.h"

#include <pthread.h>

#define THREADS 16
#define LOGINS 20

typedef struct {
    cd_token *token;
    cd_error *error;
} outcome;

static cd_options *options;
static cd_cancel *cancel;
static outcome outcomes[THREADS][LOGINS];

/* Good and bad logins by turns, so that a result that went to another thread is detected. */
static int is_good(int thread, int login) {
    return (thread + login) % 2 == 0;
}

static void *make_options(void *unused) {
    (void)unused;
    options = fake_server_options();
    cancel = cd_cancel_new();
    return NULL;
}

static void *run_logins(void *argument) {
    int i, thread = (int)(intptr_t)argument;
    outcome *o = outcomes[thread];
    for (i = 0; i < LOGINS; i++) {
        int good = is_good(thread, i);
        CHECK_CODE(good ? CD_OK : CD_ERR_ACCESS_DENIED,
                   cd_authenticate_with(options, cancel, 0, ADA, good ? PASSWORD : "not my password",
                                        NULL, &o[i].token, &o[i].error));
    }
    return NULL;
}

static void *read_all(void *unused) {
    int i, j;
    (void)unused;
    for (i = 0; i < THREADS; i++)
        for (j = 0; j < LOGINS; j++) {
            const outcome *o = &outcomes[i][j];
            if (is_good(i, j)) {
                CHECK(o->token != NULL && strlen(cd_token_str(o->token)) == 36);
                CHECK(cd_token_len(o->token) == 36 && o->error == NULL);
            } else {
                CHECK(o->token == NULL && cd_error_code(o->error) == CD_ERR_ACCESS_DENIED);
                CHECK(cd_error_http_status(o->error) == 403 && cd_error_attempts(o->error) == 1);
                CHECK(strlen(cd_error_message(o->error)) > 5);
                CHECK_TEXT("Access denied", cd_error_server_message(o->error));
                CHECK(cd_error_retry_after_seconds(o->error) == -1);
            }
        }
    return NULL;
}

static void *free_all(void *unused) {
    int i, j;
    (void)unused;
    for (i = 0; i < THREADS; i++)
        for (j = 0; j < LOGINS; j++) {
            cd_token_free(outcomes[i][j].token);
            cd_error_free(outcomes[i][j].error);
        }
    cd_cancel_trigger(cancel);
    cd_cancel_free(cancel);
    cd_options_free(options);
    return NULL;
}

static void run_on_threads(int count, void *(*run)(void *)) {
    pthread_t threads[THREADS];
    int i;
    for (i = 0; i < count; i++)
        need(pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i) == 0, "pthread_create");
    for (i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(void) {
    int i, before = open_descriptors();
    end_if_hanging();
    for (i = 0; i < repeats(2); i++) {
        run_on_threads(1, make_options);
        run_on_threads(THREADS, run_logins);
        run_on_threads(THREADS, read_all);
        run_on_threads(1, free_all);
    }
    CHECK(settled_descriptors() == before);
    return checks_result();
}
