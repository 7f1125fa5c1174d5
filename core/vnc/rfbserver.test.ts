import { describe, expect, it } from 'vitest';
import { createRfbPlatform } from '../platform/rfbplatform.ts';
import { nullLogger } from '../util/logger.ts';
import { vncKey } from './handshake.ts';
import * as P from './protocol.ts';
import { RfbServer } from './rfbserver.ts';
import { FakeInput, FakeSource } from './testing/fakesource.ts';
import { PipeEnd } from './testing/pipe.ts';
import { RfbClient, type RfbClientOptions } from './testing/rfbclient.ts';

function setUp(width = 200, height = 150) {
  const source = new FakeSource(width, height);
  const input = new FakeInput();
  const platform = createRfbPlatform();
  const wishes: string[] = [];
  const display = { can: true };
  const resize = (width: number, height: number) => display.can && wishes.push(`${width}x${height}`) > 0;
  const server = new RfbServer({ source, input, name: 'test machine', platform, log: nullLogger, resize });
  const open = async (options: RfbClientOptions = {}, password?: string, highWater?: number) => {
    const [near, far] = PipeEnd.pair(highWater);
    server.accept(near, password === undefined ? {} : { password });
    const client = new RfbClient(far, options);
    await client.connect();
    return { client, near, far };
  };
  return { source, input, platform, server, wishes, display, open };
}

/** A deterministic stream of numbers, so that a failure repeats. */
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('RFB encodings show exactly the picture', () => {
  const patterns: [string, (next: (below: number) => number) => (x: number, y: number) => number][] = [
    ['one colour', () => () => 0x123456],
    ['two colours', () => (x, y) => ((x ^ y) & 4 ? 0xffffff : 0x000080)],
    ['text-like', () => (x, y) => ((x * 7 + y * 13) % 11 < 3 ? 0xc0c0c0 : 0)],
    ['sixteen colours', () => (x, y) => (((x >> 3) ^ (y >> 2)) % 16) * 0x0f0f0f],
    ['a hundred colours', () => (x, y) => (((x >> 1) + (y >> 1) * 3) % 100) * 0x020304],
    ['noise', (next) => () => next(0x1000000)],
    ['gradient', () => (x, y) => (x << 16) | (y << 8) | ((x + y) & 0xff)],
  ];
  for (const [encodingName, encoding] of [
    ['Raw', P.ENCODING_RAW],
    ['Hextile', P.ENCODING_HEXTILE],
    ['ZRLE', P.ENCODING_ZRLE],
    ['Tight', P.ENCODING_TIGHT],
  ] as const)
    it(`${encodingName}: every kind of picture, whole and in parts`, async () => {
      const { source, open } = setUp();
      const { client } = await open({ encodings: [encoding] });
      const next = random(7);
      client.request(false);
      await client.update();
      for (const [name, pattern] of patterns) {
        source.paint({ x: 0, y: 0, width: source.width, height: source.height }, pattern(next));
        client.request(true);
        await client.update();
        expect(client.pixels, name).toEqual(source.pixels);
        for (let i = 0; i < 6; i++) {
          const x = next(190);
          const y = next(140);
          source.paint({ x, y, width: 1 + next(200 - x), height: 1 + next(150 - y) }, pattern(next));
          client.request(true);
          await client.update();
          expect(client.pixels, `${name}, part ${i}`).toEqual(source.pixels);
        }
      }
      expect(client.seen.get(encoding)).toBeGreaterThan(40);
    });

  it('sends only what changed', async () => {
    const { source, open } = setUp(1024, 768);
    const { client } = await open({ encodings: [P.ENCODING_RAW] });
    client.request(false);
    await client.update();
    const before = client.bytes;
    source.paint({ x: 500, y: 300, width: 3, height: 3 }, () => 0xff0000);
    client.request(true);
    await client.update();
    expect(client.bytes - before).toBeLessThan(1024 * 4 + 100);
    expect(client.pixels).toEqual(source.pixels);
  });

  it('uses CopyRect for scrolling text, and the picture stays exact', async () => {
    const { source, open } = setUp(640, 400);
    const { client } = await open({ encodings: [P.ENCODING_COPYRECT, P.ENCODING_ZRLE] });
    const next = random(3);
    source.paint({ x: 0, y: 0, width: 640, height: 400 }, () => (next(5) ? 0 : 0xaaaaaa));
    client.request(false);
    await client.update();
    for (let i = 0; i < 5; i++) {
      source.scrollUp(16, () => (next(5) ? 0 : 0xaaaaaa));
      client.request(true);
      await client.update();
      expect(client.pixels).toEqual(source.pixels);
    }
    expect(client.seen.get(P.ENCODING_COPYRECT)).toBe(5);
  });

  it('sends photographs as JPEG only when the client names a quality', async () => {
    const { source, open } = setUp(256, 256);
    const noise = random(5);
    for (const [encodings, jpeg] of [
      [[P.ENCODING_TIGHT], false],
      [[P.ENCODING_TIGHT, P.PSEUDO_JPEG_QUALITY_0 + 6], true],
    ] as const) {
      const { client } = await open({ encodings });
      source.paint({ x: 0, y: 0, width: 256, height: 256 }, () => noise(0x1000000));
      client.request(false);
      await client.update();
      expect(client.jpegs > 0).toBe(jpeg);
    }
  });
});

