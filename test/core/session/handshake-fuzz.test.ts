/**
 * Handshakes by somebody who knows the protocol and damages it: right frames up to some point, then anything. Who they are
 * afterwards is what the bytes that they sent prove, judged by this file's own reading of them, and nothing more; whose
 * session it is notices nothing.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { it } from 'node:test';
import fc from 'fast-check';
import { FrameReader } from '../../../core/session/frame-reader.ts';
import { FRAME, HEADER_BYTES, MAX_HANDSHAKE_PAYLOAD, isCounted } from '../../../core/session/frames.ts';
import { greetAsDialer, type SessionKey } from '../../../core/session/handshake.ts';
import { SessionListener } from '../../../core/session/listener.ts';
import { dialerProof, type Nonces } from '../../../core/session/proof.ts';
import { Session } from '../../../core/session/session.ts';
import { hold, isSoak, withoutGrowth } from '../../support/fuzz.ts';
import { RecordedLog } from '../../support/gateway.ts';
import {
  apply,
  damageOf,
  frameOf,
  framesIn,
  objectIn,
  runningFrame,
  type Damage,
} from '../../support/hostile-frames.ts';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

const RUNS = isSoak ? 50_000 : 1_500;

/** ms. Nobody waits for them here: each carrier is ended by its attacker. */
const DEADLINES = { message: 5_000, whole: 5_000 };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const TOKENS: Readonly<Record<string, string>> = { 'token-of-alice': 'alice', 'token-of-bob': 'bob' };

/** What one connection sends: the beginning as it should be, then anything. */
type Step =
  | { readonly do: 'hello'; readonly versions: unknown; readonly nonce: unknown }
  | { readonly do: 'prove'; readonly token: unknown; readonly takeOver: unknown; readonly detachedLife: unknown }
  | {
      readonly do: 'resume';
      readonly whose: 'own' | 'victim' | 'nobody';
      readonly token: unknown;
      /** What the proof is made with. */
      readonly secret: 'right' | 'wrong' | 'none';
      /** Of which handshake the nonces are. */
      readonly isOld: boolean;
      readonly ahead: number;
    }
  | { readonly do: 'frame'; readonly frame: Buffer };

const token = fc.constantFrom<unknown>(
  'token-of-alice',
  'token-of-bob',
  'token-of-bob',
  'token-of-eve',
  '',
  undefined,
  null,
  7,
  {},
  '__proto__',
);

const hello: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('hello'),
  versions: fc.constantFrom<unknown>([1], [1], [1, 2], [2], [], 1, '1', ['1'], null),
  nonce: fc.constantFrom<unknown>('n'.repeat(24), '', 7, undefined),
});
const prove: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('prove'),
  token,
  takeOver: fc.constantFrom<unknown>(undefined, true, 'yes'),
  detachedLife: fc.constantFrom<unknown>(undefined, 0, 1_000, -1, 1.5, '1', null),
});
const resume: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('resume'),
  whose: fc.constantFrom('own', 'own', 'victim', 'nobody'),
  token,
  secret: fc.constantFrom('right', 'wrong', 'none'),
  isOld: fc.boolean(),
  ahead: fc.constantFrom(0, 0, 1, -1, 1_000_000, Number.MAX_SAFE_INTEGER),
});
const anyFrame: fc.Arbitrary<Step> = fc.record({ do: fc.constant('frame'), frame: runningFrame });

const RIGHT_HELLO: Step = { do: 'hello', versions: [1], nonce: 'n'.repeat(24) };
const RIGHT: readonly (readonly Step[])[] = [
  [RIGHT_HELLO, { do: 'prove', token: 'token-of-bob', takeOver: undefined, detachedLife: 1_000 }],
  [RIGHT_HELLO, { do: 'resume', whose: 'own', token: 'token-of-bob', secret: 'right', isOld: false, ahead: 0 }],
];

type Sent = readonly [Step, Damage];

/** So many right steps, the first of them undamaged; then others. */
const connection: fc.Arbitrary<readonly Sent[]> = fc
  .record({
    right: fc.constantFrom(...RIGHT),
    kept: fc.nat(2),
    damage: fc.array(damageOf(2), { minLength: 2, maxLength: 2 }),
    then: fc.array(fc.tuple(fc.oneof({ weight: 4, arbitrary: anyFrame }, hello, prove, resume), damageOf(3)), {
      maxLength: 8,
    }),
  })
  .map(({ right, kept, damage, then }) => [
    ...right.slice(0, kept).map((step, at): Sent => [step, damage[at] ?? { how: 'none' }]),
    ...then,
  ]);

interface Known {
  readonly key: SessionKey;
  readonly session: Session;
  readonly owner: string | undefined;
}

