/* PATH: an echo server for many connections, by epoll. Answers the questions on its standard input
   as the other servers do; see server.ts. */
#include "common.h"
#include <sys/epoll.h>

static void answer(void) {
  char line[256];
  if (read(0, line, sizeof line) <= 0) exit(0);
  FILE *file = fopen("/proc/self/statm", "r");
  long all, resident;
  if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) die("statm");
  fclose(file);
  printf("%ld\n", resident * sysconf(_SC_PAGESIZE));
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  static char data[65536];
  struct epoll_event events[256], event = {.events = EPOLLIN};
  int listener = listen_on(argv[1], SOCK_NONBLOCK), poller = epoll_create1(0);
  event.data.fd = listener;
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = 0;
  epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event);
  ready();
  for (;;) {
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == 0) {
        answer();
      } else if (fd == listener) {
        int accepted;
        while ((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          event.data.fd = accepted;
          epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &event);
        }
      } else {
        ssize_t length = recv(fd, data, sizeof data, 0);
        if (length <= 0) close(fd);
        else if (send(fd, data, length, MSG_NOSIGNAL) != length) close(fd);
      }
    }
  }
}
