import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MethodName } from '../contract/methods.ts';
import { methods } from '../contract/methods.ts';
import type { WireMessage } from '../contract/transport.ts';
import type { LogEntry, VmSummary } from '../contract/vm.ts';
import { isoImage, rawImage } from './testing/media.ts';
import { eventually, failureOf, Harness, memoryLine } from './testing/harness.ts';

let h: Harness;

beforeAll(async () => {
  // Short limits, so that machines which hang are found out quickly; long enough for a busy computer where all is well.
  h = await Harness.open({ limits: { forceOff: 800, exit: 800 } });
});

afterAll(async () => {
  await h.close();
});

let count = 0;
const fake = (cmdline = '') => h.fake(`M${++count}`, cmdline);

async function started(cmdline = ''): Promise<VmSummary> {
  const { id } = await fake(cmdline);
  return h.call('vm.start', { id });
}

const verbs = ['vm.start', 'vm.pause', 'vm.resume', 'vm.shutdown', 'vm.restart', 'vm.reset', 'vm.forceOff', 'vm.delete'] as const;
/** The process of a running machine, from its lock. */
const processOf = ({ folder }: VmSummary): number => JSON.parse(readFileSync(path.join(folder, '.lock'), 'utf8')).others[0].pid;

/** 0 as long as there is none. */
function processIfAny(vm: VmSummary): number {
  try {
    return processOf(vm);
  } catch {
    return 0;
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a machine', () => {
  test('goes through its states, and clients see each once and in order', async () => {
    const vm = await started();
    const { id } = vm;
    expect(vm).toMatchObject({ state: 'running', problem: null, display: { width: 720, height: 400, text: true } });
    expect(Date.parse(vm.startedAt!)).toBeGreaterThan(0);
    expect((await h.call('vm.pause', { id })).state).toBe('paused');
    expect((await h.call('vm.resume', { id })).state).toBe('running');
    expect((await h.call('vm.reset', { id })).state).toBe('running');
    expect((await h.call('vm.restart', { id })).state).toBe('running');
    expect((await h.call('vm.shutdown', { id })).state).toMatch(/running|off/);
    await h.reaches(id, 'off');
    expect(await h.get(id)).toMatchObject({ state: 'off', problem: null, display: null, stats: null });
    expect(h.client.states(id)).toEqual(['off', 'starting', 'running', 'paused', 'running', 'off']);
    expect((await h.call('vm.start', { id })).state).toBe('running');
    expect((await h.call('vm.forceOff', { id })).state).toBe('off');
    expect(h.client.states(id).slice(-4)).toEqual(['starting', 'running', 'stopping', 'off']);
  });

  const allowed: Record<string, readonly MethodName[]> = {
    off: ['vm.start', 'vm.delete'],
    running: ['vm.pause', 'vm.shutdown', 'vm.restart', 'vm.reset', 'vm.forceOff'],
    paused: ['vm.resume', 'vm.reset', 'vm.forceOff'],
    crashed: ['vm.start', 'vm.delete'],
  };
  test.each(Object.keys(allowed))('that is %s refuses what makes no sense, stays as it is, and says why', async (state) => {
    const vm = state === 'off' ? await fake() : await started();
    const { id } = vm;
    if (state === 'paused') await h.call('vm.pause', { id });
    if (state === 'crashed') {
      process.kill(processOf(vm), 'SIGKILL');
      await h.reaches(id, 'crashed');
    }
    for (const verb of verbs) {
      if (allowed[state]!.includes(verb)) continue;
      const error = await failureOf(h.call(verb, { id }));
      expect(error, verb).toMatchObject({ kind: 'invalid-state', message: expect.stringContaining(`${vm.name} is ${state}`) });
      expect((await h.get(id)).state).toBe(state);
    }
    if (state === 'off' || state === 'crashed')
      for (const call of [
        h.call('vm.screenshot', { id }),
        h.call('vm.screenText', { id }),
        h.call('vm.typeText', { id, text: 'x' }),
        h.call('vm.sendKeys', { id, keys: ['a'] }),
      ])
        expect((await failureOf(call)).kind).toBe('invalid-state');
    else await h.call('vm.forceOff', { id });
  });

  test('that is starting can be forced off at once, and is off, not crashed', async () => {
    const { id, folder } = await fake('fake.hang');
    const starting = failureOf(h.call('vm.start', { id }));
    await h.reaches(id, 'starting');
    for (const verb of ['vm.start', 'vm.pause', 'vm.resume', 'vm.shutdown', 'vm.reset', 'vm.delete'] as const)
      expect((await failureOf(h.call(verb, { id }))).kind, verb).toBe('invalid-state');
    expect((await h.call('vm.forceOff', { id })).state).toBe('off');
    expect((await starting).kind).toBe('cancelled');
    expect(await h.get(id)).toMatchObject({ state: 'off', problem: null });
    expect(() => statSync(path.join(folder, '.lock'))).toThrow('ENOENT');
    expect(h.client.states(id).filter((state) => state !== 'stopping')).toEqual(['off', 'starting', 'off']);
  });

  test('gets default UEFI settings back while it is off; the old ones are kept beside them', async () => {
    const { id, folder } = await fake();
    expect(await h.call('vm.resetFirmware', { id })).toEqual({ keptAs: null });
    writeFileSync(path.join(folder, 'nvram'), 'settings');
    await h.call('vm.start', { id });
    const { kind, dto } = await failureOf(h.call('vm.resetFirmware', { id }));
    expect([kind, dto.fix]).toEqual(['invalid-state', 'Shut it down first.']);
    await h.call('vm.forceOff', { id });
    const { keptAs } = await h.call('vm.resetFirmware', { id });
    expect(readFileSync(path.join(folder, keptAs!), 'utf8')).toBe('settings');
    expect(existsSync(path.join(folder, 'nvram'))).toBe(false);
  });

  test('whose start hangs in its process can be forced off', async () => {
    const vm = await fake('fake.hang');
    const starting = failureOf(h.call('vm.start', { id: vm.id }));
    const pid = await eventually(
      () => processIfAny(vm),
      (found) => found > 0,
    );
    expect((await h.call('vm.forceOff', { id: vm.id })).state).toBe('off');
    expect((await starting).kind).toBe('cancelled');
    expect(alive(pid)).toBe(false);
    expect(h.client.states(vm.id)).toEqual(['off', 'starting', 'stopping', 'off']);
  });

  test('can be forced off in the same breath in which it is started, as often as one likes', async () => {
    const { id } = await fake();
    for (let round = 0; round < 4; round++) {
      const starting = h.call('vm.start', { id }).then(
        () => 'started',
        (error) => error.kind,
      );
      await h.call('vm.forceOff', { id });
      expect(['started', 'cancelled']).toContain(await starting);
      expect(await h.get(id)).toMatchObject({ state: 'off', problem: null });
    }
    expect((await h.call('vm.start', { id })).state).toBe('running');
    // Twice at once is no harm.
    await Promise.allSettled([h.call('vm.forceOff', { id }), h.call('vm.forceOff', { id })]);
    expect((await h.get(id)).state).toBe('off');
  });

  test('that is started twice at once runs once', async () => {
    const { id } = await fake();
    const both = await Promise.allSettled([h.call('vm.start', { id }), h.call('vm.start', { id })]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await h.get(id)).state).toBe('running');
    await h.call('vm.forceOff', { id });
  });

  test('keeps running when the guest ignores the power button', async () => {
    const { id } = await started('fake.ignore-power');
    expect((await h.call('vm.shutdown', { id })).state).toBe('running');
    expect((await h.call('vm.shutdown', { id })).state).toBe('running');
    expect((await h.call('vm.screenText', { id }))!.rows[0]).toBe('fake machine');
    expect((await h.call('vm.forceOff', { id })).state).toBe('off');
  });

  test('that a full disk of the host paused says so until it runs again', async () => {
    const { id } = await started('fake.host-error');
    const vm = await h.reaches(id, 'paused');
    expect(vm.problem).toMatchObject({ kind: 'no-space', message: expect.stringContaining('disk of this computer is full') });
    expect((await h.call('vm.resume', { id })).problem).toBeNull();
    const log = await h.call('vm.log', { id, lines: 10 });
    expect(log.some(({ message }) => message.includes('disk of this computer is full'))).toBe(true);
    await h.call('vm.forceOff', { id });
  });

  test('that does not exist is refused by every method', async () => {
    const id = '00000000-0000-0000-0000-000000000000';
    for (const verb of [...verbs, 'vm.get', 'vm.hardware', 'vm.stats', 'vm.thumbnail', 'vm.screenshot'] as const)
      expect((await failureOf(h.call(verb, { id }))).kind, verb).toBe('not-found');
    await expect(h.manager.openChannel(id, 'rfb')).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('a start that fails', () => {
  test('gives the reason of the machine, and leaves it off and free', async () => {
    const { id, folder } = await fake('fake.refuse');
    const error = await failureOf(h.call('vm.start', { id }));
    expect(error).toMatchObject({ kind: 'unsupported', dto: { fix: 'Change its command line.' } });
    expect(await h.get(id)).toMatchObject({ state: 'off', problem: null });
    expect(h.client.states(id)).toEqual(['off', 'starting', 'off']);
    expect(() => statSync(path.join(folder, '.lock'))).toThrow('ENOENT');
    const kernel = (await h.get(id)).config!.boot.kernel!;
    await h.call('vm.update', { id, patch: { boot: { order: [], menu: false, kernel: { ...kernel, cmdline: '' } } } });
    expect((await h.call('vm.start', { id })).state).toBe('running');
    await h.call('vm.forceOff', { id });
  });

  test('and whose process stays is killed', async () => {
    const vm = await fake('fake.refuse-hang');
    const starting = failureOf(h.call('vm.start', { id: vm.id }));
    const pid = await eventually(
      () => processIfAny(vm),
      (found) => found > 0,
    );
    expect((await starting).kind).toBe('unsupported');
    expect(alive(pid)).toBe(false);
  });

  test('because the process dies is a crash that tells what it said last', async () => {
    const { id } = await fake('fake.die-early=7');
    const error = await failureOf(h.call('vm.start', { id }));
    expect(error).toMatchObject({ kind: 'vm-crashed', message: expect.stringContaining('ended with code 7') });
    expect(error.dto.context).toMatchObject({ code: 7, output: 'fake early failure' });
    expect(await h.get(id)).toMatchObject({ state: 'crashed', problem: { kind: 'vm-crashed' } });
    expect(h.client.states(id)).toEqual(['off', 'starting', 'crashed']);
  });
});

describe('a crash', () => {
  test.each(['SIGKILL', 'SIGSEGV', 'SIGTERM'] as const)(
    'by %s is told with the signal, harms no other, and can be started again',
    async (signal) => {
      const victim = await started();
      const other = await started();
      process.kill(processOf(victim), signal);
      const vm = await h.reaches(victim.id, 'crashed');
      expect(vm.problem).toMatchObject({ kind: 'vm-crashed', message: expect.stringContaining(`ended by ${signal}`), context: { signal } });
      expect(vm.problem!.fix).toMatch(signal === 'SIGKILL' ? /less memory, then start it again/ : /^Start the machine again/);
      expect(vm.display).toBeNull();
      expect((await h.get(other.id)).state).toBe('running');
      expect((await h.call('vm.pause', { id: other.id })).state).toBe('paused');
      const log = await h.call('vm.log', { id: victim.id, lines: 5 });
      expect(log.some(({ level, message }) => level === 'error' && message.includes(signal))).toBe(true);
      expect(await h.call('vm.start', { id: victim.id })).toMatchObject({ state: 'running', problem: null });
      for (const { id } of [victim, other]) await h.call('vm.forceOff', { id });
    },
  );

  test('right after the start is told with code and last output', async () => {
    const { id } = await started('fake.die=3');
    const vm = await h.reaches(id, 'crashed');
    expect(vm.problem!.message).toContain('ended with code 3');
    expect(vm.problem!.context.output).toBe('fake failure\nit broke here');
    await eventually(
      () => h.call('vm.log', { id, lines: 20 }),
      (log) => log.some(({ scope, message }) => scope === 'process' && message === 'it broke here'),
    );
  });

  test('ends calls under way with its reason, at once', async () => {
    const vm = await started('fake.deaf');
    const calls = [failureOf(h.call('vm.pause', { id: vm.id })), failureOf(h.call('vm.screenshot', { id: vm.id }))];
    process.kill(processOf(vm), 'SIGKILL');
    for (const call of calls) expect((await call).message).toContain('SIGKILL');
    await h.reaches(vm.id, 'crashed');
  });
});

test('a machine that hears nothing any more is killed by force off', async () => {
  const vm = await started('fake.deaf');
  const pid = processOf(vm);
  const before = Date.now();
  expect((await h.call('vm.forceOff', { id: vm.id })).state).toBe('off');
  expect(alive(pid)).toBe(false);
  // Not before it had its chance to flush its disks.
  expect(Date.now() - before).toBeGreaterThan(750);
  expect(await h.get(vm.id)).toMatchObject({ state: 'off', problem: null });
});

test('eight machines run at once, each for itself', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => fake()));
  const running = await Promise.all(all.map(({ id }) => h.call('vm.start', { id })));
  expect(running.map(({ state }) => state)).toEqual(Array(8).fill('running'));
  expect(new Set(running.map(processOf)).size).toBe(8);
  await Promise.all(running.map(({ id, name }) => h.call('vm.typeText', { id, text: `I am ${name}`, delayMs: 0 })));
  for (const { id, name } of running) expect((await h.call('vm.screenText', { id }))!.rows[1]).toBe(`I am ${name}`);
  // Another test that failed may have left machines of its own.
  const still = () => h.manager.running().filter((machine) => all.some(({ id }) => id === machine.id));
  expect(still()).toHaveLength(8);
  process.kill(processOf(running[3]!), 'SIGKILL');
  await h.reaches(running[3]!.id, 'crashed');
  expect(still()).toHaveLength(7);
  await Promise.all(running.filter((_, index) => index !== 3).map(({ id }) => h.call('vm.forceOff', { id })));
  expect(still()).toEqual([]);
}, 60_000);

