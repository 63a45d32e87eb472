// One contender in Go, by its standard library: the WORKLOAD and its arguments, as the C programs of
// these names.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(i int) int {
	value, err := strconv.Atoi(os.Args[i])
	check(err)
	return value
}

func dial(path string) net.Conn {
	connection, err := net.Dial("unix", path)
	check(err)
	return connection
}

// timed is how many seconds the rounds take, after half as many to warm up.
func timed(rounds int, run func()) float64 {
	for i := 0; i < rounds/2; i++ {
		run()
	}
	begin := time.Now()
	for i := 0; i < rounds; i++ {
		run()
	}
	return time.Since(begin).Seconds()
}

func roundTrip(path string, size, rounds int) float64 {
	connection := dial(path)
	data, reply := bytes.Repeat([]byte{7}, size), make([]byte, size)
	run := func() {
		_, err := connection.Write(data)
		check(err)
		_, err = io.ReadFull(connection, reply)
		check(err)
	}
	run()
	if !bytes.Equal(data, reply) {
		check(fmt.Errorf("the echo is another"))
	}
	seconds := timed(rounds, run)
	return seconds * 1e6 / float64(rounds)
}

func throughput(path string, size, warm, total int) float64 {
	connection := dial(path)
	data, counted := bytes.Repeat([]byte{7}, size), make([]byte, 8)
	transfer := func(total int) {
		for sent := 0; sent < total; sent += size {
			_, err := connection.Write(data)
			check(err)
		}
		_, err := io.ReadFull(connection, counted)
		check(err)
		if binary.LittleEndian.Uint64(counted) != uint64(total) {
			check(fmt.Errorf("the sink counted otherwise"))
		}
	}
	transfer(warm)
	begin := time.Now()
	transfer(total)
	return float64(total) / 1048576 / time.Since(begin).Seconds()
}

func connects(path string, rounds int) float64 {
	_, err := io.ReadFull(dial(path), make([]byte, 1))
	check(err)
	return float64(rounds) / timed(rounds, func() { dial(path).Close() })
}

func main() {
	switch os.Args[1] {
	case "round_trip":
		fmt.Println(roundTrip(os.Args[2], number(3), number(4)))
	case "throughput":
		fmt.Println(throughput(os.Args[2], number(3), number(4), number(5)))
	case "connects":
		fmt.Println(connects(os.Args[2], number(3)))
	default:
		check(fmt.Errorf("no workload %s", os.Args[1]))
	}
}
