/*
 * Sends and receives messages with ancillary data, as it is told on its standard input, one command
 * a line; answers each with a line. `ancillary_peer TYPE PATH` connects a socket of the type
 * (SOCK_STREAM and so on, as a number) first, and binds it to "PATH.peer" where it is a datagram socket.
 *
 *   make N                    opens N files in memory, which hold "0", "1", …; forgets earlier ones
 *   send DATA CONTROL…        sends DATA ("-" is none) with control messages, each of them one of:
 *     rights:FIRST:COUNT[:ODD]  so many of the files, and ODD more bytes, which are no whole one
 *     pidfd                     SCM_RIGHTS with a pidfd of this process
 *     credentials               SCM_CREDENTIALS of this process
 *     ids:PID:UID:GID           SCM_CREDENTIALS of others
 *     short                     SCM_CREDENTIALS that lacks its last 4 bytes
 *     other                     a control message of another level, which Unix sockets do not read
 *   receive ROOM [peek] [cloexec]   receives a message, with so many bytes for control messages
 *   option NAME VALUE         sets an option of SOL_SOCKET, by its number
 *
 * An answer is "ok …", or "error ERRNO". A receipt is answered by a word for each thing in it: the data,
 * "ctrunc", "rights:FLAGS=CONTENTS,…", "credentials:PID:UID:GID", "pidfd:PID".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

#define MOST 256

static int sock;
static int files[MOST];
static int count;

static int check(int result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
  return result;
}

static void connect_to(int type, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  sock = check(socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "socket");
  if (type == SOCK_DGRAM) {
    snprintf(address.sun_path, sizeof address.sun_path, "%s.peer", path);
    check(bind(sock, (struct sockaddr *)&address, sizeof address), "bind");
  }
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  check(connect(sock, (struct sockaddr *)&address, sizeof address), "connect");
}

static void make(int wanted) {
  char contents[16];
  while (count > 0) close(files[--count]);
  for (; count < wanted; count++) {
    files[count] = check(memfd_create("ancillary_peer", 0), "memfd_create");
    int length = snprintf(contents, sizeof contents, "%d", count);
    check(write(files[count], contents, length), "write");
  }
  printf("ok\n");
}

static struct cmsghdr *put(struct msghdr *message, int level, int type, const void *data, size_t size) {
  struct cmsghdr *header = (void *)((char *)message->msg_control + message->msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), data, size);
  message->msg_controllen += CMSG_SPACE(size);
  return header;
}

static void put_credentials(struct msghdr *message, pid_t pid, uid_t uid, gid_t gid, size_t size) {
  struct ucred credentials = {pid, uid, gid};
  put(message, SOL_SOCKET, SCM_CREDENTIALS, &credentials, size);
}

static void put_control(struct msghdr *message, const char *word) {
  int first, some, odd = 0, pid;
  unsigned uid, gid;
  if (sscanf(word, "rights:%d:%d:%d", &first, &some, &odd) >= 2) {
    /* The bytes that are no whole descriptor are the beginning of the next one. */
    put(message, SOL_SOCKET, SCM_RIGHTS, files + first, some * sizeof(int) + odd);
  } else if (strcmp(word, "pidfd") == 0) {
    int pidfd = check(syscall(SYS_pidfd_open, getpid(), 0), "pidfd_open");
    put(message, SOL_SOCKET, SCM_RIGHTS, &pidfd, sizeof pidfd);
  } else if (strcmp(word, "credentials") == 0) {
    put_credentials(message, getpid(), getuid(), getgid(), sizeof(struct ucred));
  } else if (strcmp(word, "short") == 0) {
    put_credentials(message, getpid(), getuid(), getgid(), sizeof(struct ucred) - 4);
  } else if (sscanf(word, "ids:%d:%u:%u", &pid, &uid, &gid) == 3) {
    put_credentials(message, pid, uid, gid, sizeof(struct ucred));
  } else if (strcmp(word, "other") == 0) {
    put(message, 0x7fff, SCM_RIGHTS, &sock, sizeof sock);
  } else {
    fprintf(stderr, "What is %s?\n", word);
    exit(1);
  }
}

