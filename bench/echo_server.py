"""The same echo server for every contender: one blocking process for each connection."""
import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(16)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        listener.close()
        while data := connection.recv(65536):
            connection.sendall(data)
        os._exit(0)
    connection.close()
