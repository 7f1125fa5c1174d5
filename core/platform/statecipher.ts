/**
 * Seals sections of a state file with AES-256-GCM (NIST SP 800-38D), for machines whose disks are encrypted. The key comes from the master key of one of these disks by HKDF (RFC 5869), with a
 * salt of the file's own: who can open the disk can open the memory, and nobody else.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SectionHeader } from '../snapshot/stateformat.ts';

const SALT_BYTES = 32;
const TAG_BYTES = 16;
/** What else might be derived from the same master key has another name. */
const PURPOSE = 'hypervue machine state 1';

/** The key of a disk's encryption for another purpose: the same for equal arguments. */
export type DeriveKey = (salt: Uint8Array, purpose: string) => Uint8Array;

/** What a section is: nothing of it can be changed, or moved, without notice. */
type Place = Pick<SectionHeader, 'kind' | 'index' | 'ordinal'>;

export class StateCipher {
  readonly salt: Uint8Array;
  private readonly key: Uint8Array;

  constructor(derive: DeriveKey, salt: Uint8Array = randomBytes(SALT_BYTES)) {
    this.salt = salt;
    this.key = derive(salt, PURPOSE);
  }

  seal(place: Place, plain: Uint8Array): Uint8Array {
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce(place)).setAAD(Buffer.from(`${place.kind}${place.index}`));
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** Undefined when it was not sealed by this key, or changed since. */
  open(place: Place, sealed: Uint8Array): Buffer | undefined {
    if (sealed.length < TAG_BYTES) return undefined;
    const end = sealed.length - TAG_BYTES;
    const cipher = createDecipheriv('aes-256-gcm', this.key, nonce(place)).setAAD(Buffer.from(`${place.kind}${place.index}`));
    cipher.setAuthTag(sealed.subarray(end));
    try {
      return Buffer.concat([cipher.update(sealed.subarray(0, end)), cipher.final()]);
    } catch {
      return undefined;
    }
  }
}

/** Never the same twice for a key: each file has its own, and each of its sections its number. */
function nonce({ ordinal }: Place): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(ordinal);
  return bytes;
}
