/**
 * What QEMU's emulation of user programs (checked: 7.2) cannot do, as small C programs show that do the same on the
 * machine itself and under it, and by what one knows a test that fails for that reason. `npm run test:arm64` names
 * such tests as left out. On a machine of that kind none of this counts.
 * @module
 */

import type { RuntimeName } from "../testing/options.ts";

/** A reason why tests fail under emulation and nowhere else. */
export interface Limit {
  reason: string;
  /** What the failure says, where that tells the reason from every other. */
  symptom?: RegExp;
  /** Else the titles, by the name of the file in `tests/` without ".test.ts". */
  tests?: Readonly<Record<string, readonly string[]>>;
  /** Where it is so; on all runtimes without it. */
  runtimes?: readonly RuntimeName[];
  /** Whether it is so only in a user namespace. */
  inUserNamespace?: true;
}

const SOCKETS = ["STREAM", "SEQPACKET", "DGRAM"];
const KINDS = ["UnixStream", "UnixDatagram", "UnixSeqpacket"];

const MORE_ROOM =
  "QEMU gives the kernel more room for control messages than the program has, does not say " +
  "what it cuts off then, and leaves the descriptors in it open";

export const limits: readonly Limit[] = [
  {
    reason: "QEMU does not know SO_TIMESTAMPNS",
    tests: {
      "socket/options": [
        "J202 SO_TIMESTAMPNS gives messages the time of their sending, and streams none",
        "J202 UnixDatagram receives as ever on a socket that has SO_TIMESTAMPNS",
      ],
    },
  },
  {
    reason: "QEMU does not know SO_PASSPIDFD and SO_PASSRIGHTS",
    symptom:
      /Cannot set the passing of (pidfds|descriptors): ENOPROTOOPT|Error: option 76 1: error 92/,
    tests: { "security/messages": ["another user cannot send a descriptor to an HTTP service"] },
  },
  {
    reason: "QEMU does not know SO_PEEK_OFF",
    symptom: /Cannot set the peek offset: ENOPROTOOPT/,
  },
  {
    reason: "QEMU does not say how much room SO_PEERGROUPS needs",
    symptom: /Cannot read the peer's (groups|security context): ERANGE/,
  },
  {
    reason: MORE_ROOM,
    tests: {
      "message/ancillary_batch": ["UnixSeqpacket: a batch without maxFds lets no descriptor in"],
      "message/ancillary_limits": [
        ...KINDS.map((kind) =>
          `G137 ${kind}: room of CMSG_SPACE for n descriptors takes n, and CMSG_LEN for one takes one`
        ),
        // What gives room for a timestamp alone lets descriptors in here and below.
        "G149 UnixSeqpacket: peeks at a message install no descriptor, and receiveMessage() gets them after that",
        ...["receive", "receiveSync", "receiveMany", "receiveManySync"].map((name) =>
          `G140 UnixSeqpacket ${name}() closes the descriptors that come with what it gets`
        ),
      ],
      "io/descriptor_storms": [
        "G140 a storm of descriptors through a seqpacket pair whose receiver takes half of the messages without them leaves none open",
      ],
      "message/message_descriptors": [
        ...["receive()", "receive() of size 0", "receiveSync()", "peek()", "receiveMany()"],
        ...["receiveManySync()", "iteration", "readable"],
      ].flatMap((how) =>
        [1, 4, 253].map((count) =>
          `G140 UnixSeqpacket ${how} takes messages without their descriptors, ${count} in each`
        )
      ),
      "interop/c_ancillary": KINDS.map((kind) =>
        `G137 ${kind}.sendMessage() of two descriptors and credentials is cut where a C program has less room`
      ),
      "ffi/cmsg_kernel": [
        ...SOCKETS.map((type) =>
          "parseControl() reports every descriptor that the kernel installs, in 1200 messages " +
          `through a SOCK_${type} pair`
        ),
        "parseControl() reports every descriptor of each message of a batch",
        "parseControl() reads what fits into 16 to 32 bytes: 20 hold one descriptor, 24 two, 28 three",
        "N239 parseControl() finds [1,2], [3,4,5], [], [7] joined in their order by the kernel",
      ],
      "socket/credentials_messages": [
        "H175 credentials that found too little room are reported as missing, never as somebody else's",
      ],
    },
  },
  {
    reason: MORE_ROOM,
    tests: {
      "io/descriptor_storms": [
        "G155 a process under node that is killed amid storms of descriptors leaves none open here",
        "G161 storms of descriptors to and from a process under node bring just what was sent, and leave none open on either side",
      ],
    },
    runtimes: ["bun"],
  },
  {
    reason: "QEMU has no NETLINK_SOCK_DIAG, and /proc/net/unix does not tell such names apart",
    tests: {
      "listener/takeover": [
        "UnixListener.listen() never takes over a socket that does not listen yet, with a carriage return in its name",
        "UnixListener.listen() never takes over a socket that does not listen yet, with a line feed in its name",
        "UnixListener.listen() never takes over a socket that was renamed and does not listen yet",
      ],
    },
  },
  {
    reason: "in a user namespace of their own, the tests may not claim the pid of another process",
    tests: {
      "socket/credentials_claims": [
        ...KINDS.map((kind) => `H170 ${kind}: the pid of no process is ESRCH, and nothing is sent`),
        "H170 root may claim any ids, and the pid of any process that lives",
      ],
      "interop/c_ancillary": KINDS.map((kind) =>
        `H170 ${kind} and a C program cannot claim to be a process that is not there`
      ),
      "interop/python_ancillary_credentials": KINDS.flatMap((kind) => [
        `H170 ${kind}.receiveMessage() gets the ids that Python claims as root`,
        `H170 ${kind}.sendMessage() claims ids as root, and Python sees them`,
      ]),
    },
    inUserNamespace: true,
  },
  {
    reason:
      "QEMU's address space has no room for the memory that Bun sets aside for an ArrayBuffer that grows",
    symptom: /mprotect failed: Cannot allocate memory/,
    runtimes: ["bun"],
  },
  {
    reason:
      "QEMU makes a fork of Bun's vfork, which hides from the parent that a program cannot be started",
    tests: {
      "process/spawn_process": [
        "spawnWithSocket() rejects where nothing can start, and leaves nothing open",
        // By itself it passes: what the one before it has left open goes while it counts.
        "200 children leave the descriptor table as it was",
      ],
    },
    runtimes: ["bun"],
  },
  {
    reason: "QEMU catches signals that kill for itself, and /proc/self/status tells of that",
    tests: {
      "socket/after_peer_closed": [
        "L229 UnixStream's writes survive a closed peer where SIGPIPE has its default effect",
      ],
    },
  },
  {
    reason:
      "in a user namespace of their own, the tests may have only so many descriptors under way",
    symptom: /ETOOMANYREFS/,
    inUserNamespace: true,
  },
  {
    reason: "strace sees the system calls of QEMU",
    tests: {
      "interop/strace": [
        "C62 strace: UnixListener.close() removes its path once, before it closes",
      ],
    },
  },
  {
    reason: "musl's headers are those for the processor of the machine",
    tests: {
      "ffi/musl": [
        "abiFor() agrees with musl's headers on every constant, errno, number and struct but four",
      ],
    },
  },
  {
    reason: "QEMU 7.2 itself fails now and then",
    symptom: /cpu_exec: assertion failed: \(cpu == current_cpu\)/,
  },
  {
    reason: "QEMU needs memory of its own in every process",
    tests: {
      "docs/demo": ["examples/demo/main.ts streams 256 MiB with no process needing as much memory"],
    },
  },
  {
    reason: "QEMU needs memory of its own in every process, on Bun more and more",
    runtimes: ["bun"],
    tests: {
      "scripts/load": [
        "20,000 connections in sequence are all served in order, and leave descriptors and memory as they were on both sides",
      ],
    },
  },
  {
    reason: "TypeScript's compiler is installed for the processor of the machine alone",
    tests: { "docs/code": ["The programs of README.md and of the guides pass the type-checker"] },
  },
];
