/**
 * What a stream is opened with, and how it is answered, as OPEN and OPENED carry it. Pure. A service is a name of the
 * other side's configuration, and nothing else: no path, no host, no port.
 */
import { ProtocolError } from './frames.ts';

export interface OpenRequest {
  readonly service: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What the side that accepted a stream will tell beside its data. */
export interface Opened {
  readonly exit: boolean;
}

/** The far side said no: nothing of what was asked for has begun there, as it may have where a stream was lost. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

/** Bytes of an OPEN: a command of 32 KiB in base64, and room for the environment. */
export const MAX_OPEN = 60 * 1024;

const SERVICE = /^(?![-.])[A-Za-z0-9._-]{1,255}$/;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parseObject(payload: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch (cause) {
    throw new ProtocolError('what it says cannot be read', { cause });
  }
  if (isObject(value)) return value;
  throw new ProtocolError('what it says is no object');
}

/** @throws RangeError for what the far side would refuse */
export function encodeRequest(request: OpenRequest): Buffer {
  const payload = Buffer.from(JSON.stringify(request));
  const wrong = faultOf(request, payload.length);
  if (wrong !== undefined) throw new RangeError(wrong);
  return payload;
}

/** The request, or why it is refused. @throws ProtocolError if it is none at all */
export function parseRequest(payload: Buffer): OpenRequest | string {
  const { service, metadata } = parseObject(payload);
  return faultOf({ service, metadata }, payload.length) ?? ({ service, metadata } as OpenRequest);
}

function faultOf({ service, metadata }: { service: unknown; metadata: unknown }, bytes: number): string | undefined {
  if (typeof service !== 'string' || !SERVICE.test(service))
    return 'a service is named by 1 to 255 of A-Z a-z 0-9 . _ -, and begins with neither - nor .';
  if (!isObject(metadata)) return 'the metadata of an OPEN is no object';
  return bytes > MAX_OPEN ? `an OPEN of ${bytes} bytes; ${MAX_OPEN} are allowed` : undefined;
}

export const encodeOpened = ({ exit }: Opened): Buffer => Buffer.from(JSON.stringify({ exit }));

/** @throws ProtocolError */
export const parseOpened = (payload: Buffer): Opened => ({ exit: parseObject(payload)['exit'] === true });