describe('pictures', () => {
  test('come with a new version when they change, and outlive the machine and the manager', async () => {
    const own = await Harness.open();
    try {
      const { id } = await own.fake('Seen');
      expect(await own.call('vm.thumbnail', { id })).toEqual({ version: 0, png: null });
      await own.call('vm.start', { id });
      const first = await own.call('vm.thumbnail', { id });
      expect(Buffer.from(first.png!, 'base64').subarray(1, 4).toString()).toBe('PNG');
      expect((await own.call('vm.thumbnail', { id })).version).toBe(first.version);
      await own.call('vm.typeText', { id, text: 'x', delayMs: 0 });
      const second = await own.call('vm.thumbnail', { id });
      expect(second.version).toBe(first.version + 1);
      expect(second.png).not.toBe(first.png);
      expect((await own.get(id)).thumbnailVersion).toBe(second.version);
      const shot = await own.call('vm.screenshot', { id });
      expect([shot.width, shot.height]).toEqual([720, 400]);
      await own.call('vm.forceOff', { id });
      expect((await own.call('vm.thumbnail', { id })).png).toBe(second.png);
      await own.reopen();
      expect((await own.call('vm.thumbnail', { id })).png).toBe(second.png);
      // Nobody looked in between: the machine itself leaves its last picture.
      await own.call('vm.start', { id });
      await own.call('vm.typeText', { id, text: 'yyy', delayMs: 0 });
      await own.call('vm.shutdown', { id });
      await own.reaches(id, 'off');
      const last = (await own.call('vm.thumbnail', { id })).png;
      expect(last).not.toBe(second.png);
      await own.reopen();
      expect((await own.call('vm.thumbnail', { id })).png).toBe(last);
    } finally {
      await own.close();
    }
  });

  test('are taken by themselves while a client looks', async () => {
    const { id } = await started();
    await eventually(
      () => h.client.seen,
      (seen) =>
        seen.some(
          ({ event, payload }) => event === 'vm.changed' && (payload as VmSummary).id === id && (payload as VmSummary).thumbnailVersion > 0,
        ),
    );
    await h.call('vm.forceOff', { id });
  });
});