describe('RFB handshake', () => {
  for (const version of ['3', '7', '8'] as const)
    it(`serves protocol 3.${version} without and with a password`, async () => {
      const { open, platform, server } = setUp();
      const { client } = await open({ version });
      expect(client.name).toBe('test machine');
      expect(server.viewerCount).toBe(1);
      await open({ version, respond: (challenge) => platform.desEncrypt(vncKey('secret'), challenge) }, 'secret');
      expect(server.viewerCount).toBe(2);
    });

  it('refuses a wrong password with a reason and stays up', async () => {
    const { open, platform, server } = setUp();
    await expect(open({ respond: (challenge) => platform.desEncrypt(vncKey('wrong'), challenge) }, 'secret')).rejects.toThrow(
      /the password is wrong/,
    );
    expect(server.viewerCount).toBe(0);
  });

  it('encrypts the challenge as single DES does (NIST SP 800-17, variable plaintext)', () => {
    const { platform } = setUp();
    const out = platform.desEncrypt(
      Uint8Array.from({ length: 8 }, () => 1),
      Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0),
    );
    expect(Buffer.from(out).toString('hex')).toBe('95f8a5e5dd31d900');
  });

  it('lets an exclusive viewer push out the others', async () => {
    const { open, server } = setUp();
    const first = await open();
    await open({ shared: false });
    await new Promise((resolve) => setImmediate(resolve));
    expect(first.far.closed).toBe(true);
    expect(server.viewerCount).toBe(1);
  });
});

