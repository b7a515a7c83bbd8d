/*
 * A host with a megabyte of static thread-local storage, and a resolver that needs half a megabyte
 * of stack. The C library takes the storage from the stack of each thread, including the library's
 * threads.
 */
#include "check.h"

#include <netdb.h>

static __thread volatile char storage[1000 * 1024];
static int lookups;

/* Replaces the C library's getaddrinfo(). */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    volatile char stack[512 * 1024];
    size_t at;
    (void)node, (void)service, (void)hints, (void)result;
    /* From the top down, so that the first access outside the stack hits the guard page. */
    for (at = sizeof stack; at > 0; at -= 1024)
        stack[at - 1] = 1;
    storage[0] = stack[1023];
    __atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
    return EAI_NONAME;
}

int main(void) {
    cd_options *options = cd_options_new();
    cd_error *error = NULL;
    storage[sizeof storage - 1] = 1;
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, "https://name.test", NULL));
    CHECK_CODE(CD_OK, cd_options_set_proxy(options, NULL, NULL));
    CHECK_CODE(CD_ERR_DNS, cd_connect(options, NULL, 0, &error));
    CHECK_TEXT("The host name name.test could not be resolved: Name or service not known.",
               cd_error_message(error));
    CHECK(__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) == 1);
    cd_error_free(error);
    cd_options_free(options);
    return checks_result();
}
