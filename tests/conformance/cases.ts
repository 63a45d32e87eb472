/**
 * What a library for Unix domain sockets is tried at: numbered cases, by subject. A test's title begins
 * with the number of the case that it shows; `npm run conformance` makes docs/conformance.md of both.
 * Numbers are for ever: one that is given up is not given again, which is why some are missing.
 * @module
 */

/** One thing that has to be so. */
export interface Case {
  /** The section's letter and a number: "A1". */
  id: string;
  what: string;
  /**
   * Who makes it so: the kernel, whose behaviour the library relies on or hands on, the library's own
   * contract, or macOS, where it differs from Linux.
   */
  by: "kernel" | "library" | "macOS";
  /** Why no test on Linux shows it, or undefined where one does. */
  untested?: string;
}

/** Cases of one subject. */
export interface Section {
  letter: string;
  title: string;
  cases: readonly Case[];
}

type Unlettered = Omit<Case, "id"> & { number: number };

const kernel = (number: number, what: string): Unlettered => ({ number, what, by: "kernel" });
const library = (number: number, what: string): Unlettered => ({ number, what, by: "library" });
const macOS = (number: number, what: string, untested: string): Unlettered => {
  return { number, what, by: "macOS", untested };
};

function section(letter: string, title: string, cases: readonly Unlettered[]): Section {
  return {
    letter,
    title,
    cases: cases.map(({ number, ...rest }) => ({ id: `${letter}${number}`, ...rest })),
  };
}

