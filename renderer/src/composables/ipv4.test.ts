import { expect, test } from 'vitest';
import { ipv4Text, usualRange } from '../../../core/contract/ipv4.ts';
import { freeSubnet, ipv4Number, rangeProblem, readSubnet } from './ipv4.ts';

test('addresses are numbers and back, up to the highest', () => {
  for (const text of ['0.0.0.0', '10.0.2.15', '192.168.100.1', '255.255.255.255']) expect(ipv4Text(ipv4Number(text)!)).toBe(text);
  for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.-4', 'a.b.c.d']) expect(ipv4Number(text)).toBeNull();
});

test('a network is read; bits behind the prefix are told with the network that was meant', () => {
  const { subnet } = readSubnet(' 192.168.100.0/24 ');
  expect(Object.values(subnet!).map(ipv4Text)).toEqual(['192.168.100.0', '192.168.100.1', '192.168.100.254', '192.168.100.255']);
  expect(readSubnet('192.168.100.77/24')).toMatchObject({ problem: 'bits', fit: '192.168.100.0/24' });
  expect(readSubnet('255.255.255.248/29').subnet!.broadcast).toBe(2 ** 32 - 1);
  for (const text of ['192.168.100.0', '192.168.100.0/30', '192.168.100.0/7', '300.0.0.0/24'])
    expect(readSubnet(text)).toMatchObject({ problem: 'form' });
});

test('the range given out lies in the network, beside the gateway and the right way round', () => {
  const subnet = readSubnet('192.168.100.0/24').subnet!;
  expect(usualRange(subnet)).toEqual({ from: '192.168.100.128', to: '192.168.100.254' });
  expect(usualRange(readSubnet('10.0.0.8/29').subnet!)).toEqual({ from: '10.0.0.12', to: '10.0.0.14' });
  const problem = (from: string, to: string) => rangeProblem(subnet, { from: `192.168.${from}`, to: `192.168.${to}` });
  expect(problem('100.128', '100.254')).toBeNull();
  expect(problem('100.2', '100.2')).toBeNull();
  expect(problem('100.20', '100.10')).toBe('order');
  expect(problem('100.20', '100.255')).toBe('outside');
  expect(problem('100.0', '100.10')).toBe('outside');
  expect(problem('99.20', '100.10')).toBe('outside');
  expect(problem('100.1', '100.10')).toBe('gateway');
  expect(problem('100.x', '100.10')).toBe('address');
});

test('a free network overlaps none that is there, however large', () => {
  expect(freeSubnet([])).toBe('192.168.100.0/24');
  expect(freeSubnet(['192.168.100.0/24', '192.168.101.128/25', 'nonsense'])).toBe('192.168.102.0/24');
  expect(freeSubnet(['192.168.0.0/16'])).toBe('10.100.0.0/24');
});
