import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { type Disposable, toDisposable } from '../util/disposable.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import { type Certificate, selfSigned } from './certificate.ts';

/** Programs that renew certificates replace the files; how soon that is seen, ms. */
const LOOK_MS = 2000;
/** A certificate of our own making that ends sooner than this is made anew. */
const RENEW_DAYS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface TlsFiles {
  /** PEM: the server's certificate first, then those between it and the authority. */
  certFile: string;
  /** PEM, without a passphrase: nobody is there to type it. */
  keyFile: string;
}

export interface LoadedTls extends Certificate {
  /** SHA-256, as browsers show it. */
  fingerprint: string;
  /** DNS names that it is for. */
  names: string[];
}

/** Rejects with 'not-found', 'permission-denied' or 'invalid-argument'; the message names the file. */
export function loadTls({ certFile, keyFile }: TlsFiles, now = Date.now()): LoadedTls {
  const cert = read(certFile);
  const key = read(keyFile);
  const bad = (file: string, why: string, fix: string, cause?: unknown) =>
    new HypervueError('invalid-argument', `${file} ${why}`, { path: file, operation: 'read' }, fix, cause);
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(cert);
  } catch (error) {
    throw bad(certFile, 'holds no certificate', 'It has to be a PEM file that begins with the certificate of this server.', error);
  }
  let privateKey: ReturnType<typeof createPrivateKey>;
  try {
    privateKey = createPrivateKey(key);
  } catch (error) {
    throw bad(
      keyFile,
      'holds no private key that can be read',
      'It has to be a PEM file without a passphrase; `openssl pkey -in KEY -out NEW` takes one off.',
      error,
    );
  }
  if (!parsed.checkPrivateKey(privateKey))
    throw bad(keyFile, `is not the key of ${certFile}`, 'Name the two files that were made together.');
  if (now >= Date.parse(parsed.validTo))
    throw bad(certFile, `was good until ${parsed.validTo}`, 'Renew the certificate; browsers refuse an expired one.');
  return { cert, key, fingerprint: parsed.fingerprint256, names: dnsNames(parsed) };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw fileError(error, file, 'read');
  }
}

const dnsNames = ({ subjectAltName }: X509Certificate): string[] =>
  (subjectAltName ?? '').split(', ').flatMap((entry) => (entry.startsWith('DNS:') ? [entry.slice(4).toLowerCase()] : []));

/** Files of a certificate of our own making below `folder`: those that are there while they are good for `hosts`, otherwise new ones. */
export async function ownCertificate(folder: string, hosts: readonly string[], now = Date.now()): Promise<TlsFiles> {
  const files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
  try {
    const parsed = new X509Certificate(loadTls(files, now + RENEW_DAYS * DAY_MS).cert);
    const covers = (host: string) => (isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host)) !== undefined;
    if (hosts.every(covers)) return files;
  } catch {
    // None yet, or not one to go on with.
  }
  const made = await selfSigned(hosts, now);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFileAtomic(files.keyFile, made.key, 0o600);
  await chmod(files.keyFile, 0o600);
  await writeFileAtomic(files.certFile, made.cert);
  return files;
}

/** Calls `use` whenever the files hold another certificate. What can't be used is said, and the one before stays. */
export function watchTls(files: TlsFiles, fingerprint: string, use: (loaded: LoadedTls) => void, log: Logger): Disposable {
  let current = fingerprint;
  const look = () => {
    try {
      const loaded = loadTls(files);
      if (loaded.fingerprint === current) return;
      use(loaded);
      current = loaded.fingerprint;
      log.info(`the certificate was replaced; its fingerprint is ${current}`);
    } catch (error) {
      log.warn(`the certificate before stays in use: ${asHypervueError(error).message}`);
    }
  };
  for (const file of [files.certFile, files.keyFile]) watchFile(file, { interval: LOOK_MS, persistent: false }, look);
  return toDisposable(() => {
    for (const file of [files.certFile, files.keyFile]) unwatchFile(file, look);
  });
}
