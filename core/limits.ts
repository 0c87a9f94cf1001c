/** Every default number of the core, with its unit and its reason. Those of one transport stand in its own options. */
export const LIMITS = {
  /** ms. A dial with DNS, TCP, TLS and an HTTP upgrade takes four round trips: even over a satellite under 3 s. */
  dialTimeout: 10_000,
  /** ms. Binding takes none; making a key and a certificate a second. */
  listenTimeout: 10_000,
  /** ms. `parse` opens nothing, so a tenth of a second is already a mistake, and holds everything else up. */
  slowParse: 100,
  /** ms without a byte after one direction has ended. A fixed total would cut slow replies; ghostunnel's did. */
  idleAfterEnd: 60_000,
  /** ms in which what an inbound still sends is thrown away after its sink is gone, so that the sink's last words
   * arrive: closing a TCP socket with unread bytes resets it and destroys what is still in flight. */
  discardAfterEnd: 2_000,
  /** ms that a cut connection gets to free itself (a command: TERM, 5 s, KILL) before its relay is over without it. */
  abortGrace: 10_000,
  /** ms that running connections get to finish after SIGTERM; systemd's own default patience is 90 s. */
  drain: 30_000,
  /** ms that a session lives without a carrier: a reconnecting DSL line takes one to two minutes. */
  detachedLife: 120_000,
  /** ms of silence after which the far end of a session is asked for a sign of life. */
  heartbeat: 15_000,
  /** ms, on average, between looks whether a better address of a tunnel answers again. */
  betterAddress: 30_000,
  /** ms that a new stream waits for the far side of a tunnel. */
  tunnelWait: 10_000,
  /** Sessions of one link that may wait for their carrier at once. */
  detachedSessions: 512,
  /** Connections of one identity, and new ones in a second: a machine with a client that has gone wild is still one machine. */
  connectionsPerIdentity: 256,
  ratePerIdentity: 200,
  /** Streams that a far side may have open in one session. */
  streamsPerSession: 256,
  /** Commands that run, of all and of one identity: each is a process, or several. */
  commands: 256,
  commandsPerIdentity: 8,
  /** Commands that wait until others have ended, and ms that one waits: less than a dial may take, so that whoever dials is told. */
  commandsWaiting: 64,
  commandWait: 8_000,
  /** Connections at one source that have not yet proved who they are; sshd's MaxStartups ends there, too. */
  arriving: 200,
  arrivingPerSource: 10,
  /** TLS handshakes in a second, of all and of one source: each takes 2 ms, so 200 are two fifths of what we can do. */
  handshakes: 200,
  handshakesPerSource: 20,
  /** ms from the first byte of TCP to the proof of who it is, whatever arrives meanwhile. */
  arrivalTime: 15_000,
  /** ms that a session of a link may have no stream. */
  idleSession: 60_000,
  /** Connections of one gateway. Two descriptors each: under the usual hard limit of 1,048,576 and far above use. */
  relays: 10_000,
  /** Bytes of one read from a socket. 256 KiB is where the rate stops growing; 8 KiB is why socat is slow. */
  readBuffer: 256 * 1024,
  /** Bytes that may wait in a writable before its source is paused: four reads in flight keep a TLS sink busy. */
  writeAhead: 1024 * 1024,
  /** Bytes that may so wait in the whole process before each writable gets only the next number: 64 peers that do not read. */
  writeAheadOfAll: 64 * 1024 * 1024,
  scarceWriteAhead: 64 * 1024,
  /** Lines of the log in a second, twice as many at once, for what is usual and for warnings each; ms between summaries of the rest. */
  logRate: 200,
  logSummary: 10_000,
  /** Bytes of a line of the log; longer values are cut. */
  logLine: 4 * 1024,
  /** Bytes of one line of a command's standard error in the log, where the rest of the line has room beside it; longer lines are broken. */
  diagnosticsLine: 3.5 * 1024,
  /** Bytes of standard error that one command may log at once, and per second after that; the rest is counted. */
  diagnosticsBurst: 64 * 1024,
  diagnosticsRate: 16 * 1024,
  /** ms that the last of a command's standard error gets after its exit. */
  diagnosticsPatience: 2_000,
  /** Bytes of log that may wait for a slow standard error before lines are dropped and counted. */
  logBacklog: 1024 * 1024,
  /** Bytes of a client's command line, and of all its variables together. */
  command: 32 * 1024,
  environment: 8 * 1024,
} as const;
