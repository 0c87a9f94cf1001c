/**
 * The command line of ssh, as borg, rsync, git, sftp, scp, sshfs, restic and ansible give it. Pure.
 *
 * Three kinds of options: those that are used; those that have no meaning here and are ignored; those without which the
 * caller would silently get less than it asked for, which are refused, as is what ssh itself does not know. Every short
 * option is ssh's; ours are long and come before the host.
 */
import { SluiceError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';

export interface SshArguments {
  /** As given, without `user@`. */
  readonly host: string;
  /** Carried along; it never chooses an account. */
  readonly user: string | undefined;
  /** The words after the host, joined by single blanks as ssh does; `undefined` where there are none. */
  readonly command: string | undefined;
  /** Which of the arguments is the command's first word. */
  readonly commandAt: number;
  /** Our own options, by name; what is repeated, in order. A flag has no values. */
  readonly own: ReadonlyMap<string, readonly string[]>;
  /** `-s`: the command is the name of a subsystem. */
  readonly isSubsystem: boolean;
  /** `-G`: the caller only asks whether this is an ssh. */
  readonly isProbe: boolean;
  /** `-n`: nothing is read from standard input. */
  readonly isInputEmpty: boolean;
  /** Patterns of variables to carry, and variables to set. */
  readonly sendEnv: readonly string[];
  readonly setEnv: Readonly<Record<string, string>>;
  readonly isVerbose: boolean;
  /** What was ignored, for one line at -v. */
  readonly ignored: readonly string[];
}

const USED = 'Gnsv';
const USED_WITH_VALUE = 'lop';
const IGNORED = '1246CKTaqktxy';
const IGNORED_WITH_VALUE = 'BEFIbceimP';
const REFUSED: Readonly<Record<string, string>> = {
  A: 'agent forwarding',
  D: 'a SOCKS proxy',
  J: 'a jump host; name it in the sink’s address instead',
  L: 'a local forward; use "sluice link"',
  M: 'a control master',
  N: 'no command; use "sluice link"',
  O: 'a control command',
  R: 'a remote forward; use a tunnel',
  S: 'a control socket',
  W: 'a forward of standard input and output; use "sluice connect"',
  X: 'X11 forwarding',
  Y: 'X11 forwarding',
  f: 'going to the background',
  g: 'forwards for others',
  w: 'a tunnel device',
};
const REFUSED_WITH_VALUE = 'DJLORSWw';

/** Keywords of `-o` that would silently mean less, unless they say no. */
const REFUSED_KEYWORDS =
  /^(?:dynamicforward|forwardagent|forwardx11|forwardx11trusted|localforward|proxycommand|proxyjump|remotecommand|remoteforward|stdinnull|tunnel)$/;
const NO = /^(?:no|none|false)$/i;

const refuse = (what: string): SluiceError => new SluiceError('SLUICE_USAGE', `rsh: ${what}`);

interface Draft {
  host?: string;
  user?: string;
  words: string[];
  terminals: number;
  flags: Set<string>;
  sendEnv: string[];
  setEnv: Record<string, string>;
  ignored: string[];
  own: Map<string, string[]>;
}

/** `Key=value`, `Key value` or `Key = value`. */
function readKeyword(text: string, draft: Draft): void {
  const match = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)$/s.exec(text);
  if (match?.[1] === undefined || match[2] === undefined)
    throw refuse(`-o ${JSON.stringify(text)}: expected KEY=VALUE`);
  const [key, value] = [match[1].toLowerCase(), match[2]];
  if (key === 'sendenv') draft.sendEnv.push(...value.split(/\s+/).filter((name) => name !== ''));
  else if (key === 'setenv') Object.assign(draft.setEnv, readVariables(value));
  else if (key === 'user') draft.user ??= value;
  else if (key === 'requesttty' && value.toLowerCase() === 'force')
    throw refuse('a terminal cannot be forced; leave -o RequestTTY=force out');
  else if (REFUSED_KEYWORDS.test(key) && !NO.test(value))
    throw refuse(`-o ${match[1]} is not available here; leave it out`);
  else draft.ignored.push(`-o ${match[1]}`);
}

