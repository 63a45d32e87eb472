/* PATH CONNECTIONS: opens connections to an echo server and says "ready". Then obeys the lines on
   its standard input:
     load ACTIVE SECONDS   64 bytes to and fro on ACTIVE of them; answers with how many a second
     pace RATE SECONDS     one after the other, RATE a second; answers with how many there were */
#include "../contenders/c/common.h"
#include <sys/epoll.h>

#define SIZE 64

static int *fds;
static long connections;
static char data[SIZE], reply[SIZE];

static void round_trip(int fd) {
  send_all(fd, data, SIZE);
  receive_all(fd, reply, SIZE);
  if (memcmp(data, reply, SIZE) != 0) wrong("The echo is another");
}

static double load(long active, double seconds) {
  int poller = epoll_create1(0);
  for (long i = 0; i < active; i++) {
    int fd = fds[i * connections / active];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    send_all(fd, data, SIZE);
  }
  long count = 0, under = active;
  double begin = now(), end = begin + seconds;
  while (under > 0) {
    struct epoll_event events[128];
    int some = epoll_wait(poller, events, 128, -1), over = now() >= end;
    for (int i = 0; i < some; i++) {
      receive_all(events[i].data.fd, reply, SIZE);
      if (over) under--;
      else send_all(events[i].data.fd, data, SIZE), count++;
    }
  }
  close(poller);
  return count / (now() - begin);
}

static double pace(double rate, double seconds) {
  long count = rate * seconds;
  double begin = now();
  for (long i = 0; i < count; i++) {
    double left = begin + i / rate - now();
    if (left > 0) usleep(left * 1e6);
    round_trip(fds[i % connections]);
  }
  return count;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  connections = atol(argv[2]);
  fds = calloc(connections, sizeof *fds);
  memset(data, 7, SIZE);
  for (long i = 0; i < connections; i++) {
    fds[i] = connect_to(argv[1]);
    round_trip(fds[i]);
  }
  ready();
  char word[16];
  double a, b;
  while (scanf("%15s %lf %lf", word, &a, &b) == 3) {
    printf("%f\n", strcmp(word, "load") == 0 ? load(a, b) : pace(a, b));
    fflush(stdout);
  }
  return 0;
}
