import { describe, expect, it } from 'vitest';
import type { Rect } from '../../backend/display.ts';
import { VgaScanout } from '../display/scanout.ts';
import { readTextScreen } from '../display/textscreen.ts';
import { BENCH_PICTURES, Bench } from '../testing/bench.ts';
import { createVirtioVga, GpuDriver } from '../testing/gpudriver.ts';
import * as G from './gpuprotocol.ts';

const EDID_TIMING = 54;

function setUp() {
  const bench = new Bench();
  const messages: number[] = [];
  const device = createVirtioVga(bench, (data) => messages.push(data));
  const driver = new GpuDriver(device, bench);
  const screen = new VgaScanout({ memory: bench.memory.memory, now: () => 0 });
  const damage: Rect[] = [];
  screen.onDamage((rects) => damage.push(...rects));
  const pixel = (x: number, y: number) => {
    screen.refresh();
    return screen.pixels[y * screen.width + x]!;
  };
  return { bench, device, driver, screen, damage, pixel, messages };
}

/** Bytes of `count` pixels, each as these four in memory. */
function pixels(count: number, bytes: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count * 4 }, (_, at) => bytes[at & 3]!);
}

const whole = (width: number, height: number): G.GpuRect => ({ x: 0, y: 0, width, height });

/** A driver that shows resource 1 of `width` x `height`, filled with these bytes. */
function shown(width: number, height: number, bytes: readonly number[] = [0x30, 0x20, 0x10, 0]) {
  const bench = setUp();
  const { driver } = bench;
  driver.start();
  expect(driver.create(1, 2, width, height)).toBe(G.OK_NODATA);
  expect(driver.attach(1, [pixels(width * height, bytes)])).toBe(G.OK_NODATA);
  expect(driver.transfer(1, whole(width, height), 0)).toBe(G.OK_NODATA);
  expect(driver.setScanout(1, whole(width, height))).toBe(G.OK_NODATA);
  return bench;
}

describe('as a PCI function', () => {
  it('is a VGA of the VirtIO vendor, with the registers of the VGA at the start of the window of VirtIO', () => {
    const { bench, device, driver } = setUp();
    expect(device.readConfig(0, 4)).toBe(0x10501af4);
    expect(device.readConfig(8, 4) >>> 8).toBe(0x030000);
    driver.start();
    bench.out8(0x3c2, 0x67);
    // Miscellaneous output by its port in the window, and the id of the dispi interface.
    expect(bench.mmio.read(0xfe01_040c, 1)).toBe(0x67);
    expect(bench.mmio.read(0xfe01_0500, 2) & 0xfff0).toBe(0xb0c0);
    expect(driver.virtio.features()).toEqual(expect.arrayContaining([G.F_EDID, 28, 29, 32]));
    expect(driver.virtio.features()).not.toEqual(expect.arrayContaining([0]));
    expect([0, 4, 8, 12].map((at) => driver.virtio.config(at, 4))).toEqual([0, 0, 1, 0]);
  });

  it('shows video memory at BAR 0', () => {
    const { bench, driver } = setUp();
    driver.start();
    bench.memory.write32(0xfd000010, 0x12345678);
    expect(bench.memory.read32(0xfd000010)).toBe(0x12345678);
  });
});