function readVariables(text: string): Record<string, string> {
  const pairs = text.split(/\s+/).filter((pair) => pair.includes('='));
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

/** `[user@]host` or `ssh://[user@]host[:port]`. */
function readHost(text: string, draft: Draft): void {
  const bare = text.startsWith('ssh://') ? text.slice('ssh://'.length).replace(/:\d+\/?$|\/$/, '') : text;
  const at = bare.lastIndexOf('@');
  if (at >= 0) draft.user ??= bare.slice(0, at);
  draft.host = bare.slice(at + 1);
  if (draft.host === '' || draft.host.startsWith('-')) throw refuse(`${JSON.stringify(text)} is no host`);
}

function readOption(letter: string, value: string | undefined, draft: Draft): void {
  const reason = REFUSED[letter];
  if (reason !== undefined) throw refuse(`-${letter} (${reason}) is not available here`);
  if (letter === 'o') readKeyword(value ?? '', draft);
  else if (letter === 'l') draft.user = value ?? '';
  else if (letter === 't') draft.terminals += 1;
  else if (USED.includes(letter)) draft.flags.add(letter);
  if (letter === 'p' || IGNORED.includes(letter) || IGNORED_WITH_VALUE.includes(letter))
    draft.ignored.push(`-${letter}`);
  if (draft.terminals > 1) throw refuse('-tt (a forced terminal) is not available here; leave it out');
}

const takesValue = (letter: string): boolean =>
  (USED_WITH_VALUE + IGNORED_WITH_VALUE + REFUSED_WITH_VALUE).includes(letter);
const isKnown = (letter: string): boolean =>
  (USED + IGNORED).includes(letter) || takesValue(letter) || letter in REFUSED;

/** One argument that begins with a dash: options joined, the last perhaps with its value. Returns how many it took. */
function readCluster(args: readonly string[], at: number, draft: Draft): number {
  const cluster = (args[at] ?? '').slice(1);
  for (const [index, letter] of cluster.split('').entries()) {
    if (!isKnown(letter)) throw refuse(`ssh has no option -${letter}; long options of ours come before the host`);
    if (!takesValue(letter)) {
      readOption(letter, undefined, draft);
      continue;
    }
    const joined = cluster.slice(index + 1);
    const value = joined === '' ? args[at + 1] : joined;
    if (value === undefined) throw refuse(`-${letter} wants a value`);
    readOption(letter, value, draft);
    return joined === '' ? 2 : 1;
  }
  return 1;
}

/** `--name value` or `--name=value`. Returns how many arguments it took. */
function readOwn(args: readonly string[], at: number, known: OwnOptions, draft: Draft): number {
  const [, name = '', joined] = /^--([^=]*)(?:=(.*))?$/s.exec(args[at] ?? '') ?? [];
  const kind = Object.hasOwn(known, name) ? known[name] : undefined;
  if (kind === undefined)
    throw refuse(
      `unknown option --${name}${didYouMean(
        `--${name}`,
        Object.keys(known).map((one) => `--${one}`),
      )} (sluice rsh --help shows them)`,
    );
  if (draft.host !== undefined) throw refuse(`--${name} comes before the host`);
  const values = draft.own.get(name) ?? [];
  draft.own.set(name, values);
  if (kind === 'flag') {
    if (joined !== undefined) throw refuse(`--${name} takes no value`);
    return 1;
  }
  const value = joined ?? args[at + 1];
  if (value === undefined) throw refuse(`--${name} wants a value`);
  values.push(value);
  return joined === undefined ? 2 : 1;
}

/** Our own options: their names, and whether they take a value. */
export type OwnOptions = Readonly<Record<string, 'flag' | 'value'>>;

/** Reads what follows `sluice rsh`: ssh's arguments, and before the host our own long options. @throws SluiceError SLUICE_USAGE */
export function parseSshArguments(args: readonly string[], known: OwnOptions = {}): SshArguments {
  const draft: Draft = {
    words: [],
    terminals: 0,
    flags: new Set(),
    sendEnv: [],
    setEnv: {},
    ignored: [],
    own: new Map(),
  };
  let at = 0;
  let optionsEnded = false;
  while (at < args.length) {
    const arg = args[at] ?? '';
    if (!optionsEnded && arg === '--') {
      optionsEnded = true;
      at += 1;
    } else if (!optionsEnded && arg.startsWith('--')) {
      at += readOwn(args, at, known, draft);
    } else if (!optionsEnded && arg.length > 1 && arg.startsWith('-')) {
      at += readCluster(args, at, draft);
    } else if (draft.host === undefined) {
      readHost(arg, draft); // ssh reads options after the host, too
      at += 1;
    } else break;
  }
  return finish(draft, args.slice(at), at);
}

function finish(
  { host = '', user, flags, sendEnv, setEnv, ignored, own }: Draft,
  words: readonly string[],
  commandAt: number,
): SshArguments {
  if (host === '' && !own.has('help'))
    throw refuse('there is no host; the arguments are those of ssh: [options] [user@]host [command]');
  return {
    host,
    user,
    command: words.length === 0 ? undefined : words.join(' '),
    commandAt,
    own,
    isSubsystem: flags.has('s'),
    isProbe: flags.has('G'),
    isInputEmpty: flags.has('n'),
    sendEnv,
    setEnv,
    isVerbose: flags.has('v'),
    ignored,
  };
}
