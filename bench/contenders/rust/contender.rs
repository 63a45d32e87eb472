//! One contender in Rust, by its standard library: the WORKLOAD and its arguments, as the C programs
//! of these names.

use std::env;
use std::io::{Read, Result, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Instant;

/// The seconds that the rounds take, after half as many to warm up.
fn timed(rounds: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..rounds / 2 {
        run()?;
    }
    let begin = Instant::now();
    for _ in 0..rounds {
        run()?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn round_trip(path: &str, size: usize, rounds: usize) -> Result<f64> {
    let mut stream = UnixStream::connect(path)?;
    let data: Vec<u8> = (0..size).map(|i| i as u8).collect();
    let mut reply = vec![0; size];
    stream.write_all(&data)?;
    stream.read_exact(&mut reply)?;
    assert_eq!(data, reply);
    let seconds = timed(rounds, || {
        stream.write_all(&data)?;
        stream.read_exact(&mut reply)
    })?;
    Ok(seconds * 1e6 / rounds as f64)
}

fn throughput(path: &str, size: usize, warm: usize, total: usize) -> Result<f64> {
    let mut stream = UnixStream::connect(path)?;
    let data = vec![7; size];
    let mut transfer = |total: usize| {
        for _ in 0..total / size {
            stream.write_all(&data)?;
        }
        let mut counted = [0; 8];
        stream.read_exact(&mut counted)?;
        assert_eq!(u64::from_ne_bytes(counted), total as u64);
        Result::Ok(())
    };
    transfer(warm)?;
    let begin = Instant::now();
    transfer(total)?;
    Ok(total as f64 / 1048576.0 / begin.elapsed().as_secs_f64())
}

fn datagrams(rounds: usize) -> Result<f64> {
    let (a, b) = UnixDatagram::pair()?;
    let (data, mut into) = ([7; 64], [0; 2048]);
    a.send(&data)?;
    b.recv(&mut into)?;
    assert_eq!(into[..64], data);
    let seconds = timed(rounds, || {
        a.send(&data)?;
        assert_eq!(b.recv(&mut into)?, data.len());
        Ok(())
    })?;
    Ok(seconds * 1e9 / rounds as f64)
}

fn connects(path: &str, rounds: usize) -> Result<f64> {
    UnixStream::connect(path)?.read_exact(&mut [0])?;
    let seconds = timed(rounds, || UnixStream::connect(path).map(drop))?;
    Ok(rounds as f64 / seconds)
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |i: usize| args[i].parse::<usize>().expect("a number");
    let figure = match args[0].as_str() {
        "round_trip" => round_trip(&args[1], number(2), number(3))?,
        "throughput" => throughput(&args[1], number(2), number(3), number(4))?,
        "datagrams" => datagrams(number(1))?,
        "connects" => connects(&args[1], number(2))?,
        other => panic!("No workload {other}"),
    };
    println!("{figure}");
    Ok(())
}