describe('RFB extensions', () => {
  it('follows a resize with DesktopSize and with ExtendedDesktopSize', async () => {
    for (const pseudo of [P.PSEUDO_DESKTOP_SIZE, P.PSEUDO_EXTENDED_DESKTOP_SIZE]) {
      const { source, open } = setUp();
      const { client } = await open({ encodings: [P.ENCODING_RAW, pseudo] });
      client.request(false);
      await client.update();
      source.resize(320, 100);
      client.request(true);
      await client.update();
      expect([client.width, client.height]).toEqual([320, 100]);
      source.paint({ x: 0, y: 0, width: 320, height: 100 }, (x, y) => x * y);
      client.request(true);
      await client.update();
      expect(client.pixels).toEqual(source.pixels);
    }
  });

  it('never reads outside the picture for a client that cannot resize', async () => {
    const { source, open } = setUp(300, 200);
    const { client } = await open({ encodings: [P.ENCODING_RAW] });
    client.request(false);
    await client.update();
    source.resize(100, 50);
    source.paint({ x: 0, y: 0, width: 100, height: 50 }, () => 5);
    client.request(false);
    await client.update();
    expect(client.pixels[0]).toBe(5);
  });

  it('passes on a size that a viewer asks for, and says what becomes of it', async () => {
    const { source, server, wishes, display, open } = setUp();
    const { client, near } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_EXTENDED_DESKTOP_SIZE] });
    client.request(false);
    await client.update();
    expect(client.extendedSizes).toEqual([{ reason: 0, status: 0, width: 200, height: 150 }]);
    const ask = async (width: number, height: number) => {
      client.setDesktopSize(width, height);
      client.request(true);
      await client.update();
      return client.extendedSizes.at(-1);
    };
    expect(await ask(640, 480)).toEqual({ reason: 1, status: P.SIZE_FORWARDED, width: 200, height: 150 });
    expect(await ask(0, 480)).toMatchObject({ reason: 1, status: P.SIZE_INVALID });
    display.can = false;
    expect(await ask(800, 600)).toMatchObject({ reason: 1, status: P.SIZE_PROHIBITED });
    display.can = true;
    expect(wishes).toEqual(['640x480']);
    // The guest did it before the answer was told: both are.
    client.setDesktopSize(320, 240);
    source.resize(320, 240);
    client.request(true);
    await client.update();
    expect(client.extendedSizes.slice(-2)).toEqual([
      { reason: 0, status: 0, width: 320, height: 240 },
      { reason: 1, status: P.SIZE_FORWARDED, width: 320, height: 240 },
    ]);
    const [there, far] = PipeEnd.pair();
    server.accept(there, { viewer: { name: '', origin: 'window', limited: true } });
    const looker = new RfbClient(far, { encodings: [P.ENCODING_RAW, P.PSEUDO_EXTENDED_DESKTOP_SIZE] });
    await looker.connect();
    looker.setDesktopSize(1000, 700);
    looker.request(false);
    await looker.update();
    expect(looker.extendedSizes.at(-1)).toMatchObject({ reason: 1, status: P.SIZE_PROHIBITED });
    expect(wishes).toEqual(['640x480', '320x240']);
    // A guest that was reverted is told again, as long as who asked is there.
    server.repeatSize();
    expect(wishes).toEqual(['640x480', '320x240', '320x240']);
    near.close();
    await new Promise(setImmediate);
    server.repeatSize();
    expect(wishes).toHaveLength(3);
  });

  it('pushes continuous updates with fences, at most two ahead of the client', async () => {
    const { source, open } = setUp();
    const { client, near } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_FENCE, P.PSEUDO_CONTINUOUS_UPDATES] });
    client.enableContinuous(true);
    await client.update();
    for (let i = 0; i < 4; i++) {
      source.paint({ x: i, y: i, width: 9, height: 9 }, () => i + 1);
      await client.update();
    }
    expect(client.pixels).toEqual(source.pixels);
    expect(client.fences.length).toBeGreaterThan(2);
    expect(near.closed).toBe(false);
  });

  it('goes on where a client that got a larger picture still asks for the old part of it', async () => {
    // Whole tiles: nothing of those at the edge is left over.
    const { source, open } = setUp(208, 160);
    const { client } = await open({
      encodings: [P.ENCODING_RAW, P.PSEUDO_EXTENDED_DESKTOP_SIZE, P.PSEUDO_FENCE, P.PSEUDO_CONTINUOUS_UPDATES],
    });
    client.enableContinuous(true);
    await client.update();
    source.resize(400, 300);
    await client.update();
    expect(client.width).toBe(400);
    // What reads on answers the fences, so the server could send more, but nothing of what is left lies in that part.
    const next = client.update();
    await new Promise((resolve) => setTimeout(resolve, 100));
    source.paint({ x: 0, y: 0, width: 400, height: 300 }, (x, y) => x ^ y);
    client.enableContinuous(true);
    await next;
    while (client.pixels.some((pixel, at) => pixel !== source.pixels[at])) await client.update();
  });

  it('goes on when the picture has become larger than a client can show', async () => {
    const { source, open } = setUp(208, 160);
    const { client } = await open({ encodings: [P.ENCODING_RAW] });
    client.request(false);
    await client.update();
    source.resize(400, 300);
    client.request(true);
    await client.update();
    client.request(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    source.paint({ x: 16, y: 16, width: 16, height: 16 }, () => 0x123456);
    await client.update();
    expect(client.pixels[20 * 208 + 20]).toBe(0x123456);
  });

  it('passes keys by QEMU scan code and by keysym, and releases what a lost viewer held', async () => {
    const { input, open } = setUp();
    const { client, far } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_QEMU_KEY] });
    const qemu = Buffer.alloc(12);
    qemu[0] = P.MSG_QEMU_CLIENT;
    qemu.writeUInt16BE(1, 2);
    qemu.writeUInt32BE(0x1d, 8);
    client.send(qemu);
    const key = Buffer.alloc(8);
    key[0] = P.MSG_KEY_EVENT;
    key[1] = 1;
    key.writeUInt32BE(0x61, 4);
    client.send(key);
    await new Promise((resolve) => setImmediate(resolve));
    expect(input.log).toEqual(['down 1d', 'down 1e']);
    far.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(input.log.slice(2).sort()).toEqual(['up 1d', 'up 1e']);
  });

  it('sends motions instead of positions when the guest has a relative mouse and the client can', async () => {
    const { input, open } = setUp();
    const { client } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_QEMU_POINTER_MOTION] });
    input.setAbsolute(false);
    client.request(false);
    await client.update();
    expect(client.pointerAbsolute).toBe(false);
    const pointer = Buffer.from([P.MSG_POINTER_EVENT, 1, 0x80, 0x04, 0x7f, 0xfa]);
    client.send(pointer);
    await new Promise((resolve) => setImmediate(resolve));
    expect(input.log).toEqual(['rel 5,-5 1']);
  });

  it('sends the cursor once it has one', async () => {
    const { source, open } = setUp();
    source.setCursor({ width: 9, height: 3, hotX: 1, hotY: 1, rgba: new Uint32Array(27).fill(0xff0000ff) });
    const { client } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_CURSOR] });
    client.request(false);
    await client.update();
    expect(client.cursors).toBe(1);
  });
});

