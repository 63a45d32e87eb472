"""The other end of a run, in Python: what peer.ts does, with the same arguments and the same notes."""

import base64
import json
import os
import select
import signal
import socket
import struct
import sys
import time

name, path, text = sys.argv[1:]
script = json.loads(text)
actions = script["actions"]
notes = os.open(path, os.O_WRONLY | os.O_APPEND)
IS_STREAM = script["transport"] == "stream"
IS_DATAGRAM = script["transport"] == "datagram"
ROOM = socket.CMSG_SPACE(253 * 4) + socket.CMSG_SPACE(12)
WORDS = 1 << 18
MASK = 0xFFFFFFFF


def note(**line):
    os.write(notes, (json.dumps(line) + "\n").encode())


def spread(word):
    word ^= word >> 16
    word = (word * 0x7FEB352D) & MASK
    word ^= word >> 15
    word = (word * 0x846CA68B) & MASK
    return word ^ (word >> 16)


def numbered(length, id):
    first = id * WORDS
    words = (length + 3) // 4
    return struct.pack(f"<{words}I", *(spread((first + i) & MASK) for i in range(words)))[:length]


def connected():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if IS_STREAM else socket.SOCK_SEQPACKET)
    # By its credentials an empty message is told from the end.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    s.connect("\0" + name)
    return s


def greeted():
    """Datagrams are sent to and fro when both sides have said so."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("\0" + name + "-peer")
    s.connect("\0" + name)
    s.send(b"")
    s.recv(1)
    return s


CODES = {11: "EAGAIN", 32: "EPIPE", 104: "ECONNRESET", 107: "ENOTCONN", 111: "ECONNREFUSED"}


def code_of(error):
    return CODES[error.errno]


def memory(number):
    fd = os.memfd_create(f"of the peer {number}")
    os.pwrite(fd, struct.pack("<I", number), 0)
    return fd


files = [memory(number) for number in range(4)] + [os.pipe()[1]]


def number_of(fd):
    try:
        return struct.unpack("<I", os.pread(fd, 4, 0))[0]
    except OSError:
        return 4
    finally:
        os.close(fd)


def write(s, action):
    data = numbered(action["size"], action["id"])
    fds = [files[number] for number in action["fds"]]
    taken = 0
    try:
        while taken < len(data):
            if fds:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))
                taken += s.sendmsg([data[taken:]], [rights])
                fds = []
            else:
                taken += s.send(data[taken:])
        note(wrote=action["id"])
    except OSError as error:
        note(failed=action["id"], taken=taken, code=code_of(error))


def is_over(s):
    """Waits for a message; of datagrams none will come when nothing is left and nothing more will be sent."""
    while IS_DATAGRAM:
        is_last = os.path.exists(path + ".over")
        if select.select([s], [], [], 0.001)[0]:
            return False
        if is_last:
            return True
    return False


def read(s, size):
    if is_over(s):
        note(end=True)
        return False
    try:
        data, ancillary, flags, _ = s.recvmsg(size if IS_STREAM else 200_000, ROOM)
    except OSError as error:
        note(error=code_of(error))
        return True
    if not data and (IS_STREAM or not ancillary) and not IS_DATAGRAM:
        note(end=True)
        return False
    fds = []
    for level, type, value in ancillary:
        if type == socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(value) // 4}i", value)
    numbers = [number_of(fd) for fd in fds]
    note(
        got=base64.b64encode(data).decode(), fds=numbers, cut=bool(flags & socket.MSG_CTRUNC)
    )
    return True


def talk():
    s = greeted() if IS_DATAGRAM else connected()
    more = True
    for action in actions:
        what = action["what"]
        if what == "write":
            write(s, action)
        elif what == "read":
            for _ in range(action["times"]):
                more = more and read(s, action["size"])
                time.sleep(action["pause"] / 1000)
        elif what == "pause":
            time.sleep(action["size"] / 1000)
        elif what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif what == "shutdown":
            s.shutdown(socket.SHUT_WR)
        elif what == "close":
            s.close()
            return
    try:
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    while more:
        more = read(s, 30_000)
    s.close()


def heard(s):
    parts = b""
    while True:
        part = s.recv(100)
        if not part:
            return parts
        parts += part


def visit():
    clients = {}
    for action in actions:
        what, client = action["what"], action["client"]
        s = clients.get(client)
        try:
            if what == "pause":
                time.sleep(action["size"] / 1000)
            elif what == "connect":
                clients[client] = connected()
                note(connected=client)
            elif s is None:
                continue
            elif what == "say":
                s.send(numbered(8, client))
            elif what == "leave":
                clients.pop(client).close()
            elif what == "hear":
                data = base64.b64encode(heard(s)).decode()
                note(heard=client, bytes=data)
                clients.pop(client).close()
        except OSError as error:
            note(refused=client, code=code_of(error))


note(ready=True)
if script["role"] == "clients":
    visit()
else:
    talk()
note(done=True)