describe('input', () => {
  test('is typed, pressed and cancelled', async () => {
    const { id } = await started();
    await h.call('vm.typeText', { id, text: 'root', delayMs: 0 });
    await h.call('vm.sendKeys', { id, keys: ['ctrl', 'alt', 'delete'] });
    expect((await h.call('vm.screenText', { id }))!.rows[1]).toBe('root<ctrl+alt+delete>');
    const typing = failureOf(h.call('vm.typeText', { id, text: 'x'.repeat(1000), delayMs: 500 }));
    await eventually(
      () => h.call('vm.screenText', { id }),
      (screen) => screen!.rows[1]!.endsWith('>x'),
    );
    await h.call('vm.cancelTyping', { id });
    expect((await typing).kind).toBe('cancelled');
    await h.call('vm.forceOff', { id });
  });
});

describe('media', () => {
  test('change while the machine runs and while it is off; the locks follow', async () => {
    const [one, two] = ['one.iso', 'two.iso'].map((name) => h.medium(name, isoImage({ label: name })));
    const { id } = await started();
    const before = h.lockFiles().length;
    const insert = (file: string | null) => h.call('vm.changeMedium', { id, drive: 'ide2', path: file });
    expect((await insert(one!)).config!.drives.find((drive) => drive.id === 'ide2')!.path).toBe(one);
    expect(h.lockFiles()).toHaveLength(before + 1);
    await insert(two!);
    expect(h.lockFiles()).toHaveLength(before + 1);
    // Several at once leave one medium and one lock.
    await Promise.all([insert(one!), insert(two!), insert(one!)]);
    expect((await h.get(id)).config!.drives.find((drive) => drive.id === 'ide2')!.path).toBe(one);
    expect(h.lockFiles()).toHaveLength(before + 1);
    await insert(null);
    expect(h.lockFiles()).toHaveLength(before);
    await insert(two!);
    await h.call('vm.forceOff', { id });
    expect(h.lockFiles()).toHaveLength(before);
    await insert(one!);
    expect(h.lockFiles()).toHaveLength(before);
    const log = await h.call('vm.log', { id, lines: 50 });
    expect(log.map(({ message }) => message)).toContain(`ide2: ${two}`);
  });

  test('that are wrong are refused, and the old one stays', async () => {
    const good = h.medium('good.iso', isoImage());
    const bad = h.medium('bad.img', rawImage(1024 * 1024));
    const { id } = await started();
    const insert = (drive: 'ide0' | 'ide2', file: string | null) => h.call('vm.changeMedium', { id, drive, path: file });
    await insert('ide2', good);
    expect((await failureOf(insert('ide2', bad))).kind).toBe('invalid-argument');
    expect((await failureOf(insert('ide2', path.join(h.media, 'none.iso')))).kind).toBe('not-found');
    expect((await failureOf(insert('ide2', '../../x'))).kind).toBe('invalid-argument');
    expect((await failureOf(insert('ide0', good))).kind).toBe('not-found');
    expect((await h.get(id)).config!.drives.find((drive) => drive.id === 'ide2')!.path).toBe(good);
    await h.call('vm.forceOff', { id });
  });

  test('of a hard disk do not change', async () => {
    const { id } = await h.create('Disk', { newDisk: { sizeBytes: 1024 * 1024 } });
    expect((await failureOf(h.call('vm.changeMedium', { id, drive: 'ide0', path: null }))).kind).toBe('unsupported');
  });
});

