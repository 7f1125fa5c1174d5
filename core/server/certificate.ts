/** A self-signed certificate for a server that has none: X.509 v3 (RFC 5280) with a P-256 key (RFC 5480). */
import { randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** As long as browsers accept a certificate that was added by hand. */
const LIFE_DAYS = 397;
const DAY_MS = 24 * 60 * 60 * 1000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface Certificate {
  /** PEM. */
  cert: string;
  key: string;
}

/** A certificate for these names and addresses, good from an hour ago (clocks differ) for a year and a month. */
export async function selfSigned(hosts: readonly string[], now = Date.now()): Promise<Certificate> {
  // Only who asks for a certificate waits for the library; it wants the polyfill first.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  // A serial number is positive and has at most 20 bytes.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Hypervue',
    serialNumber: serial.toString('hex'),
    notBefore: new Date(now - DAY_MS / 24),
    notAfter: new Date(now + LIFE_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      // No authority: whoever trusts it trusts this server, and no certificate made with its key.
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }))),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { cert: `${made.toString('pem')}\n`, key: x509.PemConverter.encode(key, 'PRIVATE KEY') };
}

/** How people and programs tell a certificate: SHA-256 in pairs of digits, as browsers and OpenSSL show it. */
export const fingerprintOf = (cert: string): string => new X509Certificate(cert).fingerprint256;
