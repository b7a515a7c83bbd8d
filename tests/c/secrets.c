/*
 * Secrets left in a host's memory after logins with the released library. The test searches an
 * image of the process. It includes the stacks of the threads that logged in and of the library's
 * own. It also includes the processor's registers after a call, which the loader puts on the stack.
 * The image must not contain even 16 consecutive bytes of a password or a token, raw or encoded as
 * a form or as JSON. This holds after a success, a refusal, retries, a timeout, a cancel and every
 * other result. One copy that is kept on purpose is found.
 *
 * No needle is stored in clear: each byte is masked with MASK.
 */
#include "resolver.h"

#define MASK 0x5a
#define MAX_NEEDLES 12
#define MAX_BYTES 256

typedef struct {
    const char *what;
    size_t size;
    unsigned char bytes[MAX_BYTES]; /* masked */
} needle;

static needle needles[MAX_NEEDLES];
static size_t needle_count;

static needle *new_needle(const char *what) {
    need(needle_count < MAX_NEEDLES, "too many needles");
    needles[needle_count].what = what;
    needles[needle_count].size = 0;
    return &needles[needle_count++];
}

static void add(needle *n, unsigned char byte) {
    need(n->size < MAX_BYTES, "too long needle");
    n->bytes[n->size++] = byte ^ MASK;
}

/*
 * Passwords of the fake server's accounts, each byte one higher: that of ada and most others, and one
 * whose every character is encoded in a form or in JSON.
 */
static const char plain_hidden[] = "dpssfdu!ipstf!cbuufsz!tubqmf";
static const char special_hidden[] =
    "\xd1\xc0\xd1\xb1\xd2\x81\xd1\xbf\xd1\xbc\xd2\x8d!'!211&!,!#r#]!\xc4\xaa";
static const char wrong_hidden[] = "op!tvdi!qbttxpse!4252";

static void add_encodings(const char *hidden) {
    static const char hex[] = "0123456789ABCDEF";
    needle *raw = new_needle("a password"), *form = new_needle("a password in a form"),
           *json = new_needle("a password in JSON");
    for (; *hidden != '\0'; hidden++) {
        unsigned char byte = (unsigned char)((unsigned char)*hidden - 1);
        add(raw, byte);
        if (byte == '"' || byte == '\\')
            add(json, '\\');
        add(json, byte);
        if (byte == ' ') {
            add(form, '+');
        } else if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                   (byte >= 'A' && byte <= 'Z')) {
            add(form, byte);
        } else {
            add(form, '%');
            add(form, (unsigned char)hex[byte >> 4]);
            add(form, (unsigned char)hex[byte & 15]);
        }
    }
}

/* This many consecutive bytes count as a copy. */
#define FRAGMENT 16

/* The length of the needle's longest part at `at`; at most `most` bytes may be read. */
static size_t longest_part(const needle *n, const unsigned char *at, size_t most) {
    size_t longest = 0, from, size;
    for (from = 0; from + FRAGMENT <= n->size; from++) {
        for (size = 0;
             size < most && from + size < n->size && (at[size] ^ MASK) == n->bytes[from + size];
             size++)
            ;
        longest = size > longest ? size : longest;
    }
    return longest;
}

/*
 * Counts the copies of parts of the needles in this process's memory, and prints their places if
 * `print`.
 */
static int copies(int print) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[500], begins[256] = {0};
    int found = 0;
    size_t i, k;
    need(maps != NULL, "/proc/self/maps");
    for (i = 0; i < needle_count; i++)
        for (k = 0; k + FRAGMENT <= needles[i].size; k++)
            begins[needles[i].bytes[k]] = 1;
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, until;
        char rights[5], place[300] = "anonymous";
        const unsigned char *at;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %299s", &from, &until, rights, place) < 3 ||
            rights[0] != 'r' || strncmp(place, "[v", 2) == 0)
            continue;
        for (at = (const unsigned char *)from; at < (const unsigned char *)until; at++) {
            if (!begins[*at ^ MASK])
                continue;
            for (i = 0; i < needle_count; i++) {
                size_t size = longest_part(&needles[i], at, until - (unsigned long)at);
                if (size < FRAGMENT)
                    continue;
                found++;
                if (print)
                    fprintf(stderr, "%zu bytes of %s at %p, in %s\n", size, needles[i].what,
                            (const void *)at, place);
                at += size - 1;
                break;
            }
        }
    }
    fclose(maps);
    return found;
}

