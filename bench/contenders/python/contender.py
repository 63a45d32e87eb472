"""One contender in Python: the WORKLOAD and its arguments, as the C programs of these names."""
import array
import os
import selectors
import socket
import subprocess
import sys
from time import perf_counter


def connect_to(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def receive_all(connection, length):
    data = connection.recv(length)
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def timed(run, rounds):
    """How long the rounds take, after half as many to warm up."""
    for _ in range(rounds // 2):
        run()
    begin = perf_counter()
    for _ in range(rounds):
        run()
    return perf_counter() - begin


def round_trip(path, size, rounds):
    connection, data, size = connect_to(path), os.urandom(int(size)), int(size)

    def run():
        connection.sendall(data)
        return receive_all(connection, size)

    assert run() == data
    return timed(run, int(rounds)) * 1e6 / int(rounds)


def throughput(path, size, warm, total):
    connection, data, size = connect_to(path), bytes([7]) * int(size), int(size)

    def transfer(total):
        for _ in range(total // size):
            connection.sendall(data)
        assert int.from_bytes(receive_all(connection, 8), sys.byteorder) == total

    transfer(int(warm))
    begin = perf_counter()
    transfer(int(total))
    return int(total) / 1048576 / (perf_counter() - begin)


def datagrams(rounds):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    data = bytes([7]) * 64

    def run():
        a.send(data)
        return b.recv(2048)

    assert run() == data
    return timed(run, int(rounds)) * 1e9 / int(rounds)


def descriptors(rounds, each):
    a, b = socket.socketpair(socket.AF_UNIX)
    fds = [a.fileno()] * int(each)
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    room = socket.CMSG_SPACE(253 * 4)

    def run():
        a.sendmsg([b"7"], control)
        _, messages, _, _ = b.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
        received = array.array("i", messages[0][2])
        for fd in received:
            os.close(fd)
        return len(received)

    assert run() == int(each)
    return int(rounds) / timed(run, int(rounds) // int(each))


def connects(path, rounds):
    assert receive_all(connect_to(path), 1) == b"!"
    return int(rounds) / timed(lambda: connect_to(path).close(), int(rounds))


def accepts(path, rounds, *flood):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    listener.setblocking(False)
    spent, accepted, warm = 0.0, 0, True
    while accepted < int(rounds):
        count = int(subprocess.check_output(flood))
        begin = perf_counter()
        for _ in range(count):
            listener.accept()[0].close()
        if not warm:
            spent += perf_counter() - begin
            accepted += count
        warm = False
    return accepted / spent


def server(path):
    """An echo server by selectors that tells its memory for every line on its standard input."""
    selector = selectors.EpollSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                selector.register(connection, selectors.EVENT_READ)
            elif key.fileobj is sys.stdin:
                if not sys.stdin.readline():
                    sys.exit()
                with open("/proc/self/statm") as file:
                    print(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"), flush=True)
            else:
                data = key.fileobj.recv(65536)
                if data:
                    key.fileobj.sendall(data)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def startup(path):
    connection = connect_to(path)
    connection.sendall(b"7")
    assert connection.recv(1) == b"7"
    return "reply"


if __name__ == "__main__":
    workloads = {
        each.__name__: each
        for each in (
            *(round_trip, throughput, datagrams, descriptors),
            *(connects, accepts, server, startup),
        )
    }
    print(workloads[sys.argv[1]](*sys.argv[2:]))
