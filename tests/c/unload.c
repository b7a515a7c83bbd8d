/* Repeats dlopen() and dlclose() with a login between them: the library must stay loaded. */
#include "check.h"

#include <dlfcn.h>

/* The functions for a login, looked up at run time instead of linked. */
static struct {
    cd_options *(*new_options)(void);
    void (*free_options)(cd_options *);
    cd_code (*set_base_url)(cd_options *, const char *, cd_error **);
    cd_code (*set_ca_file)(cd_options *, const char *, cd_error **);
    cd_code (*authenticate)(const cd_options *, const cd_cancel *, uint32_t, const char *,
                            const char *, const char *, cd_token **, cd_error **);
    size_t (*token_length)(const cd_token *);
    void (*free_token)(cd_token *);
} library;

/* POSIX guarantees that a function's address fits into an object pointer; C does not. */
static void look_up(void *handle, const char *name, void *function) {
    void *address = dlsym(handle, name);
    CHECK(address != NULL);
    memcpy(function, &address, sizeof address);
}

static void log_in(void) {
    cd_options *options = library.new_options();
    cd_token *token = NULL;
    CHECK(library.set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL) == CD_OK);
    CHECK(library.set_ca_file(options, environment("COUCHDROP_CA_FILE"), NULL) == CD_OK);
    CHECK(library.authenticate(options, NULL, 0, "ada@example.com", PASSWORD, NULL, &token, NULL) ==
          CD_OK);
    CHECK(library.token_length(token) == 36);
    library.free_token(token);
    library.free_options(options);
}

int main(int count, char **arguments) {
    void *first = NULL;
    int i;
    if (count != 2) {
        fprintf(stderr, "usage: unload /path/of/libcouchdrop.so.1\n");
        return 2;
    }
    for (i = 0; i < 10; i++) {
        void *handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        look_up(handle, "cd_options_new", &library.new_options);
        look_up(handle, "cd_options_free", &library.free_options);
        look_up(handle, "cd_options_set_base_url", &library.set_base_url);
        look_up(handle, "cd_options_set_ca_file", &library.set_ca_file);
        look_up(handle, "cd_authenticate_with", &library.authenticate);
        look_up(handle, "cd_token_len", &library.token_length);
        look_up(handle, "cd_token_free", &library.free_token);
        log_in();
        CHECK(dlclose(handle) == 0);
        /*
         * The library stays at its address, because its threads and its process-wide hooks need it.
         */
        CHECK(first == NULL || first == handle);
        first = handle;
        log_in();
    }
    return checks_result();
}