describe('the log', () => {
  test('of a chatty machine stays bounded, in memory and on disk', async () => {
    const { id, folder } = await started('fake.chatty');
    const log = await eventually(
      () => h.call('vm.log', { id, lines: 10_000 }),
      (entries) => entries.some(({ message }) => message === 'entry 4999'),
    );
    expect(log.length).toBeLessThanOrEqual(2000);
    await h.call('vm.forceOff', { id });
    expect(statSync(path.join(folder, 'log')).size).toBeLessThanOrEqual(1024 * 1024);
    expect(await h.call('vm.log', { id, lines: 1 })).toMatchObject([{ message: 'off' }]);
  });
});

describe('channels', () => {
  test('carry bytes both ways and end with the machine', async () => {
    const { id } = await started();
    const channel = await h.manager.openChannel(id, 'serial0');
    let received = '';
    let closed = false;
    channel.onData((bytes) => {
      received += Buffer.from(bytes).toString();
    });
    channel.onClose(() => {
      closed = true;
    });
    channel.send(Buffer.from('hello'));
    await eventually(
      () => received,
      (text) => text === 'fake serial\r\nhello',
    );
    await h.call('vm.forceOff', { id });
    await eventually(
      () => closed,
      (value) => value,
    );
    await expect(h.manager.openChannel(id, 'rfb')).rejects.toMatchObject({ kind: 'invalid-state' });
  });
});

