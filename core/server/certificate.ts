/**
 * A self-signed certificate for a server that has none: X.509 v3 (RFC 5280) with a P-256 key (RFC 5480), written as DER (X.690). One fixed shape, so the few lines
 * here take the place of a certificate library and all that it brings along; OpenSSL and Node read it in the tests.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** As long as browsers accept a certificate that was added by hand. */
const LIFE_DAYS = 397;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface Certificate {
  /** PEM. */
  cert: string;
  key: string;
}

const tlv = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), body]);
};
const sequence = (...parts: Uint8Array[]) => tlv(0x30, ...parts);
const utf8 = (text: string) => tlv(0x0c, Buffer.from(text));
const bytes = (...values: number[]) => Buffer.from(values);
const bitString = (unused: number, body: Uint8Array) => tlv(0x03, bytes(unused), body);
const explicit = (number: number, ...parts: Uint8Array[]) => tlv(0xa0 | number, ...parts);

const oid = (text: string) => {
  const [first, second, ...rest] = text.split('.').map(Number);
  const body = [first! * 40 + second!];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    body.push(...groups);
  }
  return tlv(0x06, Buffer.from(body));
};

/** GeneralizedTime is only for years after 2049 (RFC 5280 4.1.2.5). */
const time = (at: Date) => {
  const digits = at.toISOString().replace(/[-:T]|\.\d+/g, '');
  return at.getUTCFullYear() < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
};

const name = (common: string) => sequence(tlv(0x31, sequence(oid('2.5.4.3'), utf8(common))));

/** Bytes of an address as the certificate holds them; groups of IPv6 through the URL parser, which writes every address in one way. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head, tail] = canonical.split('::').map((half) => (half ? half.split(':') : []));
  const groups = tail ? [...head!, ...Array(8 - head!.length - tail.length).fill('0'), ...tail] : head!;
  return Buffer.from(groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}

const generalName = (host: string) => (isIP(host) ? tlv(0x87, addressBytes(host)) : tlv(0x82, Buffer.from(host, 'ascii')));

const extension = (id: string, critical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(critical ? [tlv(0x01, bytes(0xff))] : []), tlv(0x04, value));

const pem = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`;

/** A certificate for these names and addresses, good from an hour ago (clocks differ) for a year and a month. */
export function selfSigned(hosts: readonly string[], now = Date.now()): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
  const subject = name('Hypervue');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha1').update(spki.subarray(-65)).digest();
  // A serial number is positive and has at most 20 bytes.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const extensions = sequence(
    // No authority: whoever trusts it trusts this server, and no certificate made with its key.
    extension('2.5.29.19', true, sequence()),
    extension('2.5.29.15', true, bitString(7, bytes(0x80))),
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))),
    extension('2.5.29.17', false, sequence(...hosts.map(generalName))),
    extension('2.5.29.14', false, tlv(0x04, keyId)),
  );
  const body = sequence(
    explicit(0, tlv(0x02, bytes(2))),
    tlv(0x02, serial),
    algorithm,
    subject,
    sequence(time(new Date(now - DAY_MS / 24)), time(new Date(now + LIFE_DAYS * DAY_MS))),
    subject,
    spki,
    explicit(3, extensions),
  );
  const der = sequence(body, algorithm, bitString(0, sign('sha256', body, privateKey)));
  return { cert: pem('CERTIFICATE', der), key: (privateKey as KeyObject).export({ type: 'pkcs8', format: 'pem' }) as string };
}

/** How people and programs tell a certificate: SHA-256 in pairs of digits, as browsers and OpenSSL show it. */
export const fingerprintOf = (cert: string): string => new X509Certificate(cert).fingerprint256;
