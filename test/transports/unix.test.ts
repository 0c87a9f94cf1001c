import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

it('a client that ends its direction still gets a late reply', async (t) => {
  const scope = new Scope(t);
  const { open, log } = startGateway(scope);
  const path = `${scope.folder()}/s`;
  await open(`unix:${path}`, `exec:sh -c "cat; sleep 0.2; echo done"`);
  const client = connect({ path, allowHalfOpen: true });
  client.end('hello\n');
  assert.equal((await buffer(client)).toString(), 'hello\ndone\n');
  const { fields } = await log.untilMessage('closed');
  assert.equal(fields['exit'], 0);
});