describe('clients', () => {
  test('all get the same events; one that is gone or broken disturbs nobody', async () => {
    const clients = [h.connect(), h.connect(), h.connect()];
    clients[1]!.close();
    const [, broken] = memoryLine();
    broken.send = () => {
      throw new Error('the line is broken');
    };
    h.manager.connect(broken);
    const [asking, brokenToo] = memoryLine();
    brokenToo.send = broken.send;
    h.manager.connect(brokenToo);
    // Its answer can't be sent either, which must not end the manager.
    asking.send({ type: 'call', id: 1, method: 'vm.list', params: {} });
    const { id } = await started();
    await h.call('vm.forceOff', { id });
    const expected = h.client.states(id);
    expect(expected.at(-1)).toBe('off');
    for (const client of [clients[0]!, clients[2]!])
      await eventually(
        () => client.states(id),
        (states) => JSON.stringify(states) === JSON.stringify(expected),
      );
    expect(clients[1]!.states(id)).toEqual([]);
    const logged = clients[0]!.seen.filter(({ event, payload }) => event === 'vm.logged' && (payload as { id: string }).id === id);
    expect(logged.map(({ payload }) => (payload as { entry: LogEntry }).entry.message)).toContain('running');
  });

  test('that send garbage get an error or nothing, and everybody goes on', async () => {
    const [mine, theirs] = memoryLine();
    h.manager.connect(theirs);
    const answers: { id?: unknown; type?: unknown; error?: { kind: string; message: string } }[] = [];
    mine.onMessage((message) => {
      const answer = message as (typeof answers)[number];
      if (answer.type !== 'event') answers.push(answer);
    });
    const send = (message: unknown) => mine.send(message as WireMessage);
    for (const garbage of [null, undefined, 0, 'call', [], {}, { type: 'call' }, { type: 'call', id: '1', method: 'vm.list', params: {} }])
      send(garbage);
    for (const message of [
      { type: 'result', id: 1, result: 1 },
      { type: 'event', event: 'vm.changed', payload: {} },
      new Map(),
      Buffer.alloc(9),
    ])
      send(message);
    let id = 0;
    const wrong: [unknown, unknown, string][] = [
      ['vm.unknown', {}, 'unsupported'],
      ['__proto__', {}, 'unsupported'],
      ['constructor', {}, 'unsupported'],
      [{}, {}, 'unsupported'],
      [undefined, {}, 'unsupported'],
      ['vm.list', null, 'invalid-argument'],
      ['vm.start', {}, 'invalid-argument'],
      ['vm.start', { id: 7 }, 'invalid-argument'],
      ['vm.start', { id: 'x'.repeat(65) }, 'invalid-argument'],
      ['vm.start', { id: '../../x' }, 'not-found'],
      ['vm.create', { name: 'x', memoryMiB: Number.NaN, source: { type: 'blank' }, newDisk: null }, 'invalid-argument'],
      ['vm.create', { name: 'x', memoryMiB: 32, source: { type: 'url', path: 'x' }, newDisk: null }, 'invalid-argument'],
      ['vm.create', { name: 'x', memoryMiB: 32, source: { type: 'iso', path: '/a\0b' }, newDisk: null }, 'invalid-argument'],
      ['vm.create', { name: 'x', memoryMiB: 32, source: { type: 'blank' }, newDisk: { sizeBytes: 1e300 } }, 'invalid-argument'],
      ['vm.update', { id: 'x', patch: { memoryMiB: '1' } }, 'invalid-argument'],
      ['settings.set', { theme: 'pink' }, 'invalid-argument'],
      ['host.browse', { path: 'x'.repeat(5000) }, 'invalid-argument'],
      ['task.cancel', { id: 'x' }, 'not-found'],
    ];
    for (const [method, params] of wrong) send({ type: 'call', id: ++id, method, params });
    send({ type: 'call', id: 1000, method: 'vm.list', params: {} });
    await eventually(
      () => answers,
      (all) => all.length === wrong.length + 1,
    );
    wrong.forEach(([method, , kind], index) => {
      const answer = answers.find((one) => one.id === index + 1);
      expect(answer?.error?.kind, String(method)).toBe(kind);
      expect(answer!.error!.message).toBeTruthy();
    });
    expect(answers.find((one) => one.id === 1000)?.type).toBe('result');
    expect((await h.call('vm.list', {})).length).toBeGreaterThan(0);
  });

  test('that ask too much at once are refused, and served afterwards', async () => {
    const client = h.connect();
    const results = await Promise.allSettled(Array.from({ length: 400 }, () => client.call('vm.list', {})));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason.kind).toBe('resource-limit');
    expect(await client.call('vm.list', {})).toBeInstanceOf(Array);
    client.close();
  });

  test('have a handler for every method', () => {
    expect(Object.keys(h.manager.handlers).sort()).toEqual(Object.keys(methods).sort());
  });
});

