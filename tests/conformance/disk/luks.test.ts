import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Qcow2Image } from '../../../core/disk/qcow2/image.ts';
import { createDisk } from '../../../core/platform/creatediskfile.ts';
import { openImage } from '../../../core/platform/openimage.ts';
import { CbcCipher, XtsCipher } from '../../../core/platform/sectorciphers.ts';
import { qemuImg, scratch } from './support/qemu.ts';
import { DiskModel, randomNumbers } from './support/randomdisk.ts';
import { createCipheriv } from 'node:crypto';

const MIB = 1 << 20;
const PASSPHRASE = 'correct horse';
const SECRET = ['--object', `secret,id=s0,data=${PASSPHRASE}`];
const spec = (file: string, format = 'luks') => `driver=qcow2,encrypt.key-secret=s0,encrypt.format=${format},file.filename=${file}`;

const open = async (file: string, readOnly = false, passphrase: string | undefined = PASSPHRASE) =>
  (await openImage(file, { readOnly, format: 'qcow2', passphrase })) as Qcow2Image;

it('AES-XTS gives what the library gives', () => {
  for (const bytes of [32, 64]) {
    const key = Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 37 + 5) & 0xff));
    const data = Buffer.from(Array.from({ length: 512 * 3 }, (_, i) => (i * 11) & 0xff));
    for (const sector of [0, 1, 4095, 2 ** 33 + 7]) {
      const want = Buffer.alloc(data.length);
      for (let i = 0; i < 3; i++) {
        const iv = Buffer.alloc(16);
        iv.writeBigUInt64LE(BigInt(sector + i));
        createCipheriv(`aes-${bytes * 4}-xts`, key, iv)
          .update(data.subarray(i * 512, i * 512 + 512))
          .copy(want, i * 512);
      }
      const cipher = new XtsCipher(key);
      const got = Buffer.from(data);
      cipher.encrypt(sector, got);
      expect(got.equals(want)).toBe(true);
      // Not aligned in memory.
      const odd = new Uint8Array(got.length + 1).subarray(1);
      odd.set(got);
      cipher.decrypt(sector, odd);
      expect(Buffer.compare(odd, data)).toBe(0);
    }
  }
  const cbc = new CbcCipher(Buffer.alloc(32, 3), 'essiv:sha256');
  const data = Buffer.alloc(1024, 9);
  cbc.encrypt(5, data);
  expect(data.subarray(0, 512).equals(data.subarray(512))).toBe(false);
  cbc.decrypt(5, data);
  expect(data.equals(Buffer.alloc(1024, 9))).toBe(true);
});

it('qemu-img reads encrypted images of ours after random operations, and finds them sound', async () => {
  const folder = scratch();
  for (const [i, options] of [{}, { clusterSize: 4096 }, { extendedL2: true, clusterSize: 16384 }].entries()) {
    const file = path.join(folder, `${i}.qcow2`);
    const size = 4 * MIB;
    await createDisk(file, { format: 'qcow2', sizeBytes: size, passphrase: PASSPHRASE, luksIterations: 1000, ...options });
    const model = new DiskModel(new Uint8Array(size), randomNumbers(i + 3));
    for (let round = 0; round < 2; round++) {
      const image = await open(file);
      for (let n = 0; n < 40; n++) await model.step(image);
      await model.compare(image, 0, size);
      await image.close();
    }
    const raw = path.join(folder, 'want.raw');
    writeFileSync(raw, model.bytes);
    const args = [...SECRET, '--image-opts', spec(file), `driver=raw,file.filename=${raw}`];
    expect(qemuImg('compare', ...args)).toContain('identical');
    const check = spawnSync('qemu-img', ['check', ...SECRET, '--image-opts', spec(file)], { encoding: 'utf8' });
    expect(check.stdout + check.stderr).toContain('No errors were found');
  }
});