describe('RFB under bad or slow clients', () => {
  it('survives garbage of every kind', async () => {
    const { server, open } = setUp();
    const next = random(99);
    for (let i = 0; i < 300; i++) {
      const [near, far] = PipeEnd.pair();
      server.accept(near, {});
      if (i % 3) far.send(Buffer.from('RFB 003.008\n\x01\x01'));
      far.send(Uint8Array.from({ length: 1 + next(200) }, () => next(256)));
      await new Promise((resolve) => setImmediate(resolve));
      far.close();
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(server.viewerCount).toBe(0);
    const { client } = await open({ encodings: [P.ENCODING_RAW] });
    client.request(false);
    await client.update();
  });

  it('skips a huge clipboard without keeping it', async () => {
    const { open } = setUp();
    const { client } = await open({ encodings: [P.ENCODING_RAW] });
    const head = Buffer.alloc(8);
    head[0] = P.MSG_CLIENT_CUT_TEXT;
    head.writeUInt32BE(3_000_000, 4);
    client.send(head);
    for (let i = 0; i < 3; i++) client.send(new Uint8Array(1_000_000));
    client.request(false);
    await client.update();
    expect(client.updates).toBe(1);
  });

  it('holds a bounded amount for a client that stops reading, and catches up afterwards', async () => {
    const { source, open } = setUp(400, 300);
    const { client, far } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_CONTINUOUS_UPDATES] }, undefined, 100_000);
    client.enableContinuous(true);
    await client.update();
    far.paused = true;
    for (let i = 0; i < 50; i++) {
      source.paint({ x: 0, y: 0, width: 400, height: 300 }, () => i);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(far.waiting).toBeLessThan(100_000 + 400 * 300 * 4 + 10_000);
    far.resume();
    while (client.pixels[0] !== 49) await client.update();
    expect(client.pixels).toEqual(source.pixels);
  });

  it('closes a client that asks on and on without reading', async () => {
    const { open } = setUp();
    const { client, far } = await open({ encodings: [P.ENCODING_RAW, P.PSEUDO_FENCE] }, undefined, 10_000);
    far.paused = true;
    const fence = Buffer.alloc(9 + 64);
    fence[0] = P.MSG_CLIENT_FENCE;
    fence.writeUInt32BE(P.FENCE_REQUEST, 4);
    fence[8] = 64;
    for (let i = 0; i < 3000 && !far.closed; i++) {
      client.send(fence);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(far.closed).toBe(true);
    expect(far.waiting).toBeLessThan(200_000);
  });

  it('never lets a slow viewer hold up the others, whatever each of them speaks', async () => {
    const { source, open, server } = setUp(320, 200);
    const kinds = [[P.ENCODING_RAW], [P.ENCODING_ZRLE], [P.ENCODING_TIGHT, P.PSEUDO_JPEG_QUALITY_0 + 8], [P.ENCODING_HEXTILE]];
    const stopped = await Promise.all(
      kinds.map((encodings) => open({ encodings: [...encodings, P.PSEUDO_CONTINUOUS_UPDATES] }, undefined, 50_000)),
    );
    for (const { client, far } of stopped) {
      client.enableContinuous(true);
      await client.update();
      far.paused = true;
    }
    const quick = await Promise.all([[P.ENCODING_ZRLE], [P.ENCODING_TIGHT], [P.ENCODING_RAW]].map((encodings) => open({ encodings })));
    expect(server.viewerCount).toBe(7);
    const next = random(17);
    for (let i = 0; i < 25; i++) {
      const x = next(200);
      source.paint({ x, y: next(100), width: 1 + next(120), height: 1 + next(100) }, () => next(0x1000000));
      for (const { client } of quick) {
        client.request(i > 0);
        const before = performance.now();
        await client.update();
        expect(performance.now() - before).toBeLessThan(2000);
        expect(client.pixels).toEqual(source.pixels);
      }
    }
    for (const { far } of stopped) expect(far.waiting).toBeLessThan(50_000 + 320 * 200 * 4 * 2);
    // And they catch up when they read again.
    for (const { client, far } of [stopped[0]!, stopped[1]!, stopped[3]!]) {
      far.resume();
      const deadline = performance.now() + 5000;
      while (Buffer.compare(Buffer.from(client.pixels.buffer), Buffer.from(source.pixels.buffer)) && performance.now() < deadline)
        await client.update();
      expect(client.pixels).toEqual(source.pixels);
    }
  });
});

