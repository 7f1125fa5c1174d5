import { expect, test } from 'vitest';
import { gatewayOf, inSubnet, ipv4Text, overlaps, parseIpv4, parseSubnet, subnetText } from './ipv4.ts';

test('addresses and networks read back as they were written', () => {
  for (const text of ['0.0.0.0', '10.0.0.1', '127.255.255.254', '128.0.0.0', '255.255.255.255'])
    expect(ipv4Text(parseIpv4(text))).toBe(text);
  const net = parseSubnet('192.168.100.77/24');
  expect(subnetText(net)).toBe('192.168.100.0/24');
  expect(ipv4Text(net.broadcast)).toBe('192.168.100.255');
  expect(ipv4Text(gatewayOf(net))).toBe('192.168.100.1');
  expect(ipv4Text(parseSubnet('223.255.255.255/8').broadcast)).toBe('223.255.255.255');
});

test('what lies in a network, and networks that overlap', () => {
  const net = parseSubnet('192.168.100.0/29');
  expect(inSubnet(net, parseIpv4('192.168.100.7'))).toBe(true);
  expect(inSubnet(net, parseIpv4('192.168.100.8'))).toBe(false);
  expect(overlaps(net, parseSubnet('192.168.0.0/16'))).toBe(true);
  expect(overlaps(parseSubnet('192.0.0.0/8'), net)).toBe(true);
  expect(overlaps(net, parseSubnet('192.168.100.8/29'))).toBe(false);
});
