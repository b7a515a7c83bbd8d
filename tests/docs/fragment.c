/* Declarations for fragments in the documentation, which replace the mark and are never run. */
#include <couchdrop.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* INCLUDES */

int fragment(const char *username, const char *password, cd_options *options, cd_cancel *cancel, cd_token *token,
             cd_error *error, cd_code code) {
    {
        /* FRAGMENT */
    }
    return code;
}