describe('RFB viewers and who may use the machine', () => {
  const press = (down: boolean) => {
    const key = Buffer.alloc(8);
    key[0] = P.MSG_KEY_EVENT;
    key[1] = down ? 1 : 0;
    key.writeUInt32BE(0x61, 4);
    return key;
  };
  const point = (buttons: number) => Buffer.from([P.MSG_POINTER_EVENT, buttons, 0, 10, 0, 20]);
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('lets keys and buttons of one through that has it alone, and lets go of what others held', async () => {
    const { server, input } = setUp();
    const join = async (key: string) => {
      const [near, far] = PipeEnd.pair();
      server.accept(near, { viewer: { name: key, origin: 'window', key } });
      const client = new RfbClient(far, {});
      await client.connect();
      return client;
    };
    const anna = await join('anna-key');
    const ben = await join('ben-key');
    await turn();
    ben.send(press(true));
    ben.send(point(1));
    await turn();
    expect(input.log).toEqual(['down 1e', 'abs 10,20 1']);
    server.desk.act('anna-key', 'hold');
    expect(input.log.slice(2)).toEqual(['up 1e', 'abs 10,20 0']);
    ben.send(press(true));
    ben.send(press(false));
    ben.send(point(1));
    await turn();
    expect(input.log).toHaveLength(4);
    anna.send(press(true));
    anna.send(press(false));
    await turn();
    expect(input.log.slice(4)).toEqual(['down 1e', 'up 1e']);
    server.desk.act('anna-key', 'share');
    ben.send(point(0));
    await turn();
    expect(input.log.slice(6)).toEqual(['abs 10,20 0']);
  });

  it('keeps our own windows when a program asks to be alone', async () => {
    const { server, open } = setUp();
    const [near, far] = PipeEnd.pair();
    server.accept(near, { viewer: { name: 'window', origin: 'window', key: 'window-key' } });
    await new RfbClient(far, {}).connect();
    const other = await open();
    await open({ shared: false });
    await turn();
    expect(other.far.closed).toBe(true);
    expect(far.closed).toBe(false);
    expect(server.desk.list().viewers.map(({ origin }) => origin)).toEqual(['window', 'vnc']);
  });
});
