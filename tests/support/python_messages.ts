/**
 * Python as the peer of messages with ancillary data, over every type of socket.
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Peer, python } from "./interop.ts";
import { type AnySocket, connectionOf, type Kind, type Owner, ownerOf } from "./message_peers.ts";
import { uniqueName } from "./raw.ts";
import { openDescriptors, withTempSocketPath } from "./sockets.ts";

export * from "./message_peers.ts";

/**
 * What each script finds besides the things of `python()`: `peer`, a socket that is connected to
 * ours, and these functions.
 */
const PRELUDE = `
TYPES = dict(UnixStream=socket.SOCK_STREAM, UnixDatagram=socket.SOCK_DGRAM, UnixSeqpacket=socket.SOCK_SEQPACKET)
RIGHTS, CREDENTIALS, PIDFD = socket.SCM_RIGHTS, socket.SCM_CREDENTIALS, 4
SO_PASSPIDFD, SO_PASSRIGHTS = 76, 83
ROOM = 4096

kind, path, prefix = args[:3]
args = args[3:]
peer = socket.socket(socket.AF_UNIX, TYPES[kind])
if kind == "UnixDatagram":
    peer.bind(path + ".python")

def connect(first=None):
    """Connects, sends a first message where there is one, and waits until the other side has connected too."""
    peer.connect(path)
    if first is not None:
        peer.send(first)
    say("connected")
    hear()

def send(data, *controls):
    """Each control message is a pair of a type and of what it holds."""
    return peer.sendmsg([data], [(socket.SOL_SOCKET, kind, held) for kind, held in controls])

def ints(*values):
    return array.array("i", values)

def own_credentials(pid=None, uid=None, gid=None):
    own = [os.getpid(), os.getuid(), os.getgid()]
    return struct.pack("=iII", *[o if wanted is None else wanted for o, wanted in zip(own, (pid, uid, gid))])

def receive(room=ROOM, flags=0):
    """The data, the flags, and the control messages as pairs."""
    data, controls, flags, _ = peer.recvmsg(65536, room, flags)
    assert all(level == socket.SOL_SOCKET for level, _, _ in controls)
    return data, flags, [(kind, held) for _, kind, held in controls]

def as_ints(held):
    values = array.array("i")
    values.frombytes(held[:len(held) // 4 * 4])
    return values.tolist()

def descriptors(controls):
    return [fd for kind, held in controls if kind == RIGHTS for fd in as_ints(held)]

def credentials(controls):
    return [struct.unpack("=iII", held) for kind, held in controls if kind == CREDENTIALS]

def file(contents):
    fd = os.memfd_create(prefix)
    os.pwrite(fd, contents.encode(), 0)
    return fd

def contents(fd):
    return os.pread(fd, 64, 0).decode()

def pid_of(pidfd):
    with open("/proc/self/fdinfo/%d" % pidfd) as lines:
        return [int(line.split()[1]) for line in lines if line.startswith("Pid:")][0]

def tell(value):
    say(json.dumps(value))
`;

/** What a conversation with Python has. */
export interface Conversation {
  /** Our end of the connection. */
  socket: AnySocket;
  peer: Peer;
  /** What the names of all files in memory begin with, on both sides. */
  prefix: string;
}

/**
 * Connects Python, which runs this script and has to call `connect()`, with a socket of ours for the
 * time of a body. Then waits until Python has ended well, and asserts that no file of theirs is still
 * open here.
 *
 * @param before is called with the socket that Python connects to, before it does
 */
export async function withPython(
  kind: Kind,
  script: string,
  body: (conversation: Conversation) => Promise<void>,
  { args = [], before }: {
    args?: readonly (string | number)[] | undefined;
    before?: ((owner: Owner) => void) | undefined;
  } = {},
): Promise<void> {
  await withTempSocketPath(async (path) => {
    using owner = ownerOf(kind, path);
    before?.(owner);
    const prefix = uniqueName();
    await using peer = python(`${PRELUDE}\n${atMargin(script)}`, [kind, path, prefix, ...args]);
    assertEquals(await peer.line(), "connected");
    using socket = connectionOf(owner, `${path}.python`);
    peer.tell();
    await body({ socket, peer, prefix });
    await peer.succeeded();
    const left = [...openDescriptors().values()].filter((target) => target.includes(prefix));
    assertEquals(left, []);
  });
}

/** A script without the indentation that its surroundings give it. */
function atMargin(script: string): string {
  const lines = script.split("\n").filter((line) => line.trim() !== "");
  const indent = Math.min(...lines.map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join("\n");
}
