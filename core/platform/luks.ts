/** Opens and makes LUKS headers: from a passphrase to the cipher of the payload (LUKS specification 1.2.3, sections 3 and 4). */
import { createHash, hkdfSync, pbkdf2, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { RandomAccessFile } from '../backend/file.ts';
import type { SectorCipher } from '../disk/cipher.ts';
import { corruptImage, unsupportedImage } from '../disk/formaterrors.ts';
import { mergeStripes, splitKey } from '../disk/luks/antiforensic.ts';
import {
  DIGEST_BYTES,
  encodeLuksHeader,
  LUKS_HEADER_BYTES,
  type LuksHeader,
  parseLuksHeader,
  SALT_BYTES,
  SLOTS,
} from '../disk/luks/header.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { CbcCipher, XtsCipher } from './sectorciphers.ts';

const derive = promisify(pbkdf2);
const SECTOR = 512;
const HASHES = ['sha1', 'sha256', 'sha512'];
/** Of new headers. */
const STRIPES = 4000;
const KEY_BYTES = 64;
/** Key material begins at whole 4 KiB (section 2.2, LUKS_ALIGN_KEYSLOTS). */
const ALIGN = 8;
/** Time that a guess at the passphrase is to cost, and bounds for what that means. */
const UNLOCK_MS = 1000;
const MIN_ITERATIONS = 100_000;
const MAX_ITERATIONS = 10_000_000;
const SAMPLE_ITERATIONS = 50_000;

function cipherFor(header: Pick<LuksHeader, 'cipher' | 'mode'>, key: Uint8Array, path: string): SectorCipher {
  const { cipher, mode } = header;
  if (cipher === 'aes' && (mode === 'xts-plain64' || mode === 'xts-plain') && (key.length === 32 || key.length === 64))
    return new XtsCipher(key);
  const cbc = /^cbc-(plain|plain64|essiv:sha256)$/.exec(mode);
  if (cipher === 'aes' && cbc && [16, 24, 32].includes(key.length))
    return new CbcCipher(key, cbc[1] as 'plain' | 'plain64' | 'essiv:sha256');
  throw unsupportedImage(path, `encrypted with ${cipher}-${mode} and keys of ${key.length * 8} bits`);
}

export const wrongPassphrase = (path: string): HypervueError =>
  new HypervueError(
    'unauthorized',
    say('wrongPassphrase', { path }),
    { path, operation: 'unlock', reason: 'passphrase-wrong' },
    say('fixTryAgain'),
  );

/** The cipher of the payload whose header lies at `offset` of the file. Rejects with 'unauthorized' for a wrong passphrase. */
export async function unlockLuks(file: RandomAccessFile, offset: number, length: number, passphrase: string): Promise<SectorCipher> {
  const bytes = new Uint8Array(LUKS_HEADER_BYTES);
  await file.read(offset, bytes);
  const header = parseLuksHeader(bytes, file.path);
  if (!HASHES.includes(header.hash)) throw unsupportedImage(file.path, `encrypted with the hash ${header.hash}`);
  const hash = (data: Uint8Array) => createHash(header.hash).update(data).digest();
  for (const slot of header.slots) {
    if (!slot.active) continue;
    const material = new Uint8Array(Math.ceil((slot.stripes * header.keyBytes) / SECTOR) * SECTOR);
    if (slot.sector * SECTOR + material.length > length) throw corruptImage(file.path, say('damageSlotOutside'));
    const slotKey = await derive(passphrase, slot.salt, slot.iterations, header.keyBytes, header.hash);
    await file.read(offset + slot.sector * SECTOR, material);
    cipherFor(header, slotKey, file.path).decrypt(0, material);
    const key = mergeStripes(material, header.keyBytes, slot.stripes, hash);
    const digest = await derive(key, header.digestSalt, header.digestIterations, DIGEST_BYTES, header.hash);
    if (!timingSafeEqual(digest, header.digest)) continue;
    const cipher = cipherFor(header, key, file.path);
    cipher.deriveKey = (salt, purpose) => new Uint8Array(hkdfSync('sha256', key, salt, purpose, 32));
    return cipher;
  }
  throw wrongPassphrase(file.path);
}

/** Iterations that take about UNLOCK_MS on this computer. */
async function iterationsFor(hash: string): Promise<number> {
  const started = process.hrtime.bigint();
  await derive('sample', Buffer.alloc(SALT_BYTES), SAMPLE_ITERATIONS, KEY_BYTES, hash);
  const took = Number(process.hrtime.bigint() - started) / 1e6;
  return Math.round(Math.min(MAX_ITERATIONS, Math.max(MIN_ITERATIONS, (SAMPLE_ITERATIONS * UNLOCK_MS) / Math.max(took, 1))));
}

/** A new header with all key slots (AES-256-XTS, SHA-256), the first of which the passphrase opens. `iterations` is for tests. */
export async function makeLuksHeader(passphrase: string, options: { iterations?: number; label: string }): Promise<Uint8Array> {
  if (!passphrase) throw new HypervueError('invalid-argument', say('noPassphrase'), { path: options.label, operation: 'create' });
  const hash = 'sha256';
  const iterations = options.iterations ?? (await iterationsFor(hash));
  const key = randomBytes(KEY_BYTES);
  const sectors = Math.ceil((STRIPES * KEY_BYTES) / SECTOR / ALIGN) * ALIGN;
  const digestSalt = randomBytes(SALT_BYTES);
  const digestIterations = Math.max(1000, Math.floor(iterations / 8));
  const header: LuksHeader = {
    cipher: 'aes',
    mode: 'xts-plain64',
    hash,
    payloadSector: ALIGN + SLOTS * sectors,
    keyBytes: KEY_BYTES,
    digest: await derive(key, digestSalt, digestIterations, DIGEST_BYTES, hash),
    digestSalt,
    digestIterations,
    uuid: randomUUID(),
    slots: Array.from({ length: SLOTS }, (_, i) => ({
      active: i === 0,
      iterations: i === 0 ? iterations : 0,
      salt: i === 0 ? randomBytes(SALT_BYTES) : Buffer.alloc(SALT_BYTES),
      sector: ALIGN + i * sectors,
      stripes: STRIPES,
    })),
  };
  const slot = header.slots[0]!;
  const material = splitKey(key, STRIPES, (data) => createHash(hash).update(data).digest(), randomBytes);
  const padded = new Uint8Array(Math.ceil(material.length / SECTOR) * SECTOR);
  padded.set(material);
  cipherFor(header, await derive(passphrase, slot.salt, iterations, KEY_BYTES, hash), options.label).encrypt(0, padded);
  const bytes = new Uint8Array(header.payloadSector * SECTOR);
  bytes.set(encodeLuksHeader(header));
  bytes.set(padded, slot.sector * SECTOR);
  return bytes;
}

/** The cipher of QEMU's first encryption (AES-128-CBC, the passphrase itself as key): no check tells a wrong passphrase. */
export function legacyAesCipher(passphrase: string): SectorCipher {
  const key = Buffer.alloc(16);
  Buffer.from(passphrase).copy(key);
  return new CbcCipher(key, 'plain64');
}
