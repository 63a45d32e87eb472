/* PATH: accepts, greets with one byte, and closes some connections later: a client that is told of
   the end before it looks may take that for a failure to connect. */
#include "../contenders/c/common.h"

#define LATER 256

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int listener = listen_on(argv[1], 0), open[LATER];
  ready();
  for (unsigned long count = 0;; count++) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    send(fd, "!", 1, MSG_NOSIGNAL);
    if (count >= LATER) close(open[count % LATER]);
    open[count % LATER] = fd;
  }
}
