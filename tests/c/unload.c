/*
 * Repeats dlopen() and dlclose() while other threads log in: the library must stay loaded at its
 * address, because its threads and its process-wide hooks need it.
 */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>

/* The functions for a login, looked up at run time instead of linked. */
typedef struct {
    cd_options *(*new_options)(void);
    void (*free_options)(cd_options *);
    cd_code (*set_base_url)(cd_options *, const char *, cd_error **);
    cd_code (*set_ca_file)(cd_options *, const char *, cd_error **);
    cd_code (*authenticate)(const cd_options *, const cd_cancel *, uint32_t, const char *,
                            const char *, const char *, cd_token **, cd_error **);
    size_t (*token_length)(const cd_token *);
    void (*free_token)(cd_token *);
} library;

static const char *path;
static volatile int over;
static int logins;

/* POSIX guarantees that a function's address fits into an object pointer; C does not. */
static void look_up(void *handle, const char *name, void *function) {
    void *address = dlsym(handle, name);
    need(address != NULL, name);
    memcpy(function, &address, sizeof address);
}

static void *open_library(library *found) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    need(handle != NULL, path);
    look_up(handle, "cd_options_new", &found->new_options);
    look_up(handle, "cd_options_free", &found->free_options);
    look_up(handle, "cd_options_set_base_url", &found->set_base_url);
    look_up(handle, "cd_options_set_ca_file", &found->set_ca_file);
    look_up(handle, "cd_authenticate_with", &found->authenticate);
    look_up(handle, "cd_token_len", &found->token_length);
    look_up(handle, "cd_token_free", &found->free_token);
    return handle;
}

/* Logs in, and closes the library before its objects are freed. */
static void log_in_and_close(void *handle, const library *l) {
    cd_options *options = l->new_options();
    cd_token *token = NULL;
    CHECK(l->set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL) == CD_OK);
    CHECK(l->set_ca_file(options, environment("COUCHDROP_CA_FILE"), NULL) == CD_OK);
    CHECK(l->authenticate(options, NULL, 0, ADA, PASSWORD, NULL, &token, NULL) == CD_OK);
    CHECK(handle == NULL || dlclose(handle) == 0);
    CHECK(l->token_length(token) == 36);
    l->free_token(token);
    l->free_options(options);
}

static void *log_in_repeatedly(void *unused) {
    (void)unused;
    do {
        library l;
        log_in_and_close(open_library(&l), &l);
        __atomic_add_fetch(&logins, 1, __ATOMIC_RELAXED);
    } while (!over);
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t threads[4];
    void *first;
    library l;
    int i, opened;
    if (count != 2) {
        fprintf(stderr, "usage: unload /path/of/libcouchdrop.so.1\n");
        return 2;
    }
    path = arguments[1];
    end_if_hanging();
    /* Nothing else keeps the library open here. */
    first = open_library(&l);
    log_in_and_close(first, &l);
    log_in_and_close(NULL, &l);
    for (i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, log_in_repeatedly, NULL) == 0, "pthread_create");
    for (opened = 0; opened < repeats(1000) || __atomic_load_n(&logins, __ATOMIC_RELAXED) < repeats(100);
         opened++) {
        void *handle = open_library(&l);
        CHECK(first == handle);
        CHECK(dlclose(handle) == 0);
    }
    over = 1;
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("opened and closed %d times during %d logins\n", opened, logins);
    return checks_result();
}
