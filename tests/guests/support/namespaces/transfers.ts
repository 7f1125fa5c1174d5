import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './namespace.ts';

const TRANSFER = fileURLToPath(new URL('transfer.ts', import.meta.url));
const PORT = 7777;

interface Sums {
  sent: string;
  received: string;
  came: number;
}

const said = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T));
    child.once('exit', (code) => reject(new Error(`a transfer ended with ${code}`)));
  });

/** Sends as many bytes each way over one connection from `client` to `address` of `server`: `whole`, or what went wrong. */
export async function transfer(server: Namespace, address: string, client: Namespace, bytes: number): Promise<string> {
  const serving = server.node(TRANSFER, 'serve', address, String(PORT), String(bytes));
  await said(serving);
  const began = performance.now();
  const [there, here] = await Promise.all([
    said<Sums>(serving),
    said<Sums>(client.node(TRANSFER, 'fetch', address, String(PORT), String(bytes))),
  ]);
  console.log(`${bytes} bytes both ways by ${address} in ${Math.round(performance.now() - began)} ms`);
  if (there.came !== bytes || here.came !== bytes) return `${here.came} and ${there.came} of ${bytes} bytes`;
  return there.sent === here.received && here.sent === there.received ? 'whole' : 'other bytes';
}

const PAGE = fileURLToPath(new URL('page.ts', import.meta.url));

/** A page of so many bytes for one that asks over HTTP. */
export async function servePage(server: Namespace, address: string, bytes: number): Promise<{ port: number; md5: string }> {
  return said(server.node(PAGE, address, String(bytes)));
}