export const SECTIONS: readonly Section[] = [
  section("A", "Addresses", [
    kernel(1, "A bound path is reported as it was given, with a length that counts its NUL"),
    kernel(
      2,
      "A path is bytes: one that is not UTF-8 becomes a file of that name and is reported so",
    ),
    kernel(4, "A path of 107 bytes is bound as it is, with a length of 110"),
    kernel(5, "A path of 108 bytes needs no NUL, and is reported whole with a length of 111"),
    kernel(
      7,
      "A path beyond sun_path is bound and connected to at its real place, and reported as given",
    ),
    kernel(
      8,
      "A socket is connected to through /proc/self/fd and an O_PATH descriptor of its file",
    ),
    library(10, "A path with a NUL in it or at its end is refused"),
    kernel(
      11,
      "The unnamed address asks for a name of five hexadecimal digits, another for each socket",
    ),
    kernel(13, "A bound socket that asks for such a name keeps the one that it has"),
    library(14, "Connecting to an empty address is EINVAL, and binds nothing"),
    kernel(16, "An abstract name has up to 107 bytes; one more is refused"),
    kernel(17, "Abstract names differ by every byte, a NUL at the end too"),
    kernel(19, "An abstract name is taken once, and free as soon as its socket is closed"),
    kernel(20, "An abstract name stays taken while a duplicate of its socket is open"),
    kernel(22, "A stream, a datagram and a seqpacket socket can have one abstract name"),
    kernel(23, "A path is reached from another network namespace, an abstract name is not"),
    library(25, "Addresses are written unambiguously, escaped, and compared by their bytes alone"),
    kernel(26, "A socket that did not bind, and an end of a pair, is unnamed"),
    kernel(28, "A negative length is EINVAL; a buffer that is too small is told the whole length"),
    kernel(29, "An address of another family is EINVAL"),
    library(31, "The right file is removed though the working directory has changed since"),
  ]),
  section("B", "Streams", [
    kernel(32, "A request, an answer, and the end of either direction arrive"),
    kernel(34, "Several buffers, empty ones among them, are sent as one and filled in their order"),
    kernel(
      35,
      "1,024 buffers go into one call, and 1,025 are refused, so that more have to be divided",
    ),
    kernel(37, "Reading into no room waits for data, and tells the end"),
    kernel(38, "A write that does not block takes a part of what does not fit"),
    kernel(40, "Ending one's reading leaves what has arrived; the peer's writes get EPIPE"),
    kernel(41, "Ending both directions can be repeated, also where nothing is connected"),
    kernel(43, "After the peer has closed come the end and EPIPE, and no signal kills"),
    kernel(
      44,
      "A peer that closes with unread data leaves its own, then one ECONNRESET, then the end",
    ),
    kernel(46, "A write gets EPIPE there, and leaves ECONNRESET to the next read"),
    kernel(47, "Two writes are one read, and one peek"),
    kernel(49, "A write that blocks and whose reader leaves half-way tells how far it came"),
    kernel(
      50,
      "MSG_WAITALL waits for all that is asked, takes less at the end, and what is there if told",
    ),
    kernel(52, "Sending to an address is EISCONN where connected, EOPNOTSUPP where not"),
    kernel(53, "Without a connection sending is ENOTCONN and receiving EINVAL"),
    library(55, "A duplicate reads the same bytes in turn"),
    library(56, "Reading and writing at once, 100 rounds, loses nothing and never stands still"),
  ]),
  section("C", "Listeners", [
    kernel(
      58,
      "What is not bound, is a datagram socket or connected cannot listen; who listens can again",
    ),
    kernel(59, "The path of a live server, a file and a directory are EADDRINUSE, and stay"),
    kernel(
      61,
      "A missing directory is ENOENT, a file as directory ENOTDIR, one without permission EACCES",
    ),
    library(
      62,
      "close() removes the path that was bound, on request not, and disturbs no connection",
    ),
    library(
      64,
      "Only a socket that nobody serves is replaced: never a live one, nor what is no socket",
    ),
    kernel(
      65,
      "A path bound anew gets what connects later; the older backlog can still be accepted",
    ),
    kernel(67, "A socket that found the backlog full connects once there is room"),
    library(
      68,
      "Connecting to a full backlog waits for room, for its time, or until it is aborted",
    ),
    kernel(70, "An accepted connection tells its client's address, also of one that has gone"),
    kernel(
      71,
      "A client that wrote and closed before it was accepted gives its data, then the end",
    ),
    kernel(73, "Closing a listener resets what waits: ECONNRESET once, then the end"),
    kernel(74, "Shutting a listener down wakes accept() with EINVAL, and connecting is refused"),
    kernel(
      76,
      "Out of descriptors, connections wait in the backlog, without spinning, until some are free",
    ),
    kernel(77, "Several that accept on one listener serve each client once"),
    kernel(79, "Accepted connections have the flags that were asked for, not the listener's"),
    kernel(80, "An accepted connection has its listener's address, also after that has closed"),
    library(82, "A listener that was unref'd ends with the program, which removes its path"),
    library(
      83,
      "Leaving a loop leaves the listener open, and a bad connection does not end the loop",
    ),
  ]),
  section("D", "Datagrams", [
    kernel(85, "A message comes with its sender's address, which can be answered"),
    kernel(86, "A sender that did not bind is unnamed"),
    kernel(88, "An empty message is a message and no end"),
    kernel(89, "Receiving into no room takes one message, and tells that it was cut"),
    kernel(91, "Peeking with little room tells the real length"),
    kernel(92, "The longest message is the send buffer less 32 bytes; one more byte is EMSGSIZE"),
    kernel(94, "A receiver takes one more message than max_dgram_qlen, then comes EAGAIN"),
    kernel(95, "An unconnected sender waits for room without spinning, and gets it"),
    kernel(97, "A connected sender that waits gets ECONNREFUSED when its receiver closes"),
    kernel(98, "5,000 messages and more arrive complete and in order"),
    kernel(100, "A restarted server is ECONNREFUSED once, and reached by connecting again"),
    kernel(101, "A peer that closes with unread messages is no error and no end"),
    kernel(
      103,
      "Connecting elsewhere discards what has arrived, and the old peer gets ECONNRESET once",
    ),
    kernel(104, "Disconnecting forgets the peer: sending is ENOTCONN"),
    kernel(106, "A batch tells how many went or came, and its error only where the first failed"),
    kernel(107, "Ending the reading gives senders EPIPE without a signal, and wakes who receives"),
    kernel(109, "Sending without permission to write the file is EACCES"),
    kernel(110, "Sending to the path of another type is EPROTOTYPE"),
  ]),
  section("E", "Seqpacket", [
    kernel(112, "A record that is cut tells so, and its rest is gone"),
    kernel(113, "MSG_EOR never arrives, and is not relied on"),
    kernel(115, "A peer that closes with unread records is ECONNRESET once; no record is lost"),
    kernel(116, "An empty record and the end are told apart, however they are received"),
    kernel(118, "Without a connection all is ENOTCONN; with one an address is ignored"),
    kernel(119, "Connecting to the path of another type is EPROTOTYPE"),
    kernel(121, "Ending one's reading leaves what has arrived, then comes the end"),
    kernel(122, "The send buffer alone limits how many records wait"),
  ]),
  section("F", "Pairs", [
    kernel(124, "Pairs of all three types carry both ways"),
    kernel(125, "Both ends get the flags that were asked for, none otherwise"),
    kernel(127, "Other families and bad addresses are refused"),
    kernel(128, "With one descriptor free a pair fails with EMFILE and leaks none"),
  ]),
  section("G", "Descriptors in messages", [
    kernel(130, "A descriptor that came with a message works"),
    kernel(131, "Many in one message, up to 253, keep their order"),
    kernel(133, "Several control messages arrive as one array, in order"),
    kernel(134, "An empty array brings the data and no descriptor"),
    kernel(136, "One that is not open is EBADF, and nothing is sent"),
    kernel(
      137,
      "Room for so many bytes of control takes as many descriptors as fit; the others are closed",
    ),
    library(
      139,
      "The room is enough for 253 descriptors, credentials and a pidfd, unless less was asked for",
    ),
    kernel(140, "Reading without control closes the descriptors that came along"),
    kernel(142, "Descriptors of two sends come with two receipts"),
    kernel(143, "Descriptors come with the first byte that is taken, and never again"),
    library(145, "A send in several parts passes its descriptors once"),
    library(
      146,
      "Descriptors without a byte on a stream are refused, for the kernel would drop them",
    ),
    kernel(
      148,
      "Received descriptors are close-on-exec where that was asked for, as the library does",
    ),
    kernel(
      149,
      "Each peek with room would install descriptors anew; the library's peeks install none",
    ),
    kernel(151, "More under way than may be open is ETOOMANYREFS for a user; plain data still go"),
    kernel(
      152,
      "Files, sockets, listeners, epoll sets, pidfds and names pass; an io_uring is EINVAL",
    ),
    kernel(154, "A queue keeps a descriptor open until it is received or its receiver closes"),
    kernel(155, "Descriptors of a sender that has ended are delivered"),
    kernel(157, "Position and O_NONBLOCK are shared with the original"),
    kernel(158, "Sockets that were sent over themselves are collected"),
    kernel(
      160,
      "A descriptor on an urgent byte is lost, and closed; a peer that takes none is EPERM",
    ),
    kernel(161, "After 10,000 passes as many descriptors are open as before"),
    library(
      163,
      "Received descriptors are closed with their message, on errors and when they are lost",
    ),
  ]),
  section("H", "Credentials", [
    kernel(164, "The peer of an accepted connection is who connected, also when that has ended"),
    kernel(166, "They are the effective ids of when it connected"),
    kernel(167, "Without a connection, and for datagrams, there is no peer: null, never user 0"),
    kernel(169, "Explicit credentials arrive as they are; a receiver that did not ask gets none"),
    kernel(
      170,
      "Another's ids are EPERM, a missing process ESRCH, what is no id is refused; root may",
    ),
    kernel(172, "Bytes of two writers on one stream come apart where credentials are passed"),
    kernel(173, "A change of the real user parts them too, one of the effective user does not"),
    kernel(175, "Credentials that found too little room are missing, never somebody else's"),
    kernel(176, "What a listener passes holds for its connections from their first message on"),
    kernel(178, "Passing credentials gives a name to a socket that connects or sends without one"),
    kernel(179, "A pidfd of the peer is its process, close-on-exec; without a peer there is none"),
    kernel(181, "Each message can have a pidfd of its writer"),
    kernel(
      182,
      "A pidfd for which there is no room is not left open; each peek with room installs one",
    ),
    library(184, "What the kernel does not know is ENOPROTOOPT, never made up"),
    macOS(
      185,
      "LOCAL_PEERCRED, LOCAL_PEERPID and LOCAL_PEERTOKEN tell the peer",
      "needs macOS; the layouts of what these options return are checked byte by byte",
    ),
  ]),
  section("I", "Peeking, cutting, urgent bytes", [
    kernel(187, "SO_PEEK_OFF moves on with peeks and back with reads, within one message"),
    kernel(188, "MSG_TRUNC means nothing on a stream"),
    kernel(190, "An urgent byte arrives apart, with POLLPRI"),
    kernel(191, "A read stops before an urgent byte and goes on behind it, without it"),
    kernel(193, "Urgent bytes again and again leave nothing behind"),
    kernel(194, "SCM_INQ tells what is left on a stream; on other types it is ENOPROTOOPT"),
  ]),
  section("J", "Options", [
    kernel(196, "Type, family, protocol, listening and error are as they should be"),
    kernel(197, "Buffer sizes are doubled and kept within the kernel's limits"),
    kernel(199, "The kernel's timeouts end a blocking call with EAGAIN; the library's own decide"),
    kernel(200, "SO_RCVLOWAT holds up blocking reads alone"),
    kernel(202, "SO_TIMESTAMPNS stamps messages, and no stream"),
    kernel(203, "What can be read and what is unsent is counted as each type does"),
  ]),
  section("K", "Readiness, waiting, cancelling", [
    kernel(205, "A read waits for data, again after all was taken, and ends with the peer"),
    kernel(206, "A full stream can be written once three quarters are free"),
    kernel(208, "Data that arrive while nobody waits, or are left by another read, are found"),
    kernel(209, "Two connections that came at once are both accepted"),
    kernel(211, "Closing settles what waits, and the peer reads the end at once"),
    library(212, "A write that ends early tells how many bytes went out"),
    library(
      214,
      "A thousand idle sockets cost a busy one nothing; what waits keeps the process alive",
    ),
    kernel(215, "A signal neither ends a blocking call nor makes it longer"),
    library(217, "Closing a socket in its own continuation, or another that is ready, is safe"),
    library(218, "Who floods starves neither others nor timers"),
  ]),
  section("L", "Errors", [
    kernel(220, "What cannot be connected to is ENOENT or ECONNREFUSED, each as the kernel has it"),
    kernel(221, "Connecting needs permission to write, not to read"),
    kernel(
      223,
      "Closed is EBADF, no socket is ENOTSOCK, and errors have code, number, call and address",
    ),
    kernel(224, "Unknown types and protocols are refused; a raw socket is a datagram socket"),
    library(226, "Control data beyond musl's 1,056 bytes are sent or refused clearly"),
    library(227, "Arguments are checked before any system call"),
    kernel(229, "A closed peer kills no process by SIGPIPE"),
    kernel(230, "Nothing is read from what a call that failed left in memory"),
  ]),
  section("M", "Descriptor hygiene", [
    library(232, "Closing twice never closes a number that was given to another"),
    library(233, "intoFd() hands ownership over; what is lost is closed"),
    kernel(235, "O_NONBLOCK is shared with other processes, and adopting says so"),
    library(236, "Failures, a thousand times, leave no descriptor behind"),
  ]),
  section("N", "Robustness", [
    kernel(238, "Hostile control data end the parsing, without loop or reading beyond"),
    kernel(239, "What was packed is found again, whatever it is"),
    library(241, "Many clients at once at a backlog of 1 are all served"),
    library(242, "100 MB in both directions of one pair at once arrive"),
    library(244, "64 writers of 1,000 datagrams each to a short queue lose none, each in order"),
    library(245, "Collections move and free nothing that a call needs"),
    kernel(247, "Connections and listeners go on in a process that inherited them"),
  ]),
  section("O", "Other programs", [
    library(248, "The programs below talk with the library, as clients and as servers"),
    library(250, "So do the runtimes' own sockets, and the library under the other runtimes"),
  ]),
];

/** All cases by their number. */
export const CASES: ReadonlyMap<string, Case> = new Map(
  SECTIONS.flatMap(({ cases }) => cases.map((each) => [each.id, each])),
);
