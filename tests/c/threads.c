/* Many threads share one set of options and one cancel handle. Each login gets its own result. */
#include "check.h"

#include <pthread.h>

#define THREADS 16
#define LOGINS 20

typedef struct {
    const cd_options *options;
    const cd_cancel *cancel;
    int number;
    pthread_t thread;
} worker;

/* Alternates good and bad logins, so that a result that went to another thread is detected. */
static void *run_logins(void *argument) {
    const worker *w = (const worker *)argument;
    int i;
    for (i = 0; i < LOGINS; i++) {
        cd_token *token = NULL;
        cd_error *error = NULL;
        int good = (w->number + i) % 2 == 0;
        CHECK_CODE(good ? CD_OK : CD_ERR_ACCESS_DENIED,
                   cd_authenticate_with(w->options, w->cancel, 0, "ada@example.com",
                                        good ? PASSWORD : "not my password", NULL, &token, &error));
        CHECK(cd_token_len(token) == (good ? 36 : 0));
        CHECK(cd_error_http_status(error) == (good ? 0 : 403));
        cd_token_free(token);
        cd_error_free(error);
    }
    return NULL;
}

int main(void) {
    cd_options *options = fake_server_options();
    cd_cancel *cancel = cd_cancel_new();
    worker workers[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        workers[i].options = options;
        workers[i].cancel = cancel;
        workers[i].number = i;
        if (pthread_create(&workers[i].thread, NULL, run_logins, &workers[i]) != 0)
            abort();
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    cd_cancel_free(cancel);
    cd_options_free(options);
    return checks_result();
}