/* The secret in clear. The caller wipes and frees it. */
static char *reveal(const char *hidden) {
    size_t size = strlen(hidden) + 1, i;
    char *text = malloc(size);
    need(text != NULL, "malloc");
    for (i = 0; i + 1 < size; i++)
        text[i] = (char)(hidden[i] - 1);
    text[size - 1] = '\0';
    return text;
}

static void wipe(char *text) {
    cd_secure_zero(text, strlen(text));
    free(text);
}

/*
 * The vector registers after the library returned to the host or called it, stored so that a search
 * of the memory finds them. The loader also writes them to the stack when it resolves the next
 * function that the host calls.
 */
typedef struct {
    _Alignas(64) unsigned char bytes[4096];
} registers;

static registers after_call, in_logger, in_check;

static inline __attribute__((always_inline)) void keep_registers(registers *kept) {
#if defined __x86_64__
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("xsave64 %0" : "+m"(*kept) : "a"(0xe7), "d"(0));
    else
        __asm__ volatile("fxsave64 %0" : "+m"(*kept));
#elif defined __aarch64__
    unsigned char *at = kept->bytes;
    __asm__ volatile("st1 {v0.16b-v3.16b}, [%0], #64\n"
                     "st1 {v4.16b-v7.16b}, [%0], #64\n"
                     "st1 {v16.16b-v19.16b}, [%0], #64\n"
                     "st1 {v20.16b-v23.16b}, [%0], #64\n"
                     "st1 {v24.16b-v27.16b}, [%0], #64\n"
                     "st1 {v28.16b-v31.16b}, [%0], #64\n"
                     : "+r"(at)
                     :
                     : "memory");
#else
    (void)kept;
#endif
}

/* ---- logins, each on a thread that is still there when its memory is looked at */

typedef struct {
    const char *what, *username, *hidden;
    cd_code code;
    int32_t format;
    uint32_t timeout_ms;
    int lookup_hangs;
    int cancelled; /* by another thread, during the wait for the response */
    /* set as it runs */
    cd_options *options;
    cd_cancel *cancel;
    cd_token *token;
    int handshaken;
    sem_t waiting, ended, looked;
    pthread_t thread;
} login;

static void *run_login(void *argument) {
    login *l = (login *)argument;
    char *password = reveal(l->hidden);
    cd_error *error = NULL;
    cd_code code = cd_authenticate_with(l->options, l->cancel, l->timeout_ms, l->username, password,
                                        "test", &l->token, &error);
    keep_registers(&after_call);
    CHECK_CODE(l->code, code);
    CHECK(cd_error_code(error) == l->code);
    wipe(password);
    cd_error_free(error);
    sem_post(&l->ended);
    sem_wait(&l->looked);
    return NULL;
}

static void see_handshake(void *user_data, int32_t level, const char *message) {
    keep_registers(&in_logger);
    (void)level;
    if (strncmp(message, "TLS handshake with", 18) == 0)
        ((login *)user_data)->handshaken = 1;
}

/* Called while a login waits; after the handshake it waits for its response. */
static int32_t see_wait(void *user_data) {
    login *l = (login *)user_data;
    keep_registers(&in_check);
    if (l->handshaken)
        sem_post(&l->waiting);
    return 0;
}

