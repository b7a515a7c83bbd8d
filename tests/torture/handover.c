/*
 * One thread makes tokens, errors, options and cancel handles, others read them in parallel, and
 * another one frees them long after the first has ended.
 */
#include "torture.h"

#define MAKERS 4
#define OBJECTS 25

typedef struct {
    cd_token *token;
    cd_error *error;
} outcome;

static cd_options *options;
static cd_cancel *cancel;
static outcome outcomes[MAKERS * OBJECTS];

/* Alternates good and bad logins. */
static void *make(void *argument) {
    outcome *o = (outcome *)argument;
    int i;
    for (i = 0; i < OBJECTS; i++) {
        cd_code code = cd_authenticate_with(options, cancel, 0, "ada@example.com",
                                            i % 2 == 0 ? PASSWORD : "not my password", NULL,
                                            &o[i].token, &o[i].error);
        CHECK_CODE(i % 2 == 0 ? CD_OK : CD_ERR_ACCESS_DENIED, code);
    }
    return NULL;
}

static void *read_all(void *unused) {
    int i;
    (void)unused;
    for (i = 0; i < MAKERS * OBJECTS; i++) {
        const outcome *o = &outcomes[i];
        if (o->token != NULL) {
            CHECK(strlen(cd_token_str(o->token)) == 36 && cd_token_len(o->token) == 36);
            CHECK(cd_error_code(o->error) == CD_OK);
        } else {
            CHECK_CODE(CD_ERR_ACCESS_DENIED, cd_error_code(o->error));
            CHECK(cd_error_http_status(o->error) == 403 && cd_error_attempts(o->error) == 1);
            CHECK(strlen(cd_error_message(o->error)) > 5);
            CHECK(strlen(cd_error_server_message(o->error)) > 0);
            CHECK(cd_error_retry_after_seconds(o->error) == -1);
        }
    }
    return NULL;
}

static void *free_all(void *unused) {
    int i;
    (void)unused;
    for (i = 0; i < MAKERS * OBJECTS; i++) {
        cd_token_free(outcomes[i].token);
        cd_error_free(outcomes[i].error);
    }
    cd_cancel_trigger(cancel);
    cd_cancel_free(cancel);
    cd_options_free(options);
    return NULL;
}

static void *make_objects(void *unused) {
    (void)unused;
    options = fake_server_options();
    cancel = cd_cancel_new();
    return NULL;
}

static void run_at_once(int count, void *(*run)(void *), size_t step) {
    pthread_t threads[MAKERS];
    int i;
    for (i = 0; i < count; i++)
        need(pthread_create(&threads[i], NULL, run, (char *)outcomes + (size_t)i * step) == 0,
             "pthread_create");
    for (i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(void) {
    int i, before = open_descriptors();
    give_up_after(60);
    for (i = 0; i < 5 * times(); i++) {
        run_at_once(1, make_objects, 0);
        run_at_once(MAKERS, make, OBJECTS * sizeof(outcome));
        run_at_once(MAKERS, read_all, 0);
        run_at_once(1, free_all, 0);
    }
    CHECK(settled_descriptors() == before);
    return checks_result();
}
