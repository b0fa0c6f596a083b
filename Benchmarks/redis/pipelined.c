/* Sends prepared commands to a Redis server over many connections, a batch at a time on each.
 *
 *     pipelined PORT CONNECTIONS BATCH SECONDS < commands
 *
 * The input is RESP commands, each preceded by its length as 32 bits, little endian. Connections take
 * them in turn. In every command sent, the bytes `@member@member@me` (16) become a number that was not
 * used before, so that each lease is another. Prints replies a second, and errors if there were any.
 * One thread: the server has the other core.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

struct command {
    char *bytes;
    uint32_t length;
    int member; /* where the member stands, -1: nowhere */
};

struct connection {
    int socket;
    int outstanding;
    size_t used; /* bytes read and not yet taken for a reply */
    char input[1 << 16];
};

static struct command *commands;
static size_t command_count;
static uint64_t next_command, next_member, replies, errors;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void read_commands(void) {
    uint32_t length;
    while (fread(&length, 4, 1, stdin) == 1) {
        commands = realloc(commands, (command_count + 1) * sizeof *commands);
        struct command *command = &commands[command_count++];
        command->bytes = malloc(length);
        command->length = length;
        command->member = -1;
        if (fread(command->bytes, 1, length, stdin) != length) fail("input");
        for (uint32_t at = 0; at + 16 <= length; at++) {
            if (memcmp(command->bytes + at, "@member@member@m", 16) == 0) command->member = (int)at;
        }
    }
    if (command_count == 0) exit(2);
}

static void send_batch(struct connection *connection, int batch) {
    static char output[1 << 20];
    size_t length = 0;
    for (int i = 0; i < batch; i++) {
        struct command *command = &commands[next_command++ % command_count];
        if (length + command->length > sizeof output) exit(3);
        memcpy(output + length, command->bytes, command->length);
        if (command->member >= 0) {
            next_member++;
            memcpy(output + length + command->member, &next_member, sizeof next_member);
        }
        length += command->length;
    }
    for (size_t sent = 0; sent < length;) {
        ssize_t count = send(connection->socket, output + sent, length - sent, 0);
        if (count <= 0) fail("send");
        sent += (size_t)count;
    }
    connection->outstanding = batch;
}

/* Takes whole replies, of one line or one bulk string, from the front of the input. */
static void take_replies(struct connection *connection) {
    size_t at = 0;
    while (at < connection->used) {
        char *start = connection->input + at;
        char *end = memchr(start, '\n', connection->used - at);
        if (end == NULL) break;
        size_t length = (size_t)(end - start) + 1;
        if (*start == '$' && start[1] != '-') length += (size_t)atol(start + 1) + 2;
        if (at + length > connection->used) break;
        if (*start == '-' && errors++ == 0) fprintf(stderr, "%.*s\n", 120, start);
        at += length;
        connection->outstanding--;
        replies++;
    }
    connection->used -= at;
    memmove(connection->input, connection->input + at, connection->used);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int count = atoi(argv[2]), batch = atoi(argv[3]);
    read_commands();
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    struct pollfd *polls = calloc((size_t)count, sizeof *polls);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        int one = 1;
        connections[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connections[i].socket, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
        setsockopt(connections[i].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        polls[i] = (struct pollfd){.fd = connections[i].socket, .events = POLLIN};
        send_batch(&connections[i], batch);
    }
    double start = seconds_now(), end = start + atof(argv[4]);
    while (seconds_now() < end) {
        if (poll(polls, (nfds_t)count, 1000) < 0) fail("poll");
        for (int i = 0; i < count; i++) {
            if (!(polls[i].revents & POLLIN)) continue;
            struct connection *connection = &connections[i];
            ssize_t got = recv(connection->socket, connection->input + connection->used,
                               sizeof connection->input - connection->used, 0);
            if (got <= 0) fail("recv");
            connection->used += (size_t)got;
            take_replies(connection);
            if (connection->outstanding == 0) send_batch(connection, batch);
        }
    }
    printf("%.0f %llu\n", (double)replies / (seconds_now() - start), (unsigned long long)errors);
    return 0;
}