static void look_at(login *l) {
    int found;
    l->options = named_options();
    l->cancel = cd_cancel_new();
    CHECK_CODE(CD_OK, cd_options_set_body_format(l->options, l->format, NULL));
    CHECK_CODE(CD_OK, cd_options_set_max_retries(l->options, 1, NULL));
    need(sem_init(&l->waiting, 0, 0) == 0 && sem_init(&l->ended, 0, 0) == 0 &&
             sem_init(&l->looked, 0, 0) == 0,
         "sem_init");
    if (l->cancelled) {
        CHECK_CODE(CD_OK, cd_options_set_logger(l->options, see_handshake, l, CD_LOG_DEBUG, NULL));
        cd_cancel_set_check(l->cancel, see_wait, l);
    }
    if (l->lookup_hangs)
        set_lookups_hang(1);
    need(pthread_create(&l->thread, NULL, run_login, l) == 0, "pthread_create");
    if (l->cancelled) {
        sem_wait(&l->waiting);
        cd_cancel_trigger(l->cancel);
    }
    sem_wait(&l->ended);
    if (l->lookup_hangs)
        CHECK(running_threads() > 2); /* the library's is still there, with its stack */
    if (l->token != NULL) {
        /* The caller's own copy, which is freed with the token: it may occur once. */
        const char *text = cd_token_str(l->token);
        needle *n = new_needle("a token");
        while (*text != '\0')
            add(n, (unsigned char)*text++);
        found = copies(0);
        if (found != 1)
            copies(1);
        CHECK(found == 1);
        cd_token_free(l->token);
    }
    found = copies(1);
    if (found != 0)
        fprintf(stderr, "... with the thread there, after: %s\n", l->what);
    CHECK(found == 0);
    if (l->lookup_hangs)
        set_lookups_hang(0);
    sem_post(&l->looked);
    pthread_join(l->thread, NULL);
    cd_options_free(l->options);
    cd_cancel_free(l->cancel);
    found = copies(1);
    if (found != 0)
        fprintf(stderr, "... with all freed, after: %s\n", l->what);
    CHECK(found == 0);
    if (l->token != NULL)
        needle_count--;
}

#define SLOW "slow@example.com"
#define SPECIAL "\xd0\xb6\xd1\x83\xd0\xba@example.com"

int main(void) {
    static const login logins[] = {
        {.what = "success", .username = ADA, .hidden = plain_hidden},
        {.what = "success as JSON", .username = ADA, .hidden = plain_hidden, .format = CD_BODY_JSON},
        {.what = "form, then JSON", .username = "json@example.com", .hidden = plain_hidden},
        {.what = "special characters, as a form", .username = SPECIAL, .hidden = special_hidden},
        {.what = "special characters, as JSON", .username = SPECIAL, .hidden = special_hidden, .format = CD_BODY_JSON},
        {.what = "refusal", .username = ADA, .hidden = wrong_hidden, .code = CD_ERR_ACCESS_DENIED},
        {.what = "retries", .username = "down@example.com", .hidden = plain_hidden, .code = CD_ERR_UNAVAILABLE},
        {.what = "HTML page", .username = "portal@example.com", .hidden = plain_hidden, .code = CD_ERR_MALFORMED_RESPONSE},
        {.what = "redirect", .username = "moved@example.com", .hidden = plain_hidden, .code = CD_ERR_HTTP_STATUS},
        {.what = "timeout", .username = SLOW, .hidden = plain_hidden, .code = CD_ERR_TIMEOUT, .timeout_ms = 200},
        {.what = "timeout of a lookup",
         .username = ADA,
         .hidden = plain_hidden,
         .code = CD_ERR_TIMEOUT,
         .timeout_ms = 200,
         .lookup_hangs = 1},
        {.what = "cancel", .username = SLOW, .hidden = plain_hidden, .code = CD_ERR_CANCELLED, .cancelled = 1},
    };
    size_t i;
    char *kept;
    int round;
    resolver_start();
    end_if_hanging();
    add_encodings(plain_hidden);
    add_encodings(special_hidden);
    add_encodings(wrong_hidden);
    CHECK(copies(1) == 0);
    kept = reveal(special_hidden);
    CHECK(copies(0) == 1); /* what is there is found */
    wipe(kept);
    CHECK(copies(1) == 0);
    for (round = 0; round < repeats(1); round++)
        for (i = 0; i < sizeof logins / sizeof logins[0]; i++) {
            login l = logins[i];
            look_at(&l);
        }
    printf("%zu ways in which a login ends, %d copies left\n", i, copies(0));
    return checks_result();
}
