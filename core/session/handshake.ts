/**
 * The first frames on a carrier: who is there, and is it a new session or an old one on a new carrier.
 *
 *     dialer                              listener
 *     HELLO  versions, nonce          →
 *                                     ←   HELLO   version, nonce            or DENIED
 *     PROVE  token                    →                                     a new session
 *                                     ←   PROVED  session, secret           or DENIED
 *  or
 *     RESUME session, processed, mac  →                                     an old one
 *                                     ←   RESUMED processed, mac            or DENIED
 *
 * What the macs prove is in proof.ts. A carrier is replaced only after the proof. Until then frames are small, and there are
 * deadlines, for each message and for all, that arriving bytes do not extend (exchange.ts).
 */
export { greetAsDialer, type DialerGreeting, type Greeted } from './greet-dialer.ts';
export { greetAsListener, type GreetedDialer, type SessionDirectory } from './greet-listener.ts';
export type { SessionKey } from './proof.ts';
