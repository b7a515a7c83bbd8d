/*
 * Each call that the library makes to the C library fails, with each error that the call may
 * return. The first call fails, then the second, and so on until a login no longer makes that many.
 * If an error is lasting (no descriptors, no threads), all later calls fail, too.
 *
 * Whatever call fails, the login ends by its deadline with OK or a fitting code, nothing is leaked,
 * and the next login without a fault succeeds. Each fault has its own process.
 */
#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/** The fake server's certificate is valid for it. */
#define NAME "api.couchdrop.test"

/* ---- the calls, each of which may fail */

#define EACH_CALL(X)                                                                               \
    X(POLL, "poll")                                                                                \
    X(RECV, "recv")                                                                                \
    X(SEND, "send")                                                                                \
    X(CONNECT, "connect")                                                                          \
    X(SOCKET, "socket")                                                                            \
    X(SETSOCKOPT, "setsockopt")                                                                    \
    X(GETSOCKOPT, "getsockopt")                                                                    \
    X(FCNTL, "fcntl")                                                                              \
    X(PIPE2, "pipe2")                                                                              \
    X(OPEN, "open")                                                                                \
    X(OPENDIR, "opendir")                                                                          \
    X(READ, "read")                                                                                \
    X(STATX, "statx")                                                                              \
    X(CLOSE, "close")                                                                              \
    X(MMAP, "mmap")                                                                                \
    X(MADVISE, "madvise")                                                                          \
    X(RANDOM, "getrandom")                                                                         \
    X(THREAD, "pthread_create")                                                                    \
    X(LOOKUP, "getaddrinfo")

#define CALL(call, name) call,
enum call { EACH_CALL(CALL) CALLS };
#define CALL_NAME(call, name) name,
static const char *const call_names[CALLS] = {EACH_CALL(CALL_NAME)};

/* The fault of this process. */
static struct {
    enum call call;
    int error;   /* errno, or what getaddrinfo() gives */
    int nth;     /* the first one that fails; 0 = none */
    int lasting; /* all later ones fail, too */
} fault;
static int made[CALLS], faults_had;

static int fails(enum call call) {
    int number = __atomic_add_fetch(&made[call], 1, __ATOMIC_RELAXED);
    if (fault.nth == 0 || fault.call != call || number < fault.nth ||
        (number > fault.nth && !fault.lasting))
        return 0;
    __atomic_add_fetch(&faults_had, 1, __ATOMIC_RELAXED);
    errno = fault.error;
    return 1;
}

/* The C library's own function, which the definitions below hide. */
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        abort();
    return found;
}
/* C has no cast from an object pointer to a function pointer; POSIX has. */
#define REAL(variable, name)                                                                       \
    do {                                                                                           \
        void *found_ = real(name);                                                                 \
        memcpy(&(variable), &found_, sizeof found_);                                               \
    } while (0)

#define REPLACED(call, name, parameters, arguments, result, failed)                                \
    result name parameters;                                                                        \
    result name parameters {                                                                       \
        result(*function) parameters;                                                              \
        if (fails(call))                                                                           \
            return failed;                                                                         \
        REAL(function, #name);                                                                     \
        return function arguments;                                                                 \
    }

REPLACED(POLL, poll, (struct pollfd * polls, nfds_t count, int ms), (polls, count, ms), int, -1)
REPLACED(RECV, recv, (int socket, void *buffer, size_t size, int flags),
         (socket, buffer, size, flags), ssize_t, -1)
/* A broken connection is broken for its readers, too. */
static int broken(int socket) {
    int error = errno;
    shutdown(socket, SHUT_RDWR);
    errno = error;
    return -1;
}
REPLACED(SEND, send, (int socket, const void *buffer, size_t size, int flags),
         (socket, buffer, size, flags), ssize_t, fault.error == EINTR ? -1 : broken(socket))
REPLACED(CONNECT, connect, (int socket, __CONST_SOCKADDR_ARG address, socklen_t size),
         (socket, address, size), int, -1)
REPLACED(SOCKET, socket, (int domain, int type, int protocol), (domain, type, protocol), int, -1)
REPLACED(SETSOCKOPT, setsockopt,
         (int socket, int level, int name, const void *value, socklen_t size),
         (socket, level, name, value, size), int, -1)
REPLACED(GETSOCKOPT, getsockopt, (int socket, int level, int name, void *value, socklen_t *size),
         (socket, level, name, value, size), int, -1)
REPLACED(PIPE2, pipe2, (int ends[2], int flags), (ends, flags), int, -1)
REPLACED(OPENDIR, opendir, (const char *path), (path), DIR *, NULL)
REPLACED(READ, read, (int descriptor, void *buffer, size_t size), (descriptor, buffer, size),
         ssize_t, -1)
REPLACED(STATX, statx, (int folder, const char *path, int flags, unsigned mask, struct statx *read),
         (folder, path, flags, mask, read), int, -1)
REPLACED(MMAP, mmap, (void *at, size_t size, int rights, int flags, int descriptor, off_t offset),
         (at, size, rights, flags, descriptor, offset), void *, MAP_FAILED)
REPLACED(MADVISE, madvise, (void *at, size_t size, int advice), (at, size, advice), int, -1)
REPLACED(RANDOM, getrandom, (void *buffer, size_t size, unsigned flags), (buffer, size, flags),
         ssize_t, -1)

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...) {
    int (*function)(const char *, int, ...);
    va_list rest;
    int mode;
    va_start(rest, flags);
    mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (fails(OPEN))
        return -1;
    REAL(function, "open64");
    return function(path, flags, mode);
}

