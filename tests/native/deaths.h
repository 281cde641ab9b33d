/* Compiled into the hot path for the tests: the process dies before its n-th step, or in a copy. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

int steps_left = -1; /* before the process dies; -1 for ever. Tests set both through ctypes. */
int tear = 0;        /* 0: all steps count; else only copies, and the process dies in one of them */

static void die(void) { kill(getpid(), SIGKILL); }

static void step(void) {
    if (tear == 0 && steps_left >= 0 && steps_left-- == 0) die();
}

static void copy(char *to, const char *from, size_t size) {
    if (tear == 0 || steps_left < 0 || steps_left-- > 0) {
        memcpy(to, from, size);
        return;
    }
    size_t half = size / 2, third = size / 3;
    switch (tear) {
    case 1: break;
    case 2: memcpy(to, from, half); break;
    case 3: memcpy(to, from, size); break; /* all but the newline, which is stored afterwards */
    case 4: memcpy(to + half, from + half, size - half); break;
    case 5:
        memcpy(to, from, third);
        memcpy(to + third + 1, from + third + 1, size - third - 1);
        break;
    }
    die();
}

#define STEP() step()
#define COPY(to, from, size) copy(to, from, (size_t)(size))