test('closing the manager ends every machine, also one that is starting, and leaves no lock', async () => {
  const own = await Harness.open();
  const running = await own.fake('Running');
  const hanging = await own.fake('Hanging', 'fake.hang');
  await own.call('vm.start', { id: running.id });
  const pid = processOf(running);
  const starting = failureOf(own.call('vm.start', { id: hanging.id }));
  await own.reaches(hanging.id, 'starting');
  expect(await own.manager.close()).toEqual([]);
  expect((await starting).kind).toBe('cancelled');
  expect(alive(pid)).toBe(false);
  for (const { folder } of [running, hanging]) expect(() => statSync(path.join(folder, '.lock'))).toThrow('ENOENT');
  expect((await failureOf(own.call('vm.start', { id: running.id }))).message).toContain('quitting');
  await own.close();
});

test('settings survive, one change at a time, and a broken file is set aside', async () => {
  const own = await Harness.open();
  try {
    await Promise.all([own.call('settings.set', { theme: 'dark' }), own.call('settings.set', { language: 'zh-CN' })]);
    await own.reopen();
    expect(await own.call('settings.get', {})).toMatchObject({ theme: 'dark', language: 'zh-CN', defaultMemoryMiB: 512 });
    const file = path.join(own.root, 'config', 'settings.json');
    writeFileSync(file, '{ "theme": ');
    await own.reopen();
    expect(await own.call('settings.get', {})).toMatchObject({ theme: 'system' });
    expect(readFileSync(`${file}.unreadable`, 'utf8')).toBe('{ "theme": ');
    await own.call('settings.set', { theme: 'light' });
    await eventually(
      () => own.client.seen,
      (seen) => seen.some(({ event, payload }) => event === 'settings.changed' && (payload as { theme: string }).theme === 'light'),
    );
  } finally {
    await own.close();
  }
});