int fcntl(int descriptor, int command, ...) {
    int (*function)(int, int, ...);
    va_list rest;
    void *argument;
    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    /* F_GETFD only asks whether a descriptor is open. */
    if (command != F_GETFD && fails(FCNTL))
        return -1;
    REAL(function, "fcntl");
    return function(descriptor, command, argument);
}

/* The descriptor is closed even on failure, as on Linux. */
int close(int descriptor) {
    int (*function)(int);
    int failed = fails(CLOSE), error = errno, done;
    REAL(function, "close");
    done = function(descriptor);
    if (failed)
        errno = error;
    return failed ? -1 : done;
}

long syscall(long number, ...) {
    long (*function)(long, ...);
    long arguments[6];
    va_list rest;
    int i;
    va_start(rest, number);
    for (i = 0; i < 6; i++)
        arguments[i] = va_arg(rest, long);
    va_end(rest);
    if ((number == SYS_getrandom && fails(RANDOM)) || (number == SYS_statx && fails(STATX)))
        return -1;
    REAL(function, "syscall");
    return function(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                    arguments[5]);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    int (*function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails(THREAD))
        return fault.error;
    REAL(function, "pthread_create");
    return function(thread, attributes, run, argument);
}

/* Resolves only NAME. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (fails(LOOKUP)) {
        if (fault.error < INT_MIN / 2) { /* EAI_SYSTEM, with an errno */
            errno = fault.error - INT_MIN;
            return EAI_SYSTEM;
        }
        return fault.error;
    }
    if (strcmp(node, NAME) != 0)
        return EAI_NONAME;
    REAL(function, "getaddrinfo");
    return function("127.0.0.1", service, hints, result);
}
#define SYSTEM(error) (INT_MIN + (error))

/* ---- the errors of each call, and the results that a login may then have */

enum kind {
    HARMLESS, /* the login succeeds */
    MISSING,  /* the same; the system lacks this call, so every call fails */
    RESOURCE, /* CD_ERR_RESOURCES, or success without the call */
    NETWORK,  /* a network error, or success at another attempt */
    FILES     /* CD_ERR_CA_FILE of the setter, CD_ERR_TLS of the login, or success without the file */
};

