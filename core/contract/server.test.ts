import { expect, test } from 'vitest';
import { type Role, roles } from './access.ts';
import { methods } from './methods.ts';
import { methodRoles } from './roles.ts';
import { ContractServer, FLOODED, type Handlers } from './server.ts';
import type { WireMessage } from './transport.ts';

/** A server whose every method answers with null, and what it says to a client of this role. */
function serve(role: Role, handlers: Partial<Handlers> = {}) {
  const said: WireMessage[] = [];
  const closed: (string | undefined)[] = [];
  let listen!: (message: unknown) => void;
  let now = 0;
  const server = new ContractServer(
    {
      send: (message) => void said.push(message),
      onMessage: (listener) => {
        listen = listener;
      },
      onClose: () => {},
      close: (reason) => void closed.push(reason),
    },
    {
      handlers: new Proxy(handlers, { get: (own, name) => own[name as keyof Handlers] ?? (async () => null) }) as Handlers,
      caller: { id: 'c', name: 'tester', role, tokenId: 't', address: '', since: '' },
      toError: () => ({ kind: 'internal', message: 'failed', context: {} }),
      now: () => now,
    },
  );
  return {
    server,
    said,
    closed,
    call: (method: string, params: unknown = {}, id = 1) => listen({ type: 'call', id, method, params }),
    raw: (message: unknown) => listen(message),
    later: (ms: number) => {
      now += ms;
    },
  };
}

const refusedForRole = (message: WireMessage | undefined) =>
  message?.type === 'error' && (message.error as { context: { reason?: string } }).context.reason === 'role';

test('every method has a role, and no role is for a method that is gone', () => {
  expect(Object.keys(methodRoles).sort()).toEqual(Object.keys(methods).sort());
  for (const role of Object.values(methodRoles)) expect(roles).toContain(role);
});

test.each(roles)('the role %s may call exactly what the table says', (role) => {
  const client = serve(role);
  for (const method of Object.keys(methods) as (keyof typeof methods)[]) {
    client.said.length = 0;
    // Parameters are looked at only after the role: a call that may not be made tells nothing.
    client.call(method, { nonsense: true });
    const allowed = roles.indexOf(role) >= roles.indexOf(methodRoles[method]);
    expect([method, refusedForRole(client.said[0])]).toEqual([method, !allowed]);
  }
});

test('nothing that changes a machine or names a file of the host is for those who look on', () => {
  const view = Object.entries(methodRoles).flatMap(([method, role]) => (role === 'view' ? [method] : []));
  for (const method of view)
    expect(method).toMatch(
      /\.(list|get|kinds|info|systems|history|suggestName|hardware|log|stats|screenshot|thumbnail|screenText|plan|planTake|explain|viewers|pools|volumes|me)$/,
    );
});

test('a refusal says which role is needed and what to do', () => {
  const client = serve('view');
  client.call('vm.delete', { id: 'x' });
  expect(client.said).toEqual([
    {
      type: 'error',
      id: 1,
      error: {
        kind: 'permission-denied',
        message: 'this needs the role "manage", and you have "view"',
        said: { key: 'roleNeeded', params: { needed: { key: 'roleManage', params: {} }, role: { key: 'roleView', params: {} } } },
        context: { operation: 'vm.delete', reason: 'role', needed: 'manage', role: 'view' },
        fix: expect.stringContaining('token'),
        saidFix: { key: 'fixRoleNeeded', params: {} },
      },
    },
  ]);
});

test('events that only managers may have go to nobody else', () => {
  for (const [role, count] of [
    ['view', 0],
    ['operate', 0],
    ['manage', 1],
  ] as const) {
    const client = serve(role);
    client.server.emit('access.changed', {});
    expect([role, client.said.length]).toEqual([role, count]);
  }
});

test('a client that sends nothing but nonsense is cut off, with the reason', () => {
  const client = serve('manage');
  for (const message of [null, 7, 'call', [], { type: 'call' }, { type: 'event', event: 'vm.changed' }]) client.raw(message);
  expect(client.closed).toEqual([]);
  for (let i = 0; i < 3000; i++) client.call('no.such', {}, i);
  expect(client.closed).toEqual([FLOODED]);
  const before = client.said.length;
  expect(before).toBeLessThan(2100);
  client.call('vm.list');
  expect(client.said).toHaveLength(before);
});

test('so is one that floods it with proper calls; one that asks 1,500 times a second is not', async () => {
  const busy = serve('manage');
  for (let i = 0; i < 21_000; i++) {
    busy.call('vm.list', {}, i);
    if (i % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(busy.closed).toEqual([FLOODED]);
  const calm = serve('manage');
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 150; i++) calm.call('vm.list', {}, i);
    await new Promise((resolve) => setImmediate(resolve));
    calm.later(100);
  }
  expect(calm.closed).toEqual([]);
});

test('too many calls under way are refused, and the next one after an answer is not', async () => {
  const waiting: (() => void)[] = [];
  const client = serve('manage', { 'vm.list': () => new Promise((resolve) => waiting.push(() => resolve([]))) });
  for (let i = 0; i < 257; i++) client.call('vm.list', {}, i);
  expect(client.said).toMatchObject([{ type: 'error', id: 256, error: { kind: 'resource-limit' } }]);
  waiting[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  client.call('vm.list', {}, 300);
  expect(waiting).toHaveLength(257);
});

test('the failure of a call that was in order does not count as nonsense', async () => {
  const client = serve('manage', { 'vm.get': () => Promise.reject(new Error('gone')) });
  for (let i = 0; i < 3000; i++) {
    client.call('vm.get', { id: 'x' }, i);
    if (i % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(client.closed).toEqual([]);
});
