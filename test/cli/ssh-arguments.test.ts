import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSshArguments, type SshArguments } from '../../core/cli/ssh-arguments.ts';

const NOTHING: Omit<SshArguments, 'host' | 'ignored' | 'commandAt'> = {
  own: new Map(),
  user: undefined,
  command: undefined,
  isSubsystem: false,
  isProbe: false,
  isInputEmpty: false,
  sendEnv: [],
  setEnv: {},
  isVerbose: false,
};

describe('the arguments that programs give to their remote shell', () => {
  const seen: [program: string, args: string[], means: Partial<SshArguments>][] = [
    [
      'borg 1.2',
      ['-p', '2222', 'user@host', 'borg', 'serve', '--info'],
      { user: 'user', command: 'borg serve --info' },
    ],
    [
      'borg 2',
      ['user@host', 'borg', 'serve', '--rest', '--backend', 'FILE:/r'],
      { user: 'user', command: 'borg serve --rest --backend FILE:/r' },
    ],
    [
      'rsync',
      ['-l', 'me', 'host', 'rsync', '--server', '-vlogDtpre.iLsfxCIvu', '.', 'a\\ b'],
      { user: 'me', command: 'rsync --server -vlogDtpre.iLsfxCIvu . a\\ b' },
    ],
    [
      'git asking',
      ['-G', '-o', 'SendEnv=GIT_PROTOCOL', '-p', '22', 'git@host'],
      { user: 'git', isProbe: true, sendEnv: ['GIT_PROTOCOL'] },
    ],
    [
      'git',
      ['-o', 'SendEnv=GIT_PROTOCOL', 'host', "git-upload-pack '/x y'"],
      { sendEnv: ['GIT_PROTOCOL'], command: "git-upload-pack '/x y'" },
    ],
    [
      'sftp',
      ['-oForwardX11 no', '-oPermitLocalCommand no', '-oPort 2222', '-l', 'me', '-s', '--', 'host', 'sftp'],
      { user: 'me', isSubsystem: true, command: 'sftp' },
    ],
    [
      'old scp',
      ['-x', '-oPermitLocalCommand=no', '-oClearAllForwardings=yes', '--', 'host', 'scp -t /x'],
      { command: 'scp -t /x' },
    ],
    [
      'ansible',
      [
        '-C',
        '-o',
        'ControlMaster=auto',
        '-o',
        'ControlPersist=60s',
        '-o',
        'User="x"',
        '-o',
        'ControlPath=/c',
        'host',
        '/bin/sh -c echo',
      ],
      { user: '"x"', command: '/bin/sh -c echo' },
    ],
    [
      'sshfs',
      ['-x', '-a', '-oClearAllForwardings=yes', '-2', '-s', '--', 'me@host', 'sftp'],
      { user: 'me', isSubsystem: true, command: 'sftp' },
    ],
    ['options joined', ['-qTxp22', '-lme', 'host'], { user: 'me' }],
    ['options after the host', ['host', '-p', '22', '-v', 'ls', '-la'], { isVerbose: true, command: 'ls -la' }],
    ['a URL', ['ssh://me@host:22', 'ls'], { user: 'me', command: 'ls' }],
    ['one -t, which means nothing here', ['-t', 'host'], {}],
    ['no input', ['-n', 'host', 'ls'], { isInputEmpty: true, command: 'ls' }],
    ['a variable', ['-o', 'SetEnv=A=1 B=2', 'host'], { setEnv: { A: '1', B: '2' } }],
  ];
  for (const [program, args, means] of seen) {
    it(program, () => {
      const { ignored: _ignored, commandAt, ...read } = parseSshArguments(args);
      assert.equal(args.slice(commandAt).join(' '), read.command ?? '');
      assert.deepEqual(read, { ...NOTHING, host: 'host', ...means });
    });
  }
});

describe('our own options', () => {
  const known = { to: 'value', 'no-resume': 'flag' } as const;

  it('are long, come before the host, and take their value joined or apart', () => {
    const { own, host } = parseSshArguments(
      ['--to', 'unix:/x', '--no-resume', '-p', '2', '--to=unix:/y', 'host', 'ls'],
      known,
    );
    assert.deepEqual(
      [...own],
      [
        ['to', ['unix:/x', 'unix:/y']],
        ['no-resume', []],
      ],
    );
    assert.equal(host, 'host');
  });

  it('are the command’s own words after the host', () => {
    assert.equal(parseSshArguments(['host', 'ls', '--to', 'x'], known).command, 'ls --to x');
  });

  it('are refused where they are unknown, with the nearest; where they come late; and without their value', () => {
    for (const [args, message] of [
      [['--too', 'x', 'host'], /unknown option --too; did you mean "--to"\?/],
      [['host', '--to', 'x'], /--to comes before the host/],
      [['--to'], /--to wants a value/],
      [['--no-resume=1', 'host'], /--no-resume takes no value/],
    ] as const) {
      assert.throws(() => parseSshArguments(args, known), { code: 'SLUICE_USAGE', message });
    }
  });
});

describe('what would silently mean less is refused', () => {
  const refused = [
    ['-L', '1:h:2', 'host'],
    ['-R1:h:2', 'host'],
    ['-D', '1080', 'host'],
    ['-J', 'j', 'host'],
    ['-A', 'host'],
    ['-W', 'h:1', 'host'],
    ['-N', 'host'],
    ['-f', 'host'],
    ['-tt', 'host'],
    ['-t', '-t', 'host'],
    ['-X', 'host'],
    ['-o', 'ProxyCommand=nc h 1', 'host'],
    ['-o', 'ForwardAgent=yes', 'host'],
    ['-o', 'RequestTTY=force', 'host'],
  ];
  for (const args of refused) {
    it(args.join(' '), () => assert.throws(() => parseSshArguments(args), { code: 'SLUICE_USAGE' }));
  }

  it('and so is what ssh does not know, what lacks its value, and what names no host', () => {
    for (const args of [['-z', 'host'], ['--port', '22', 'host'], ['-p'], [], ['-v'], ['--', '-host'], ['me@']]) {
      assert.throws(() => parseSshArguments(args), { code: 'SLUICE_USAGE' }, args.join(' '));
    }
  });
});
