/**
 * `tls+…`: TLS 1.3 over any byte stream. `tls+tunnel:name/service` keeps a secret from the relay in the middle: it sees TLS, and
 * nothing of what is inside. The server is verified by an authority and name or by a pin; there is no switch to turn that off.
 * An end is close_notify: whatever else ends the stream below is a cut.
 */
import { X509Certificate, createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PassThrough, type Duplex } from 'node:stream';
import { TLSSocket, connect, createSecureContext, type SecureContextOptions } from 'node:tls';
import { defineLayer, through } from 'sluice/plugin';

const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;
const ALPN = 'sluice/1';

interface Names {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  readonly pin: readonly string[];
  readonly servername: string | undefined;
}

async function read(file: string | undefined, option: string): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(`option "tls.${option}": cannot read ${file} (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    });
  }
}

/** Certificate, key and authorities. @throws Error naming the option, or what does not go together */
async function credentials({ cert, key, ca }: Names): Promise<SecureContextOptions> {
  const [certText, keyText, caText] = await Promise.all([read(cert, 'cert'), read(key, 'key'), read(ca, 'ca')]);
  const given = {
    ...(certText !== undefined && { cert: certText }),
    ...(keyText !== undefined && { key: keyText }),
    ...(caText !== undefined && { ca: caText }),
    minVersion: 'TLSv1.3',
  } as const;
  createSecureContext(given); // throws for what is no certificate or key, or does not belong together
  return given;
}

/** The stream below, of which can be told whether it ended before TLS did. */
function watched(below: Duplex): { under: Duplex; hasEnded: () => boolean } {
  const under = through(below, { outgoing: new PassThrough(), incoming: new PassThrough() });
  let ended = false;
  under.once('end', () => (ended = true));
  under.on('error', () => {});
  return { under, hasEnded: () => ended };
}

/** Without close_notify an end below would be shown as one of TLS. */
function refuseTruncation(socket: TLSSocket, hasEnded: () => boolean): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk !== null || !hasEnded()) return push(chunk, encoding);
    socket.destroy(new Error('TLS: the connection ended without close_notify'));
    return false;
  };
}

/** Resolves when the handshake is done and the server is who it should be; frees everything if not. */
async function secured(
  socket: TLSSocket,
  under: Duplex,
  event: 'secure' | 'secureConnect',
  signal: AbortSignal,
  names: Names,
) {
  const done = Promise.withResolvers<void>();
  socket.on('error', done.reject);
  under.on('error', done.reject);
  socket.once('close', () => done.reject(new Error('TLS: closed during the handshake')));
  socket.once(event, () => done.resolve());
  const giveUp = (): void => done.reject(signal.reason);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await done.promise;
    if (event === 'secureConnect') checkPins(socket, names);
  } catch (error) {
    socket.destroy();
    under.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function checkPins(socket: TLSSocket, { pin }: Names): void {
  if (pin.length === 0) return;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new Error('TLS: the server showed no certificate');
  const got = pinOf(certificate);
  if (!pin.includes(got)) throw new Error(`TLS: the server's key is not a pinned one; its pin is ${got}`);
}

const pinOf = ({ publicKey }: X509Certificate): string =>
  `sha256/${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')}`;

/** What was said of who is at the other side of a client's TLS. */
async function connectOver(
  names: Names,
  below: Duplex,
  offer: readonly string[],
  signal: AbortSignal,
): Promise<TLSSocket> {
  const own = await credentials(names);
  const { under, hasEnded } = watched(below);
  const isVerified = names.pin.length === 0 || names.ca !== undefined;
  const servername = names.servername ?? '';
  const socket = connect({
    ...own,
    socket: under,
    servername,
    rejectUnauthorized: isVerified,
    ...(servername === '' && names.pin.length > 0 && { checkServerIdentity: () => undefined }), // the pin says who it is
    ALPNProtocols: [...offer],
  });
  refuseTruncation(socket, hasEnded);
  await secured(socket, under, 'secureConnect', signal, names);
  return socket;
}

async function serveOver(
  names: Names,
  below: Duplex,
  known: readonly string[],
  signal: AbortSignal,
): Promise<TLSSocket> {
  const secureContext = createSecureContext(await credentials(names));
  const { under, hasEnded } = watched(below);
  const wantsClient = names.ca !== undefined;
  const socket = new TLSSocket(under, {
    isServer: true,
    secureContext,
    requestCert: wantsClient,
    rejectUnauthorized: wantsClient,
    ...(known.length > 0 && {
      ALPNCallback: ({ protocols }: { protocols: readonly string[] }) =>
        known.find((name) => protocols.includes(name)) ?? protocols[0],
    }),
  });
  refuseTruncation(socket, hasEnded);
  await secured(socket, under, 'secure', signal, names);
  if (!wantsClient || verified(socket)) return socket;
  socket.destroy();
  throw new Error('TLS: the client showed no certificate of a known authority');
}

/** Node checks a client's certificate in its server, which is not here: the same check on the socket itself. */
function verified(socket: TLSSocket): boolean {
  const { ssl } = socket as unknown as { ssl: { verifyError(): Error | null } };
  return socket.getPeerX509Certificate() !== undefined && ssl.verifyError() === null;
}

export default defineLayer({
  contract: 1,
  name: 'tls',
  summary: 'TLS 1.3 inside whatever carries it: a relay in between reads nothing',
  options: {
    cert: { type: 'path', help: 'file with our certificate chain (PEM)' },
    key: { type: 'path', help: 'file with the private key of cert (PEM)' },
    ca: {
      type: 'path',
      help: 'file with the authorities (PEM) that sign the peer; on a source: clients need a certificate',
    },
    pin: { type: 'list', role: 'sink', help: 'sha256/BASE64 of the server’s public key (SPKI); may be repeated' },
    servername: {
      type: 'string',
      role: 'sink',
      help: 'the name in the server’s certificate; needed where there is no pin',
    },
  },
  keeps: ['half-close'],
  adds: ['proves-end', 'tells-cut'],
  encrypts: true,
  handshakes: true,
  negotiates: true,

  parse({ options, role }): Names {
    const { cert, key, ca, pin, servername } = options;
    if ((cert === undefined) !== (key === undefined)) throw new Error('"tls.cert" and "tls.key" go together');
    if (role === 'source' && cert === undefined) throw new Error('a source needs "tls.cert" and "tls.key"');
    if (role === 'sink' && pin.length === 0 && servername === undefined)
      throw new Error('a sink needs "tls.pin", or "tls.servername" to verify the server by');
    const wrong = pin.find((text) => !PIN.test(text));
    if (wrong !== undefined)
      throw new Error(`option "tls.pin": expected sha256/ and 44 characters of base64, got ${JSON.stringify(wrong)}`);
    return { cert, key, ca, pin, servername };
  },

  inspect: (names) =>
    credentials(names).then(
      () => [],
      (error: unknown) => [(error as Error).message],
    ),

  async wrap(names, { stream: below }, { role, protocols, signal }) {
    const known = protocols.includes('session') ? [ALPN] : [];
    const stream = await (role === 'sink' ? connectOver : serveOver)(names, below, known, signal);
    return { stream, ...(stream.alpnProtocol === ALPN && { protocol: 'session' as const }) };
  },
});