static void send_message(char *data) {
  static _Alignas(struct cmsghdr) char control[8192];
  struct iovec bytes = {data, strcmp(data, "-") == 0 ? 0 : strlen(data)};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control};
  memset(control, 0, sizeof control);
  for (char *word; (word = strtok(NULL, " ")) != NULL;) put_control(&message, word);
  ssize_t sent = sendmsg(sock, &message, MSG_NOSIGNAL);
  if (sent < 0) printf("error %d\n", errno);
  else printf("ok %zd\n", sent);
}

static void show_rights(const int *fds, size_t some) {
  char contents[64];
  printf(" rights:");
  for (size_t i = 0; i < some; i++) {
    int on_exec = check(fcntl(fds[i], F_GETFD), "fcntl") & FD_CLOEXEC;
    ssize_t length = pread(fds[i], contents, sizeof contents, 0);
    printf("%s%s=%.*s", i == 0 ? "" : ",", on_exec ? "cloexec" : "kept", (int)(length < 0 ? 0 : length), contents);
    close(fds[i]);
  }
}

static void show_pidfd(int pidfd) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  FILE *info = fopen(path, "re");
  while (info != NULL && fgets(line, sizeof line, info) != NULL) {
    int pid;
    if (sscanf(line, "Pid: %d", &pid) == 1) printf(" pidfd:%d", pid);
  }
  if (info != NULL) fclose(info);
  close(pidfd);
}

static void receive_message(size_t room, int flags) {
  static _Alignas(struct cmsghdr) char control[8192];
  char data[4096];
  struct iovec bytes = {data, sizeof data};
  struct msghdr message = {
    .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
  ssize_t length = recvmsg(sock, &message, flags);
  if (length < 0) {
    printf("error %d\n", errno);
    return;
  }
  printf("ok %.*s", (int)length, data);
  if (message.msg_flags & MSG_CTRUNC) printf(" ctrunc");
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  for (; header != NULL; header = CMSG_NXTHDR(&message, header)) {
    size_t size = header->cmsg_len - CMSG_LEN(0);
    if (header->cmsg_level != SOL_SOCKET) {
      printf(" level:%d", header->cmsg_level);
    } else if (header->cmsg_type == SCM_RIGHTS) {
      show_rights((int *)CMSG_DATA(header), size / sizeof(int));
    } else if (header->cmsg_type == SCM_PIDFD) {
      show_pidfd(*(int *)CMSG_DATA(header));
    } else if (header->cmsg_type == SCM_CREDENTIALS && size == sizeof(struct ucred)) {
      struct ucred *credentials = (void *)CMSG_DATA(header);
      printf(" credentials:%d:%u:%u", credentials->pid, credentials->uid, credentials->gid);
    } else {
      printf(" type:%d:%zu", header->cmsg_type, size);
    }
  }
  printf("\n");
}

static void obey(char *line) {
  char *command = strtok(line, " ");
  char *argument = strtok(NULL, " ");
  if (argument == NULL) {
    fprintf(stderr, "What is to be done?\n");
    exit(1);
  } else if (strcmp(command, "make") == 0) {
    make(atoi(argument));
  } else if (strcmp(command, "send") == 0) {
    send_message(argument);
  } else if (strcmp(command, "receive") == 0) {
    int flags = 0;
    for (char *word; (word = strtok(NULL, " ")) != NULL;) {
      flags |= strcmp(word, "peek") == 0 ? MSG_PEEK : MSG_CMSG_CLOEXEC;
    }
    receive_message(atoi(argument), flags);
  } else if (strcmp(command, "option") == 0) {
    char *word = strtok(NULL, " ");
    int value = word == NULL ? 0 : atoi(word);
    int result = setsockopt(sock, SOL_SOCKET, atoi(argument), &value, sizeof value);
    if (result < 0) printf("error %d\n", errno);
    else printf("ok\n");
  }
}

int main(int argc, char **argv) {
  char line[4096];
  if (argc != 3) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  connect_to(atoi(argv[1]), argv[2]);
  printf("connected\n");
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    obey(line);
  }
  return 0;
}
