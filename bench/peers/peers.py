"""The peers of the contenders for a machine without a C compiler: ECHO, SINK, ACCEPTOR, FLOOD and
CLIENTS, with the same arguments and answers as the C programs of these names."""
import os
import selectors
import signal
import socket
import sys
import time

SIZE = 64
DATA = bytes([7]) * SIZE


def listen_on(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    print("ready", flush=True)
    return listener


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


def echo(path):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = listen_on(path)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            while data := connection.recv(65536):
                connection.sendall(data)
            os._exit(0)
        connection.close()


def sink(path, *parts):
    listener = listen_on(path)
    buffer = bytearray(262144)
    while True:
        connection, _ = listener.accept()
        for expected in map(int, parts):
            count = 0
            while count < expected and (length := connection.recv_into(buffer)) > 0:
                count += length
            if count < expected:
                break
            connection.sendall(count.to_bytes(8, sys.byteorder))
        connection.close()


def acceptor(path):
    listener = listen_on(path)
    connections = []
    while True:
        connection, _ = listener.accept()
        try:
            connection.send(b"!")
        except OSError:
            pass
        connections.append(connection)
        if len(connections) > 256:
            connections.pop(0).close()


def flood(path, most):
    count = 0
    while count < int(most):
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(path)
        except BlockingIOError:
            break
        connection.close()
        count += 1
    print(count)


def load(connections, active, seconds):
    selector = selectors.EpollSelector()
    chosen = [connections[i * len(connections) // active] for i in range(active)]
    for connection in chosen:
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(DATA)
    count, under, begin = 0, active, time.perf_counter()
    while under > 0:
        events = selector.select()
        over = time.perf_counter() >= begin + seconds
        for key, _ in events:
            receive_all(key.fileobj, SIZE)
            if over:
                under -= 1
            else:
                key.fileobj.sendall(DATA)
                count += 1
    return count / (time.perf_counter() - begin)


def pace(connections, rate, seconds):
    count, begin = int(rate * seconds), time.perf_counter()
    for i in range(count):
        left = begin + i / rate - time.perf_counter()
        if left > 0:
            time.sleep(left)
        connection = connections[i % len(connections)]
        connection.sendall(DATA)
        receive_all(connection, SIZE)
    return count


def clients(path, count):
    connections = []
    for _ in range(int(count)):
        connection = connect_to(path)
        connection.sendall(DATA)
        if receive_all(connection, SIZE) != DATA:
            raise ValueError("The echo is another")
        connections.append(connection)
    print("ready", flush=True)
    for line in sys.stdin:
        word, a, b = line.split()
        run = load if word == "load" else pace
        print(run(connections, int(a), float(b)), flush=True)


if __name__ == "__main__":
    peers = {each.__name__: each for each in (echo, sink, acceptor, flood, clients)}
    peers[sys.argv[1]](*sys.argv[2:])