describe('the picture', () => {
  it('is that of the VGA until a driver sets a scanout, and again after a reset', () => {
    const { bench, device, driver, screen } = setUp();
    expect(screen.mode()).toEqual({ width: 720, height: 400, text: false, resizable: false });
    driver.start();
    driver.create(1, 2, 64, 32);
    expect(screen.mode().width).toBe(720);
    driver.setScanout(1, whole(64, 32));
    expect(screen.mode()).toEqual({ width: 64, height: 32, text: false, resizable: true });
    expect(readTextScreen(bench.memory.memory)).toBeUndefined();
    screen.refresh();
    expect([screen.width, screen.height]).toEqual([64, 32]);
    driver.virtio.write(0x1014, 0, 1);
    screen.refresh();
    // A dark VGA keeps the size of what was there.
    expect(screen.mode().resizable).toBe(false);
    driver.start();
    expect(driver.flush(1, whole(1, 1))).toBe(G.ERR_INVALID_RESOURCE_ID);
    device.reset('hard');
    expect(screen.mode().resizable).toBe(false);
  });

  it('is dark while the driver has turned the scanout off', () => {
    const { driver, screen, pixel } = shown(32, 16);
    expect(pixel(3, 3)).toBe(0x102030);
    driver.setScanout(0, whole(0, 0));
    expect(pixel(3, 3)).toBe(0);
    expect(screen.mode()).toEqual({ width: 32, height: 16, text: false, resizable: true });
    driver.setScanout(1, whole(32, 16));
    expect(pixel(3, 3)).toBe(0x102030);
    expect(driver.ask(G.CMD_RESOURCE_UNREF, [1, 0])).toBe(G.OK_NODATA);
    expect(pixel(3, 3)).toBe(0);
  });

  it.each([
    [1, [1, 2, 3, 9], 0x030201],
    [2, [1, 2, 3, 9], 0x030201],
    [3, [9, 1, 2, 3], 0x010203],
    [4, [9, 1, 2, 3], 0x010203],
    [67, [1, 2, 3, 9], 0x010203],
    [68, [9, 1, 2, 3], 0x030201],
    [121, [9, 1, 2, 3], 0x030201],
    [134, [1, 2, 3, 9], 0x010203],
  ])('reads format %i', (format, bytes, colour) => {
    const { driver, pixel } = setUp();
    driver.start();
    driver.create(5, format, 8, 8);
    driver.attach(5, [pixels(64, bytes)]);
    driver.transfer(5, whole(8, 8), 0);
    driver.setScanout(5, whole(8, 8));
    expect(pixel(7, 7)).toBe(colour);
  });

  it('changes where a rectangle is transferred, from pieces of memory that lie anywhere', () => {
    const { driver, screen, damage, pixel } = setUp();
    driver.start();
    driver.create(1, 2, 100, 50);
    const picture = Uint8Array.from({ length: 100 * 50 * 4 }, (_, at) => (at & 3 ? 0 : (at >> 2) % 251));
    driver.attach(1, [picture.slice(0, 777), picture.slice(777, 5000), picture.slice(5000)]);
    driver.setScanout(1, whole(100, 50));
    screen.refresh();
    damage.length = 0;
    driver.transfer(1, { x: 10, y: 20, width: 30, height: 4 }, (20 * 100 + 10) * 4);
    expect(pixel(9, 20)).toBe(0);
    for (const [x, y] of [
      [10, 20],
      [39, 23],
    ] as const)
      expect(pixel(x, y)).toBe((y * 100 + x) % 251);
    expect(pixel(40, 23)).toBe(0);
    expect(damage).toEqual([{ x: 10, y: 20, width: 30, height: 4 }]);
    driver.transfer(1, whole(100, 50), 0);
    expect(pixel(99, 49)).toBe(4999 % 251);
  });

  it('may be a part of a resource', () => {
    const { driver, screen, pixel } = shown(64, 64);
    driver.create(2, 2, 8, 4);
    driver.attach(2, [pixels(32, [1, 0, 0, 0])]);
    driver.transfer(2, { x: 5, y: 2, width: 3, height: 2 }, 0);
    driver.setScanout(2, { x: 4, y: 2, width: 4, height: 2 });
    expect([pixel(0, 0), pixel(1, 0), pixel(3, 1)]).toEqual([0, 1, 1]);
    expect([screen.width, screen.height]).toEqual([4, 2]);
  });

  it('has the cursor in it, blended, at every edge, and what is under it again when it has moved', () => {
    const { driver, pixel, damage } = shown(40, 30, [100, 100, 100, 0]);
    driver.create(2, 2, 16, 16);
    // Half transparent red, multiplied by alpha.
    driver.attach(2, [pixels(256, [0, 0, 128, 128])]);
    driver.transfer(2, whole(16, 16), 0);
    expect(pixel(5, 5)).toBe(0x646464);
    damage.length = 0;
    driver.cursor(2, 4, 4);
    expect(pixel(4, 4)).toBe(0xb23232);
    expect(damage).toEqual([{ x: 4, y: 4, width: 16, height: 16 }]);
    driver.moveCursor(-10, -12);
    expect([pixel(4, 4), pixel(5, 3), pixel(6, 3), pixel(5, 4)]).toEqual([0x646464, 0xb23232, 0x646464, 0x646464]);
    driver.moveCursor(35, 28);
    expect([pixel(39, 29), pixel(34, 29), pixel(5, 3)]).toEqual([0xb23232, 0x646464, 0x646464]);
    driver.cursor(0, 35, 28);
    expect(pixel(39, 29)).toBe(0x646464);
  });
});