it('reads and goes on with encrypted images of qemu-img, in every mode that it makes', async () => {
  const folder = scratch();
  const modes: string[] = [
    'encrypt.cipher-alg=aes-256,encrypt.cipher-mode=xts,encrypt.ivgen-alg=plain64,encrypt.hash-alg=sha256',
    'encrypt.cipher-alg=aes-128,encrypt.cipher-mode=xts,encrypt.ivgen-alg=plain64,encrypt.hash-alg=sha1',
    'encrypt.cipher-alg=aes-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256,encrypt.hash-alg=sha512',
    'encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=plain,encrypt.hash-alg=sha256',
  ];
  // `test:long` goes through all of them.
  const some = process.env.HYPERVUE_DISK_SEEDS ? modes : [modes[0]!, modes[2]!];
  for (const [i, mode] of some.entries()) {
    const file = path.join(folder, `${i}.qcow2`);
    qemuImg('create', ...SECRET, '-f', 'qcow2', '-o', `encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10,${mode}`, file, '4M');
    const io = spawnSync(
      'qemu-io',
      [...SECRET, '--image-opts', spec(file), '-c', 'write -P 7 65536 131072', '-c', 'write -P 9 3145728 512'],
      { encoding: 'utf8' },
    );
    expect(io.status, io.stdout + io.stderr).toBe(0);
    const image = await open(file);
    const model = new DiskModel(new Uint8Array(4 * MIB).fill(7, 65536, 196608).fill(9, 3145728, 3145728 + 512), randomNumbers(i + 9));
    await model.compare(image, 0, 4 * MIB);
    for (let n = 0; n < 20; n++) await model.step(image);
    await image.close();
    const raw = path.join(folder, 'want.raw');
    writeFileSync(raw, model.bytes);
    expect(qemuImg('compare', ...SECRET, '--image-opts', spec(file), `driver=raw,file.filename=${raw}`)).toContain('identical');
    await expect(open(file, true, 'wrong')).rejects.toMatchObject({
      kind: 'unauthorized',
      message: expect.stringContaining('does not open'),
    });
    await expect(openImage(file, { readOnly: true })).rejects.toMatchObject({
      kind: 'unauthorized',
      message: expect.stringContaining('is encrypted'),
    });
  }
});

it('puts nothing plain on top of an encrypted image', async () => {
  const folder = scratch();
  const at = (name: string) => path.join(folder, name);
  await createDisk(at('base.qcow2'), { format: 'qcow2', sizeBytes: MIB, passphrase: PASSPHRASE, luksIterations: 1000 });
  const overlay = { format: 'qcow2', sizeBytes: MIB, backingFile: 'base.qcow2', backingFormat: 'qcow2', luksIterations: 1000 } as const;
  await expect(createDisk(at('top.qcow2'), overlay)).rejects.toMatchObject({ kind: 'unauthorized' });
  await createDisk(at('top.qcow2'), { ...overlay, passphrase: PASSPHRASE });
  const image = await open(at('top.qcow2'));
  await image.write(0, new Uint8Array(65536).fill(0x41));
  await image.close();
  expect(readFileSync(at('top.qcow2')).includes('AAAAAAAA')).toBe(false);
});

it('reads images with the AES encryption of old QEMU versions', async () => {
  const folder = scratch();
  const file = path.join(folder, 'a.qcow2');
  qemuImg('create', ...SECRET, '-f', 'qcow2', '-o', 'encrypt.format=aes,encrypt.key-secret=s0', file, '4M');
  const io = spawnSync(
    'qemu-io',
    [...SECRET, '--image-opts', spec(file, 'aes'), '-c', 'write -P 7 65536 131072', '-c', 'write -P 5 1048576 4096'],
    { encoding: 'utf8' },
  );
  expect(io.status, io.stdout + io.stderr).toBe(0);
  await expect(open(file)).rejects.toMatchObject({ kind: 'unsupported' });
  const image = await open(file, true);
  const model = new DiskModel(new Uint8Array(4 * MIB).fill(7, 65536, 196608).fill(5, MIB, MIB + 4096), randomNumbers(1));
  await model.compare(image, 0, 4 * MIB);
  await image.close();
});
