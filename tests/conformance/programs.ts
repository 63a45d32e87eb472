/**
 * Other programs that the library is tried with. A test belongs to one whose name is in its title.
 * @module
 */

/** A program, or several of one family. */
export interface Program {
  name: string;
  /** What is tried with it. */
  what: string;
  /** Which titles speak of it. */
  titles: RegExp;
}

export const PROGRAMS: readonly Program[] = [
  {
    name: "Python",
    what: "every type and kind of address, descriptors, credentials, cut messages, sudden death",
    titles: /\bPython/,
  },
  {
    name: "a C program",
    what: "control messages of every order and size, flags, peeks, options",
    titles: /\ba C (program|message)/,
  },
  {
    name: "socat",
    what:
      "streams and their half-closes, seqpacket records, datagrams, padded abstract names, modes",
    titles: /\bsocat\b/,
  },
  {
    name: "nc (OpenBSD)",
    what: "streams, datagrams, and the connection that -F passes as a descriptor",
    titles: /\bnc -|\bnetcat\b/,
  },
  {
    name: "redis-server, redis-cli",
    what: "requests in a row, large values, a proxy between client and server",
    titles: /\bredis-/,
  },
  {
    name: "nginx",
    what: "HTTP as its client, and as its upstream",
    titles: /\bnginx\b/,
  },
  {
    name: "dbus-daemon",
    what: "authentication by peer credentials, messages with descriptors",
    titles: /\bdbus-daemon\b|\bD-Bus\b|\ba bus\b/,
  },
  {
    name: "systemd-socket-activate",
    what: "listeners and connections that are there when the program starts",
    titles: /\bsystemd-socket-activate\b/,
  },
  {
    name: "systemd-notify",
    what: "messages of a service with its credentials, and the descriptor of its barrier",
    titles: /\bsystemd-notify\b/,
  },
  {
    name: "rsyslogd",
    what: "a daemon that reads credentials, is full, and starts anew",
    titles: /\brsyslogd?\b/,
  },
  {
    name: "ssh-agent, ssh-add",
    what: "messages with their length in front, as client and as agent",
    titles: /\bssh-(agent|add)\b/,
  },
  {
    name: "ssh",
    what: "a connection that a ProxyCommand passes to it as a descriptor",
    titles: /\bssh\b(?!-)/,
  },
  {
    name: "strace",
    what: "which system calls are made, with which flags, and that each descriptor is closed once",
    titles: /\bstrace\b/,
  },
  {
    name: "unshare",
    what: "sockets across network namespaces",
    titles: /\bnetwork namespace\b/,
  },
];
