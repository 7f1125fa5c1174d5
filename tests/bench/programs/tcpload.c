/*
 * `tcpload ADDRESS PORT recv`: takes all that comes. `... send BLOCKS`: sends so many blocks of 64 KiB and waits for the other end. `... echo TIMES`: sends one byte and
 * waits for one, so often. Exits with 1 when something fails.
 */
#include "linux.h"

enum {
    BLOCK = 65536,
    AF_INET = 2,
    SOCK_STREAM = 1,
    IPPROTO_TCP = 6,
    TCP_NODELAY = 1,
    SHUT_WR = 1,
    SYS_socket = 359,
    SYS_connect = 362,
    SYS_setsockopt = 366,
    SYS_shutdown = 373
};

static unsigned char buffer[BLOCK];

static unsigned number(const char **text)
{
    unsigned value = 0;
    while (**text >= '0' && **text <= '9')
        value = value * 10 + (unsigned)(*(*text)++ - '0');
    return value;
}

static int connected(const char *address, const char *port)
{
    static unsigned char to[16];
    static int on = 1;
    const unsigned to_port = number(&port);
    to[0] = AF_INET;
    to[2] = (unsigned char)(to_port >> 8);
    to[3] = (unsigned char)to_port;
    for (int i = 0; i < 4; i++, address++)
        to[4 + i] = (unsigned char)number(&address);
    const long end = system_call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
    if (end < 0 || system_call(SYS_connect, end, (long)to, sizeof to, 0, 0, 0) < 0)
        return -1;
    system_call(SYS_setsockopt, end, IPPROTO_TCP, TCP_NODELAY, (long)&on, sizeof on, 0);
    return (int)end;
}

static int take_all(int end)
{
    for (;;) {
        const long taken = system_call(SYS_read, end, (long)buffer, BLOCK, 0, 0, 0);
        if (taken <= 0)
            return taken < 0;
    }
}

int linux_main(int count, char **arguments, char **environment)
{
    (void)environment;
    if (count < 4)
        return 1;
    const int end = connected(arguments[1], arguments[2]);
    if (end < 0)
        return 1;
    if (arguments[3][0] == 'r')
        return take_all(end);
    if (count < 5)
        return 1;
    const char *text = arguments[4];
    const unsigned times = number(&text);
    const long length = arguments[3][0] == 's' ? BLOCK : 1;
    for (unsigned i = 0; i < times; i++) {
        for (long done = 0; done < length;) {
            const long written = system_call(SYS_write, end, (long)(buffer + done), length - done, 0, 0, 0);
            if (written <= 0)
                return 1;
            done += written;
        }
        if (length == 1 && system_call(SYS_read, end, (long)buffer, 1, 0, 0, 0) != 1)
            return 1;
    }
    system_call(SYS_shutdown, end, SHUT_WR, 0, 0, 0, 0);
    return take_all(end);
}