static const struct {
    enum call call;
    int error;
    enum kind kind;
} faults[] = {
    {POLL, EINTR, HARMLESS},
    {POLL, ENOMEM, RESOURCE},
    {RECV, EINTR, HARMLESS},
    {RECV, ECONNRESET, NETWORK},
    {RECV, ETIMEDOUT, NETWORK},
    {RECV, ENOMEM, NETWORK},
    {SEND, EINTR, HARMLESS},
    {SEND, EPIPE, NETWORK},
    {SEND, ECONNRESET, NETWORK},
    {CONNECT, ECONNREFUSED, NETWORK},
    {CONNECT, ENETUNREACH, NETWORK},
    {CONNECT, EADDRNOTAVAIL, NETWORK},
    {CONNECT, EPERM, NETWORK},
    {SOCKET, EMFILE, RESOURCE},
    {SOCKET, ENFILE, RESOURCE},
    {SOCKET, ENOBUFS, RESOURCE},
    {SOCKET, ENOMEM, RESOURCE},
    {SOCKET, EAFNOSUPPORT, NETWORK},
    {SOCKET, EACCES, NETWORK},
    {SETSOCKOPT, ENOMEM, RESOURCE},
    {SETSOCKOPT, ENOPROTOOPT, NETWORK},
    {GETSOCKOPT, ENOBUFS, NETWORK},
    {FCNTL, EAGAIN, NETWORK},
    {PIPE2, EMFILE, RESOURCE},
    {PIPE2, ENFILE, RESOURCE},
    {PIPE2, ENOMEM, RESOURCE},
    {OPEN, EINTR, HARMLESS},
    {OPEN, EMFILE, RESOURCE},
    {OPEN, ENFILE, RESOURCE},
    {OPEN, ENOMEM, RESOURCE},
    {OPEN, EACCES, FILES},
    {OPEN, EIO, FILES},
    {OPENDIR, EMFILE, RESOURCE},
    {OPENDIR, ENOMEM, RESOURCE},
    {OPENDIR, EACCES, FILES},
    {READ, EINTR, HARMLESS},
    {READ, EIO, FILES},
    {STATX, ENOMEM, RESOURCE},
    {STATX, EACCES, FILES},
    {CLOSE, EINTR, HARMLESS},
    {CLOSE, EIO, HARMLESS},
    {MMAP, ENOMEM, HARMLESS},
    {MADVISE, EINVAL, HARMLESS},
    {RANDOM, EINTR, HARMLESS},
    {RANDOM, ENOSYS, MISSING},
    {THREAD, EAGAIN, RESOURCE},
    {LOOKUP, EAI_AGAIN, NETWORK},
    {LOOKUP, EAI_NONAME, NETWORK},
    {LOOKUP, EAI_MEMORY, NETWORK},
    {LOOKUP, SYSTEM(EINTR), NETWORK},
    {LOOKUP, SYSTEM(EMFILE), NETWORK},
};

static int fits(enum kind kind, cd_code code) {
    switch (kind) {
    case HARMLESS:
    case MISSING:
        return code == CD_OK;
    case RESOURCE:
        return code == CD_OK || code == CD_ERR_RESOURCES;
    case NETWORK:
        return code == CD_OK || code == CD_ERR_DNS || code == CD_ERR_CONNECT ||
               code == CD_ERR_CONNECTION_LOST || code == CD_ERR_RESOURCES;
    case FILES:
        return code == CD_OK || code == CD_ERR_CA_FILE || code == CD_ERR_TLS;
    }
    return 0;
}

/* ---- the login */

enum trust { CA_FILE, CERT_FILE, CERT_DIR, TRUSTS };
static const char *const trust_names[TRUSTS] = {"a CA file", "SSL_CERT_FILE", "SSL_CERT_DIR"};

/* Sets options, logs in over a new connection and over the same one, and frees everything. */
static cd_code log_in_twice(enum trust trust) {
    const char *port = strrchr(environment("COUCHDROP_BASE_URL"), ':');
    cd_options *options = cd_options_new();
    cd_cancel *cancel = cd_cancel_new();
    cd_code code = CD_OK;
    char url[60];
    int i;
    snprintf(url, sizeof url, "https://" NAME "%s", port);
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_backoff_ms(options, 0, 1, NULL));
    CHECK_CODE(CD_OK, cd_options_set_proxy(options, NULL, NULL));
    if (trust == CA_FILE)
        code = cd_options_set_ca_file(options, environment("COUCHDROP_CA_FILE"), NULL);
    for (i = 0; i < 2 && code == CD_OK; i++)
        code = log_in_as(options, cancel, 10000, ADA);
    cd_cancel_free(cancel);
    cd_options_free(options);
    return code;
}

enum { PASSED, FAILED, NOT_REACHED };

static int with_fault(size_t index, enum trust trust, int nth, int lasting) {
    pid_t child = fork();
    int status = 0;
    need(child >= 0, "fork");
    if (child == 0) {
        int before = open_descriptors();
        cd_code code;
        checks_failed = 0;
        alarm(30 * (unsigned)(1 + slack_ms() / 5000));
        fault.call = faults[index].call;
        fault.error = faults[index].error;
        fault.lasting = lasting;
        memset(made, 0, sizeof made);
        fault.nth = nth;
        code = log_in_twice(trust);
        fault.nth = 0;
        if (faults_had == 0) {
            CHECK_CODE(CD_OK, code);
            _exit(checks_failed ? FAILED : NOT_REACHED);
        }
        if (!fits(faults[index].kind, code)) {
            fprintf(stderr, "ends as %s: ", cd_code_name(code));
            checks_failed++;
        }
        code = log_in_twice(trust);
        /* A file in an unreadable directory counts as missing, until the directory changes. */
        if (code != CD_OK &&
            !(faults[index].kind == FILES && trust == CERT_DIR && code == CD_ERR_TLS)) {
            fprintf(stderr, "the next login ends as %s: ", cd_code_name(code));
            checks_failed++;
        }
        /* Without getrandom() /dev/urandom is used. It stays open for the crates that read it. */
        if (settled_descriptors() != before + (faults[index].kind == MISSING ? 2 : 0)) {
            fprintf(stderr, "%d descriptors in place of %d: ", open_descriptors(), before);
            checks_failed++;
        }
        _exit(checks_failed ? FAILED : PASSED);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) != FAILED)
        return WEXITSTATUS(status);
    fprintf(stderr, "with %s, call %d of %s%s fails by %d (%s)", trust_names[trust], nth,
            call_names[faults[index].call], lasting ? " and all later ones" : "",
            faults[index].error,
            faults[index].error > 0 ? strerror(faults[index].error) : "lookup");
    if (WIFSIGNALED(status))
        fprintf(stderr, ", which ends by %s", strsignal(WTERMSIG(status)));
    fprintf(stderr, "\n");
    checks_failed++;
    return FAILED;
}

