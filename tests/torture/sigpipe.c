/*
 * SIGPIPE keeps its default action, which kills the process, while TLS connections are reset or
 * closed after every byte to or from the server. A login that was cut returns an error, and sends
 * nothing twice.
 */
#include "relay.h"

/* One login on a new connection. */
static cd_code log_in_through(const relay *r) {
    cd_options *options = relay_options(r);
    cd_code code = log_in(options);
    cd_options_free(options);
    return code;
}

/* More bytes than the connection's buffers take, so that it is cut while the login still sends. */
static int cut_while_sending(void) {
    static char longest[65537];
    long after;
    int how, little = 4096, cuts = 0;
    memset(longest, '%', sizeof longest - 1); /* each is three bytes in a form */
    for (how = RESET; how <= BREAK; how++) {
        for (after = 2000; after < 500000; after += 50000 / times() + 1) {
            relay r;
            cd_options *options;
            cd_token *token = NULL;
            relay_start(&r);
            setsockopt(r.listening.listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
            r.how = (enum cut)how;
            r.direction = TO_SERVER;
            r.after = after;
            options = relay_options(&r);
            CHECK_CODE(
                CD_ERR_CONNECTION_LOST,
                cd_authenticate_with(options, NULL, 0, longest, longest, longest, &token, NULL));
            cd_options_free(options);
            relay_stop(&r);
            cuts++;
        }
    }
    return cuts;
}

int main(void) {
    static const char *const hows[] = {"reset", "closed", "broken"}, *const directions[] = {"to",
                                                                                            "from"};
    long whole[2], step = times() > 1 ? 1 : 11;
    int how, direction, cuts = 0;
    relay r;
    signal(SIGPIPE, SIG_DFL);
    give_up_after(120);
    relay_start(&r);
    CHECK_CODE(CD_OK, log_in_through(&r));
    relay_stop(&r);
    whole[TO_SERVER] = r.passed[TO_SERVER];
    whole[TO_CLIENT] = r.passed[TO_CLIENT];
    for (how = RESET; how <= BREAK; how++) {
        for (direction = TO_SERVER; direction <= TO_CLIENT; direction++) {
            long after, succeeded = 0;
            for (after = 0; after < whole[direction]; after += after == 0 ? 1 : step) {
                cd_code code;
                relay_start(&r);
                r.how = (enum cut)how;
                r.direction = (enum direction)direction;
                r.after = after;
                code = log_in_through(&r);
                relay_stop(&r);
                cuts++;
                succeeded += code == CD_OK;
                if (code == CD_ERR_CONNECTION_LOST || (code == CD_OK && direction == TO_CLIENT))
                    continue;
                /* A reset that arrives before the login has checked that it is connected. */
                if (code == CD_ERR_CONNECT && after == 0)
                    continue;
                fprintf(stderr, "%s after %ld of %ld bytes %s the server: %s\n", hows[how], after,
                        whole[direction], directions[direction], cd_code_name(code));
                checks_failed++;
            }
            /*
             * The last bytes of a response may be a session ticket or close_notify instead of the
             * token.
             */
            CHECK(succeeded * step < whole[direction] / 2);
        }
    }
    cuts += cut_while_sending();
    printf("%d cuts of %ld bytes to and %ld from the server\n", cuts, whole[0], whole[1]);
    return checks_result();
}
