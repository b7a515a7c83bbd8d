/*
 * Replaces the C library's resolver, for the shared library too: NAME resolves to 127.0.0.1 on any
 * machine, and no other name resolves. It opens a descriptor as the C library does, and fails like
 * it without one.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "check.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>

/** The fake server's certificate is valid for it. */
#define NAME "api.couchdrop.test"

/** Posted when a lookup has begun. */
static sem_t lookup_begun;
/** While not 0, lookups hang. */
static volatile int lookups_hang;
static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_changed = PTHREAD_COND_INITIALIZER;

static inline void resolver_start(void) {
    need(sem_init(&lookup_begun, 0, 0) == 0, "sem_init");
}

static inline void set_lookups_hang(int hang) {
    while (hang && sem_trywait(&lookup_begun) == 0)
        ;
    pthread_mutex_lock(&resolver_lock);
    lookups_hang = hang;
    pthread_cond_broadcast(&resolver_changed);
    pthread_mutex_unlock(&resolver_lock);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    struct {
        struct addrinfo entry;
        struct sockaddr_in address;
    } * found;
    int descriptor = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    (void)service, (void)hints;
    if (descriptor < 0)
        return EAI_NONAME;
    close(descriptor);
    sem_post(&lookup_begun);
    pthread_mutex_lock(&resolver_lock);
    while (lookups_hang)
        pthread_cond_wait(&resolver_changed, &resolver_lock);
    pthread_mutex_unlock(&resolver_lock);
    if (node == NULL || strcmp(node, NAME) != 0)
        return EAI_NONAME;
    found = calloc(1, sizeof *found);
    if (found == NULL)
        return EAI_MEMORY;
    found->address.sin_family = AF_INET;
    found->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    found->entry.ai_family = AF_INET;
    found->entry.ai_socktype = SOCK_STREAM;
    found->entry.ai_addrlen = sizeof found->address;
    found->entry.ai_addr = (struct sockaddr *)&found->address;
    *result = &found->entry;
    return 0;
}

void freeaddrinfo(struct addrinfo *list) {
    free(list);
}

/** Like fake_server_options(), but for a name that needs a lookup. */
static inline cd_options *named_options(void) {
    cd_options *options = fake_server_options();
    char url[60];
    snprintf(url, sizeof url, "https://" NAME "%s", strrchr(environment("COUCHDROP_BASE_URL"), ':'));
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_proxy(options, NULL, NULL));
    return options;
}

#endif
