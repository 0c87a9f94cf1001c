/**
 * Every error that Sluice makes has a code from this one table; the README's table is compared with it by a test.
 * A message names the thing, the value got and the remedy. What went wrong below is kept as `cause`.
 * Transports and plugins throw plain errors: `wrap` gives them a code where they cross into the core.
 */
const CONFIGURATION_REFUSED = 78;
const OUR_FAILURE = 255;
const INTERNAL = 70;

export const ERRORS = {
  SLUICE_ADDRESS: { exit: CONFIGURATION_REFUSED, meaning: 'an address that cannot be read: scheme, target or option' },
  SLUICE_CONFIG: { exit: CONFIGURATION_REFUSED, meaning: 'a mistake in the configuration, told as file:line:column' },
  SLUICE_CONFIG_FILE: {
    exit: CONFIGURATION_REFUSED,
    meaning: 'the configuration file is missing, unreadable, or writable by others',
  },
  SLUICE_ACCESS: {
    exit: CONFIGURATION_REFUSED,
    meaning: 'a source that a network can reach, and nobody named who may use it',
  },
  SLUICE_TOKEN: {
    exit: CONFIGURATION_REFUSED,
    meaning: 'a token that cannot be read, is none, or may not be sent there',
  },
  SLUICE_PLUGIN: { exit: CONFIGURATION_REFUSED, meaning: 'a plugin that cannot be loaded or breaks the contract' },
  SLUICE_LISTEN: { exit: OUR_FAILURE, meaning: 'a source could not be opened, or has ended by itself' },
  SLUICE_DIAL: { exit: OUR_FAILURE, meaning: 'a sink could not be reached or started' },
  SLUICE_DENIED: { exit: OUR_FAILURE, meaning: 'the far side, or this one, did not accept who asked' },
  SLUICE_CUT: { exit: OUR_FAILURE, meaning: 'a connection was cut before its end' },
  SLUICE_IDLE: { exit: OUR_FAILURE, meaning: 'one direction had ended and the other was silent for too long' },
  SLUICE_STOPPED: { exit: OUR_FAILURE, meaning: 'the gateway was stopped before the connection ended' },
  SLUICE_BUSY: { exit: OUR_FAILURE, meaning: 'a limit of connections or commands is reached' },
  SLUICE_USAGE: { exit: OUR_FAILURE, meaning: 'a command line that cannot be understood' },
  SLUICE_INTERNAL: { exit: INTERNAL, meaning: 'a fault of Sluice itself; please report it' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** Survives two copies of this module in one process (a plugin may bring its own). */
const BRAND = Symbol.for('sluice.error');

export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly [BRAND] = true;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SluiceError';
    this.code = code;
  }

  get exit(): number {
    return ERRORS[this.code].exit;
  }

  static is(value: unknown): value is SluiceError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** The text of anything that was thrown: plugins throw anything, and an AggregateError hides its reasons. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return [...new Set(thrown.errors.map(reasonOf))].join('; ');
  }
  if (thrown instanceof Error) return opensslReason(thrown) ?? withHint(thrown);
  return String(thrown);
}

/** What the codes of the operating system and of Node's parser mean to somebody who has to do something about them. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there; is it running?',
  ENOENT: 'it is not there',
  EACCES: 'this user may not; look at owner and mode',
  EADDRINUSE: 'something else listens there already',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host name',
  EAI_AGAIN: 'names cannot be looked up now',
  EHOSTUNREACH: 'there is no way to it from here',
  ENETUNREACH: 'there is no way to it from here',
  ETIMEDOUT: 'it does not answer',
  EMFILE: 'too many files are open; raise the limit (LimitNOFILE=, ulimit -n)',
  HPE_INVALID_CONSTANT: 'the far side does not speak HTTP; is it another port, or one with TLS?',
};

/** Node's own text, by which people search, and what it means. */
function withHint(error: Error): string {
  const text = error.message || error.name;
  const { code } = error as { code?: unknown };
  const hint = typeof code === 'string' && Object.hasOwn(HINTS, code) ? HINTS[code] : undefined;
  return hint === undefined || text.includes(hint) ? text : `${text}: ${hint}`;
}

/** The message of an OpenSSL error is a line of its own log, with file and number; its reason is for people. */
function opensslReason(error: Error): string | undefined {
  const { library, reason } = error as { library?: unknown; reason?: unknown };
  return typeof library === 'string' && typeof reason === 'string' ? `TLS: ${reason}` : undefined;
}

/** The reason that a far side is told: where its cause has a shorter form for strangers (`told`), that. */
export function forStrangers(reason: SluiceError): SluiceError {
  const { message, told } = (reason.cause ?? {}) as { message?: unknown; told?: unknown };
  if (typeof message !== 'string' || typeof told !== 'string') return reason;
  return new SluiceError(
    reason.code,
    reason.message.replace(message, () => told),
    { cause: reason },
  );
}

/**
 * Gives what a transport threw a code and says what was tried; an error that has a code stays as it is. One that is `final`
 * stays so: somebody did not accept who asked.
 */
export function wrap(code: ErrorCode, tried: string, thrown: unknown): SluiceError {
  if (SluiceError.is(thrown)) return thrown;
  const isFinal = (thrown as { final?: unknown } | null | undefined)?.final === true;
  const error = new SluiceError(isFinal ? 'SLUICE_DENIED' : code, `${tried}: ${reasonOf(thrown)}`, { cause: thrown });
  return isFinal ? Object.assign(error, { final: true }) : error;
}