describe('the size', () => {
  it('that is preferred is told by display info, EDID and an event with an interrupt', () => {
    const { device, driver, messages } = shown(64, 32);
    expect(driver.preferred()).toEqual([1280, 800]);
    driver.interruptStatus();
    device.prefer(1001, 777);
    expect(driver.interruptStatus()).toBe(2);
    expect(driver.virtio.config(0, 4)).toBe(G.EVENT_DISPLAY);
    driver.virtio.writeConfig(4, 1, 4);
    expect(driver.virtio.config(0, 4)).toBe(0);
    expect(driver.preferred()).toEqual([1001, 777]);
    const edid = driver.request(G.CMD_GET_EDID, [0, 0]);
    expect(edid.getUint32(0, true)).toBe(G.OK_EDID);
    expect(edid.getUint32(G.HEADER_BYTES, true)).toBe(128);
    const timing = (at: number) => edid.getUint8(G.HEADER_BYTES + 8 + EDID_TIMING + at);
    expect(timing(2) | ((timing(4) >> 4) << 8)).toBe(1001);
    expect(timing(5) | ((timing(7) >> 4) << 8)).toBe(777);
    expect(messages).toEqual([]);
    driver.virtio.useMessage(2, 0xfee00000, 0x77);
    driver.virtio.write(0x1010, 2, 2);
    device.prefer(1000, 700);
    expect(messages).toEqual([0x77]);
    // The same again is no news.
    device.prefer(1000, 700);
    expect(messages).toEqual([0x77]);
  });

  it('stays within what a display can be', () => {
    const { bench, device, driver } = shown(64, 32);
    device.prefer(1, 1e9);
    expect(driver.preferred()).toEqual([640, 2160]);
    device.prefer(1e9, 0);
    expect(driver.preferred()).toEqual([3840, 480]);
    device.reset('hard');
    const again = new GpuDriver(device, bench);
    again.start();
    expect(again.preferred()).toEqual([3840, 480]);
  });
});

describe('what a guest may not', () => {
  it('answers with the errors of the specification', () => {
    const { driver } = shown(64, 32);
    const cases: [number, number][] = [
      [driver.ask(0x0109, [0, 0]), G.ERR_UNSPEC],
      [driver.ask(G.CMD_RESOURCE_CREATE_2D, [2]), G.ERR_UNSPEC],
      [driver.create(0, 1, 4, 4), G.ERR_INVALID_RESOURCE_ID],
      [driver.create(1, 1, 4, 4), G.ERR_INVALID_RESOURCE_ID],
      [driver.create(2, 5, 4, 4), G.ERR_INVALID_PARAMETER],
      [driver.create(2, 1, 0, 4), G.ERR_INVALID_PARAMETER],
      [driver.create(2, 1, 0xffffffff, 0xffffffff), G.ERR_INVALID_PARAMETER],
      [driver.create(2, 1, 16_384, 16_384), G.ERR_OUT_OF_MEMORY],
      [driver.setScanout(9, whole(1, 1)), G.ERR_INVALID_RESOURCE_ID],
      [driver.setScanout(1, whole(64, 32), 1), G.ERR_INVALID_SCANOUT_ID],
      [driver.setScanout(1, whole(65, 32)), G.ERR_INVALID_PARAMETER],
      [driver.setScanout(1, { x: 0xffffffff, y: 0, width: 2, height: 1 }), G.ERR_INVALID_PARAMETER],
      [driver.setScanout(1, whole(0, 1)), G.ERR_INVALID_PARAMETER],
      [driver.flush(1, whole(64, 33)), G.ERR_INVALID_PARAMETER],
      [driver.transfer(1, { x: 1, y: 0, width: 64, height: 1 }, 0), G.ERR_INVALID_PARAMETER],
      [driver.attachAt(1, [[0, 4096]]), G.ERR_UNSPEC],
      [driver.ask(G.CMD_RESOURCE_ATTACH_BACKING, [1, 100_000]), G.ERR_INVALID_PARAMETER],
      [driver.ask(G.CMD_RESOURCE_ATTACH_BACKING, [1, 2], new Uint8Array(16)), G.ERR_INVALID_PARAMETER],
      [driver.ask(G.CMD_RESOURCE_DETACH_BACKING, [1, 0]), G.OK_NODATA],
      [driver.ask(G.CMD_RESOURCE_DETACH_BACKING, [1, 0]), G.ERR_UNSPEC],
      [driver.transfer(1, whole(4, 4), 0), G.ERR_UNSPEC],
      [driver.ask(G.CMD_GET_EDID, [1, 0]), G.ERR_INVALID_PARAMETER],
    ];
    for (const [got, wanted] of cases) expect(got.toString(16)).toBe(wanted.toString(16));
  });

  it('gives memory for so many pictures and no more, and takes it back', () => {
    const { driver } = setUp();
    driver.start();
    // 4 MiB.
    for (let id = 1; id <= 4; id++) expect(driver.create(id, 1, 512, 512)).toBe(G.OK_NODATA);
    expect(driver.create(5, 1, 1, 1)).toBe(G.ERR_OUT_OF_MEMORY);
    driver.ask(G.CMD_RESOURCE_UNREF, [2, 0]);
    expect(driver.create(5, 1, 512, 256)).toBe(G.OK_NODATA);
    expect(driver.create(6, 1, 512, 256)).toBe(G.OK_NODATA);
    expect(driver.create(7, 1, 1, 1)).toBe(G.ERR_OUT_OF_MEMORY);
  });

  it('reads memory that is none as all ones, and none behind the end of what was attached', () => {
    const { driver, pixel } = setUp();
    driver.start();
    driver.create(1, 2, 8, 8);
    driver.attachAt(1, [
      [2 ** 63, 32],
      [0xfff0_0000, 64],
    ]);
    driver.setScanout(1, whole(8, 8));
    expect(driver.transfer(1, whole(8, 8), 0)).toBe(G.OK_NODATA);
    expect([pixel(0, 0), pixel(7, 2), pixel(0, 3)]).toEqual([0xffffff, 0xffffff, 0]);
    expect(driver.transfer(1, whole(8, 8), 2 ** 40)).toBe(G.OK_NODATA);
  });

  it('does much work in turns between which the guest runs', () => {
    const { bench, driver } = setUp();
    driver.virtio.size = 64;
    driver.start();
    driver.create(1, 2, 1000, 1000);
    driver.attachAt(1, [[0, 0x10_0000]]);
    const rect = new Uint8Array(G.REQUEST_BYTES);
    const view = new DataView(rect.buffer);
    view.setUint32(0, G.CMD_TRANSFER_TO_HOST_2D, true);
    view.setUint32(32, 1000, true);
    view.setUint32(36, 1000, true);
    view.setUint32(48, 1, true);
    driver.virtio.bench.memory.write(0x80000, rect);
    // The same request 40 times: 160 MB.
    driver.virtio.putDescriptor(driver.virtio.tableOf(0), 0, { gpa: 0x80000, length: rect.length }, 0, 0);
    for (let i = 0; i < 40; i++) driver.virtio.makeAvailable(0);
    driver.virtio.kick();
    let done = driver.virtio.used().length;
    expect(done).toBe(17);
    driver.virtio.kick();
    expect(driver.virtio.used().length).toBe(0);
    for (let turn = 0; turn < 2; turn++) {
      bench.clock.advance(1_000_000);
      done += driver.virtio.used().length;
    }
    expect(done).toBe(40);
  });

  it('answers a fence with what it was', () => {
    const { driver } = shown(64, 32);
    const answer = driver.request(G.CMD_RESOURCE_FLUSH, [0, 0, 1, 1, 1, 0], undefined, G.FLAG_FENCE, 77);
    expect([answer.getUint32(0, true), answer.getUint32(4, true), answer.getUint32(8, true)]).toEqual([G.OK_NODATA, 1, 77]);
  });
});