/** One listener, one session of alice's that is at work, and everybody else. */
class Stage {
  readonly known = new Map<string, Known>();
  /** Who has opened a stream, of late. */
  readonly openers: (string | undefined)[] = [];
  readonly #log = new RecordedLog();
  readonly listener = new SessionListener({
    admit: (shown) => {
      const name = shown !== undefined && Object.hasOwn(TOKENS, shown) ? TOKENS[shown] : undefined;
      return name === undefined ? undefined : { identity: { name } };
    },
    detachedLife: 2_000,
    maxDetached: 10,
    maxStreams: () => 8,
    onOpen: (_request, answer, from) => {
      this.openers.push(from.identity?.name);
      answer.accept({ exit: false }).resume();
    },
    onSession: (session, far, id) => this.#begun.set(id, { session, owner: far().identity?.name }),
    log: this.#log.asLog(),
    handshake: DEADLINES,
  });
  readonly #begun = new Map<string, Omit<Known, 'key'>>();
  readonly victim = new Session({
    side: 'dialer',
    onOpen: (_request, answer) => answer.refuse('no'),
    onProgress: () => {},
    onDetached: () => (this.isHarmed = true),
    onEnded: () => (this.isHarmed = true),
  });
  victimKey: SessionKey | undefined;
  isHarmed = false;

  async start(): Promise<void> {
    const { near } = this.connect();
    const { key, early } = await greetAsDialer(near, { token: 'token-of-alice' });
    this.victimKey = key;
    this.victim.attach(near, 0, early);
    await this.victim.open({ service: 'default', metadata: {} }).opened;
    this.remember(key);
  }

  remember(key: SessionKey): void {
    const begun = this.#begun.get(key.id);
    if (begun !== undefined) this.known.set(key.id, { ...begun, key });
  }

  connect(): { near: Duplex; done: Promise<unknown> } {
    const [near, there] = duplexPair();
    near.on('error', () => {});
    const done = this.listener.accept({ stream: there, peer: { address: 'memory' } }).catch(() => {});
    return { near, done };
  }

  /** All sessions but the victim's are over, and nothing of them is remembered. */
  async clear(): Promise<void> {
    for (const [id, { session }] of this.#begun) {
      if (id === this.victimKey?.id) continue;
      session.end(new Error('seen enough'));
      this.#begun.delete(id);
      this.known.delete(id);
    }
    this.openers.length = this.#log.lines.length = 0;
    await turn();
  }

  async stop(): Promise<void> {
    const { stream, opened } = this.victim.open({ service: 'default', metadata: {} });
    await opened;
    await new Promise<void>((resolve) => stream.end('its last words', () => resolve()));
    assert.ok(!this.isHarmed);
    this.victim.end(new Error('the test is over'));
    this.listener.end(new Error('the test is over'));
    await this.victim.closed;
  }
}

/** Somebody who connects several times. */
class Attacker {
  readonly #stage: Stage;
  #own: { key: SessionKey; received: number } | undefined;
  #nonces: Nonces = ['n'.repeat(24), ''];
  #oldNonces: Nonces = this.#nonces;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** @returns whom the bytes prove to be there */
  async connect(steps: readonly Sent[]): Promise<void> {
    const stage = this.#stage;
    const { near, done } = stage.connect();
    const reader = new FrameReader();
    reader.limit = 65_536;
    const answers: { type: number; body: Record<string, unknown> }[] = [];
    near.on('data', (chunk: Buffer) => {
      reader.feed(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next())
        this.#take(frame.type, frame.payload, answers);
    });
    this.#oldNonces = this.#nonces;
    const sent: Buffer[] = [];
    const before = { size: stage.listener.size, openers: stage.openers.length };
    let mayBe: Verdict = NOBODY;
    for (const [step, damage] of steps) {
      const bytes = apply(damage, this.#encode(step));
      sent.push(bytes);
      const verdict = this.#judge(Buffer.concat(sent)); // before it is sent: a resume changes what can be resumed
      if (mayBe === NOBODY) mayBe = verdict;
      if (near.writable && bytes.length > 0) near.write(bytes);
      await turn();
      await turn();
    }
    near.end();
    await Promise.race([done, turn().then(turn).then(turn)]);
    this.#assert(mayBe, answers, before, steps);
  }

  #assert(
    mayBe: Verdict,
    answers: readonly { type: number }[],
    before: { size: number; openers: number },
    steps: readonly Sent[],
  ): void {
    const stage = this.#stage;
    const isIn = answers.some(({ type }) => type === FRAME.PROVED || type === FRAME.RESUMED);
    assert.equal(stage.isHarmed, false, 'the victim’s session was touched');
    assert.ok(
      stage.openers.slice(before.openers).every((who) => who === mayBe.who),
      `${stage.openers.join()} opened as ${mayBe.who}`,
    );
    if (mayBe.who === undefined) {
      assert.ok(!isIn, 'it came in without a proof');
      assert.ok(stage.listener.size <= before.size);
    }
    if (mayBe.must) assert.ok(isIn, `${mayBe.who} was not let in: ${JSON.stringify(answers)}`);
    const opens = steps.length * 2;
    assert.ok(stage.openers.length - before.openers <= opens);
  }