/* A CA that is not used, so that a directory contains more than one certificate. */
static const char other_ca[] = "-----BEGIN CERTIFICATE-----\n"
                             "MIIBejCCAR+gAwIBAgIUUO3qH/oOqo1vMLDQO0KgQKXqXZYwCgYIKoZIzj0EAwIw\n"
                             "ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyNTAzMzIzNVoYDzIxMjYxMTAxMDMz\n"
                             "MjM1WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
                             "AAShIwwGi2co0la+HhTelCMgo5FQScYu+wXVEMcuyLZvIdqUdYjbryZLPp5WLOrh\n"
                             "iKosgHjKknXCCjv3xyCcNvfzo1MwUTAdBgNVHQ4EFgQUop60Su2K5iFAEZqw/x0B\n"
                             "DKovJP8wHwYDVR0jBBgwFoAUop60Su2K5iFAEZqw/x0BDKovJP8wDwYDVR0TAQH/\n"
                             "BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA9vtUuwyXEc33iQpDj3QqMhPB3ZOi\n"
                             "5VLh0Nidmo2XKvoCIQDhWArbvWAJRCdR3L1RvkmeOFgheY3nJ8avZQBr52ps4w==\n"
                             "-----END CERTIFICATE-----\n";

/* A folder with the fake server's CA and another, under names that OpenSSL would look at. */
static struct { char folder[32], files[2][48]; } cert_dir = {"/tmp/faults-XXXXXX", {"", ""}};

static void make_cert_dir(void) {
    char text[8192];
    FILE *from = fopen(environment("COUCHDROP_CA_FILE"), "r");
    int i;
    need(from != NULL, "the CA file");
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    fclose(from);
    need(mkdtemp(cert_dir.folder) != NULL, "mkdtemp");
    for (i = 0; i < 2; i++) {
        FILE *to;
        snprintf(cert_dir.files[i], sizeof cert_dir.files[i], "%s/0123456%d.0", cert_dir.folder, i);
        to = fopen(cert_dir.files[i], "w");
        need(to != NULL && fputs(i == 0 ? text : other_ca, to) >= 0 && fclose(to) == 0, "a file");
    }
}

static void remove_cert_dir(void) {
    unlink(cert_dir.files[0]);
    unlink(cert_dir.files[1]);
    rmdir(cert_dir.folder);
}

int main(void) {
    int tested[CALLS] = {0}, sum = 0, trust, lasting;
    size_t i;
    make_cert_dir();
    for (trust = 0; trust < TRUSTS; trust++) {
        unsetenv("SSL_CERT_FILE");
        unsetenv("SSL_CERT_DIR");
        if (trust == CERT_FILE)
            setenv("SSL_CERT_FILE", environment("COUCHDROP_CA_FILE"), 1);
        if (trust == CERT_DIR)
            setenv("SSL_CERT_DIR", cert_dir.folder, 1);
        for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            for (lasting = faults[i].kind == MISSING;
                 lasting <= (faults[i].kind == MISSING || faults[i].kind == RESOURCE); lasting++) {
                int nth = 0, most = faults[i].kind == MISSING ? 1 : 1000;
                while (nth < most &&
                       with_fault(i, (enum trust)trust, nth + 1, lasting) != NOT_REACHED)
                    nth++;
                CHECK(nth < 1000);
                tested[faults[i].call] += nth;
            }
        }
    }
    for (i = 0; i < CALLS; i++) {
        printf("%s %d, ", call_names[i], tested[i]);
        sum += tested[i];
        if (tested[i] == 0)
            check_failed(__FILE__, __LINE__, "never called: ", call_names[i]);
    }
    printf("\n%d faults in all\n", sum);
    remove_cert_dir();
    return checks_result();
}