describe('a saved state', () => {
  it('holds picture, cursor and what they are filled from', () => {
    const { device, driver, pixel } = shown(64, 32);
    driver.create(2, 1, 4, 4);
    driver.cursor(2, 60, 30);
    device.prefer(900, 600);
    const state = structuredClone(device.save());
    const other = setUp();
    other.device.restore(state);
    expect(other.pixel(3, 3)).toBe(0x102030);
    expect(other.screen.mode()).toEqual({ width: 64, height: 32, text: false, resizable: true });
    expect(pixel(3, 3)).toBe(0x102030);
    expect(other.device.save()).toEqual(state);
  });

  it.each([
    ['a picture that is not there', { scanout: 99 }],
    ['a part that is not in it', { part: { x: 60, y: 0, width: 64, height: 1 } }],
    [
      'a picture beyond memory',
      { resources: [{ id: 1, format: 2, width: 64, height: 32, at: BENCH_PICTURES.size - 4096, backing: null }] },
    ],
    ['a place within a page', { resources: [{ id: 1, format: 2, width: 64, height: 32, at: 5, backing: null }] }],
    ['an unknown format', { resources: [{ id: 1, format: 99, width: 64, height: 32, at: 0, backing: null }] }],
    ['half an entry', { resources: [{ id: 1, format: 2, width: 64, height: 32, at: 0, backing: new Uint8Array(5) }] }],
    ['no pixels', { pixels: [] }],
  ])('with %s is refused', (_, patch) => {
    const { device } = shown(64, 32);
    const state = { ...device.save(), ...patch };
    expect(() => setUp().device.restore(state)).toThrow(expect.objectContaining({ kind: 'corrupt' }));
  });
});
