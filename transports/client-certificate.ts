/**
 * A client's certificate as the core is shown it. Read once, when the handshake is done: after a close Node answers `{}`.
 * Names come from Node's text of the subject alternative name, which quotes what could be mistaken for something else;
 * a text that is not understood to its last character has no names.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { ClientCertificate } from '../plugins/contract/index.ts';
import { pinOf } from './tls-credentials.ts';

const ENTRY =
  /(DNS|URI|IP Address|email|DirName|Registered ID|othername|X400Name|EdiPartyName):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, (?=.)|$)/y;

function unquote(value: string): string | undefined {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return undefined;
  }
}

/** Of one kind, in the order of the certificate. */
export function alternativeNames(text: string, kind: 'DNS' | 'URI'): string[] {
  const names: string[] = [];
  ENTRY.lastIndex = 0;
  for (let at = 0; at < text.length; at = ENTRY.lastIndex) {
    const [, found, value = ''] = ENTRY.exec(text) ?? [];
    const name = unquote(value);
    if (found === undefined || name === undefined) return [];
    if (found === kind) names.push(name);
  }
  return names;
}

/** Certificates between a client's own and its authority: none has so many, but for one that is its own issuer. */
const LONGEST_CHAIN = 8;

const isSignedBy = (certificate: X509Certificate, authority: X509Certificate): boolean =>
  certificate.checkIssued(authority) && certificate.verify(authority.publicKey);

/** Whether one of the authorities has signed the certificate, or one of those that it is signed by. */
function isSigned(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let [link, left]: [X509Certificate | undefined, number] = [certificate, LONGEST_CHAIN];
  for (; link !== undefined && left > 0; left -= 1) {
    const one: X509Certificate = link;
    if (authorities.some((authority) => isSignedBy(one, authority))) return true;
    link = one.issuerCertificate;
  }
  return false;
}

/** @param authorities those of the source, now: when they have changed, their word counts anew */
export function clientCertificate(
  socket: TLSSocket,
  authorities: () => readonly X509Certificate[],
): ClientCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const [text, verified, then] = [certificate.subjectAltName ?? '', socket.authorized, authorities()];
  return {
    pin: pinOf(certificate),
    names: alternativeNames(text, 'DNS').map((name) => name.toLowerCase()),
    uris: alternativeNames(text, 'URI'),
    isTrusted: () => verified && (authorities() === then || isSigned(certificate, authorities())),
  };
}