  #take(type: number, payload: Buffer, answers: { type: number; body: Record<string, unknown> }[]): void {
    if (isCounted(type) && this.#own !== undefined) this.#own.received += HEADER_BYTES + payload.length;
    const body = type <= FRAME.DENIED ? (objectIn(payload) ?? {}) : {};
    answers.push({ type, body });
    if (type === FRAME.HELLO) this.#nonces = [this.#nonces[0], String(body['nonce'])];
    if (type !== FRAME.PROVED) return;
    const key = { id: String(body['session']), secret: Buffer.from(String(body['secret']), 'base64') };
    this.#own = { key, received: 0 };
    setImmediate(() => this.#stage.remember(key));
  }

  #encode(step: Step): Buffer {
    if (step.do === 'frame') return step.frame;
    if (step.do === 'hello') return frameOf(FRAME.HELLO, { versions: step.versions, nonce: step.nonce });
    if (step.do === 'prove') {
      const { token: shown, takeOver, detachedLife } = step;
      return frameOf(FRAME.PROVE, { token: shown, takeOver, detachedLife });
    }
    const own = { own: this.#own?.key, victim: this.#stage.victimKey, nobody: undefined }[step.whose];
    const id = own?.id ?? 'f'.repeat(32);
    // of the victim it has the name alone
    const isRight = step.secret === 'right' && step.whose !== 'victim' && own !== undefined;
    const key = { id, secret: isRight ? own.secret : randomBytes(32) };
    const processed = Math.min(Math.max((this.#own?.received ?? 0) + step.ahead, 0), Number.MAX_SAFE_INTEGER);
    const mac = dialerProof(key, step.isOld ? this.#oldNonces : this.#nonces, processed).toString('base64');
    return frameOf(FRAME.RESUME, { session: id, processed, token: step.token, ...(step.secret !== 'none' && { mac }) });
  }

  /** Who is proved to be there by these bytes; `must`: they have to be let in. */
  #judge(bytes: Buffer): Verdict {
    const [first, second] = framesIn(bytes, MAX_HANDSHAKE_PAYLOAD);
    const greeting = first?.type === FRAME.HELLO ? objectIn(first.payload) : undefined;
    const proof = second === undefined ? undefined : objectIn(second.payload);
    if (greeting === undefined || proof === undefined || typeof greeting['nonce'] !== 'string') return NOBODY;
    if (!Array.isArray(greeting['versions']) || !greeting['versions'].includes(1)) return NOBODY;
    const shown = proof['token'];
    const who = typeof shown === 'string' && Object.hasOwn(TOKENS, shown) ? TOKENS[shown] : undefined;
    if (who === undefined) return NOBODY;
    if (second?.type === FRAME.RESUME) return this.#judgeResume(who, proof, greeting['nonce']);
    if (second?.type !== FRAME.PROVE) return NOBODY;
    const { detachedLife } = proof;
    const isLife = detachedLife === undefined || (Number.isSafeInteger(detachedLife) && Number(detachedLife) >= 0);
    return isLife ? { who, must: true } : NOBODY;
  }

  #judgeResume(who: string, proof: Record<string, unknown>, nonce: string): Verdict {
    const { session: id, processed, mac } = proof;
    const known = typeof id === 'string' ? this.#stage.known.get(id) : undefined;
    if (known === undefined || typeof mac !== 'string' || known.owner !== who) return NOBODY;
    if (typeof processed !== 'number' || !Number.isSafeInteger(processed) || processed < 0) return NOBODY;
    const right = dialerProof(known.key, [nonce, this.#nonces[1]], processed);
    if (!Buffer.from(mac, 'base64').equals(right)) return NOBODY;
    return { who, must: !known.session.isOver && known.session.canResumeFrom(processed) };
  }
}

interface Verdict {
  readonly who: string | undefined;
  readonly must: boolean;
}

const NOBODY: Verdict = { who: undefined, must: false };

it(`${RUNS} dialers who begin rightly and then do anything are who they have proved to be, and nobody else’s`, async (t) => {
  const stage = new Stage();
  await stage.start();
  const seen = { proved: 0, resumed: 0 };
  const property = fc.asyncProperty(fc.array(connection, { minLength: 1, maxLength: 3 }), async (connections) => {
    const attacker = new Attacker(stage);
    for (const steps of connections) await attacker.connect(steps);
    await stage.clear();
  });
  await withoutGrowth(
    t,
    () => fc.assert(property, { numRuns: 300 }),
    () => hold(t, property, { runs: RUNS }),
  );
  t.diagnostic(JSON.stringify(seen));
  await stage.stop();
});
